# `make install`: a program, a manual page and a completion, which know the same options as --help.

installed=$tmp/root/opt/m
with_install()
{
	[ -e "$installed/bin/minivmm" ] || make -s --no-print-directory -C "$top" BUILD="$build" DESTDIR="$tmp/root" PREFIX=/opt/m install >"$tmp/make" 2>&1 ||
		{ why=$(tail -n 1 "$tmp/make"); return 1; }
}

# complete_word WORD...: what the completion offers for the last word.
complete_word()
{
	(
		. "$installed/share/bash-completion/completions/minivmm"
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_minivmm minivmm "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
		printf '%s\n' "${COMPREPLY[@]}"
	)
}

same_lines() # same_lines WHAT FILE FILE
{
	diff "$2" "$3" >"$tmp/diff" || { why="$1: $(head -n 3 "$tmp/diff" | tr '\n' ' ')"; return 1; }
}

user_install()
{
	with_install && [ "$(cd "$tmp/root" && find . -type f | sort | tr '\n' ' ')" = "./opt/m/bin/minivmm ./opt/m/share/bash-completion/completions/minivmm ./opt/m/share/man/man1/minivmm.1 " ] &&
		[ "$("$installed/bin/minivmm" --version)" = "$("$minivmm" --version)" ] && [ "$(stat -c %a "$installed/bin/minivmm")" = 755 ] &&
		make -s --no-print-directory -C "$top" BUILD="$build" DESTDIR="$tmp/root" PREFIX=/opt/m uninstall && [ ! "$(find "$tmp/root" -type f)" ]
}
user_options_everywhere()
{
	local of
	with_install || return 1
	for of in '' run doctor; do
		"$minivmm" $of --help | grep -oE '^  --[a-z-]+' | tr -d ' ' | sort >"$tmp/help"
		[ "$(wc -l <"$tmp/help")" -ge 4 ] || return 1
		complete_word minivmm $of -- | grep -v '^--$' | sort >"$tmp/completion"
		same_lines "completion of '$of'" "$tmp/help" "$tmp/completion" || return 1
	done
	# All of them, with the keys of devices, in the manual page.
	for of in '' run doctor; do "$minivmm" $of --help; done | grep -oE '^( {2}--| {4})[a-z-]+(=| |$)' | tr -d ' =' | sort >"$tmp/help"
	sed -nE 's/^\.B "([a-z\\-]+)( |=|").*/\1/p' "$installed/share/man/man1/minivmm.1" | tr -d '\\' | sort >"$tmp/man"
	same_lines 'manual page' "$tmp/help" "$tmp/man"
}
user_completion()
{
	with_install && touch "$tmp/a b" && mkdir -p "$tmp/dir" && cd "$tmp" &&
		[ "$(complete_word minivmm r)" = run ] && [ "$(complete_word minivmm run --jun)" = --junit ] &&
		[ "$(complete_word minivmm --sandbox '')" = "$(printf 'on\noff\nlog')" ] && [ "$(complete_word minivmm --kernel a)" = 'a b' ] &&
		[ "$(complete_word minivmm run --root di)" = dir ] && [ "$(complete_word minivmm --net tap0,tr)" = tap0,transport= ] &&
		[ ! "$(complete_word minivmm run --root / -- --he)" ]
}
user_manual_page()
{
	command -v man >/dev/null || skip 'no man'
	with_install && man -l --warnings "$installed/share/man/man1/minivmm.1" >"$tmp/page" 2>"$tmp/err" && [ ! -s "$tmp/err" ] && grep -q 'EXIT STATUS' "$tmp/page"
}
