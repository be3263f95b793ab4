# README tells the truth: what it links to is there, and each of its commands works as it stands there.

user_readme()
{
	local what
	for what in $(grep -oE '\]\([^)]*\)' "$top/README.md" | tr -d '()]'); do
		if [[ $what == \#* ]]; then # a heading of its own
			sed -n 's/^##* //p' "$top/README.md" | tr 'A-Z ' 'a-z-' | grep -qxF -- "${what#\#}"
		else
			[ -e "$top/$what" ]
		fi || { why="README links to $what"; return 1; }
	done
	for what in $(grep -oE '(^    |`)make [a-z-]+' "$top/README.md" | sed 's/.*make //' | sort -u); do
		make -C "$top" -n "$what" >/dev/null 2>"$tmp/err" || { why="README has make $what"; return 1; }
	done
	{ "$minivmm" --help && "$minivmm" run --help && "$minivmm" doctor --help; } >"$tmp/help"
	for what in $(grep -E 'minivmm .*--|`--' "$top/README.md" | grep -oE -- '--[a-z-]+' | sort -u); do
		grep -qE -- "^  (--[a-z]+, )?$what( |,|$)" "$tmp/help" || { why="README has $what, --help does not"; return 1; }
	done
}

# command LINE: done, with the smallest guest in place of a kernel; what takes minutes must be done by .ci/run.
command_works()
{
	case $1 in
	make\ experiment\ *) grep -q "make .* ${1#make } " "$top/guest-tests/cases/bench/experiment.sh" || { why='no case has it'; return 1; } ;;
	make*) grep -q "${1%% *}.* ${1#* }\$" "$top/.ci/run" || { why='it is not in .ci/run'; return 1; } ;;
	*guest-tests/host/run\ -l) eval "$1" | grep -q . ;;
	*guest-tests/host/run\ *) "$top/guest-tests/run" -l "${1##* }" ;;
	minivmm\ doctor) "$minivmm" doctor >"$tmp/out"; [ $? -eq 0 ] || grep -q ^FAIL "$tmp/out" ;;
	minivmm\ run\ *) "$top/guest-tests/run" -l job-files ;; # the same with a stock kernel
	sudo\ *) eval "${1#sudo }" ;;
	*crr\ client*) eval "$1 --seconds 1" && kill %% && wait %% || [ $? -eq 143 ] ;;
	*minivmm*--config*) eval "$1" && await 'the guest serves' ping -c 1 -W 1 10.0.0.2 ;;
	*minivmm\ *)
		echo initrd >"$tmp/initrd"
		(cd "$tmp" && eval "$(sed -E "s#^(build/)?minivmm#'$minivmm'#; s#--kernel [^ ]*#--kernel $small#; s#--initrd [^ ]*#--initrd initrd#" <<<"$1")") \
			</dev/null >"$tmp/out" 2>"$tmp/err"
		# The smallest guest takes the words for orders of its own, so its end says nothing.
		[ $? -ne 125 ] || { why=$(tail -n 1 "$tmp/err"); return 1; }
		;;
	*) why='nobody knows how to try it'; return 1 ;;
	esac
}

guest_readme_commands()
{
	local line n=0 USER=${USER:-$(id -un)}
	[ -w /dev/net/tun ] || { why=skip; return 1; }
	cd "$top" || return
	while IFS= read -r line <&9; do
		line=$(sed 's/ *# .*//; s/^ *//; s/  *$//' <<<"$line")
		command_works "$line" 9<&- || { why="$line: $why"; return 1; }
		n=$((n + 1))
	done 9< <(grep '^    ' README.md)
	[ $n -gt 0 ]
}
