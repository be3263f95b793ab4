# `make dist`: a static program and what belongs to it, the same bytes wherever and whenever it is made.

# made DIR EPOCH: the release of this tree, made in DIR, whose files were written at another time.
made()
{
	local dir=$1
	mkdir -p "$dir"
	(cd "$top" && git ls-files -z -c -o --exclude-standard | tar --null -T - -c) | tar -C "$dir" -x -m &&
		find "$dir" -exec touch -h -d "@$2" {} + &&
		make -s -j2 -C "$dir" BUILD=build VERSION=1.0 SOURCE_DATE_EPOCH=86400 dist >"$tmp/make" 2>&1 || { why=$(tail -n 2 "$tmp/make" | tr '\n' ' '); return 1; }
}

user_release_reproducible()
{
	made "$tmp/a" 1000000000 && (umask 077 && export TZ=Asia/Tokyo LC_ALL=C.UTF-8 HOME=/nonexistent && made "$tmp/another/directory" 1500000000) &&
		cmp "$tmp/a/build/minivmm-1.0.tar.gz" "$tmp/another/directory/build/minivmm-1.0.tar.gz" && cat "$tmp/make"
}
user_release_works()
{
	[ -e "$tmp/a/build/minivmm-1.0.tar.gz" ] || made "$tmp/a" 1000000000 || return 1
	tar -C "$tmp" -xzf "$tmp/a/build/minivmm-1.0.tar.gz" && cd "$tmp/minivmm-1.0" &&
		[ "$(find . -maxdepth 1 | sort | tr '\n' ' ')" = '. ./LICENSE ./README.md ./bin ./configs ./share ' ] &&
		[ "$(bin/minivmm --version)" = 'minivmm 1.0' ] && ! ldd bin/minivmm >"$tmp/out" 2>&1 &&
		[ "$(stat -c %s bin/minivmm)" -le 1600000 ] && [ -z "$(find . ! -perm -o=r)" ] || return 1
	! kvm_usable || { minivmm=$PWD/bin/minivmm && guest 42 s; }
}
