# An ordinary user runs jobs who is in the group of /dev/kvm, with a network by passt; nobody else is told more than one line.
{ cat "$small"; printf 'Linux version 0.0-test '; } >"$tmp/kernel"

# as_user GROUP COMMAND...
as_user()
{
	local group=$1
	shift
	timeout 60 setpriv --reuid=65534 --regid=65534 --groups="$group" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
}

guest_run_as_a_user()
{
	((EUID == 0)) && mknod "$tmp/kvm" c 10 232 2>"$tmp/err" || skip 'no right to make a device node'
	chown 0:777 "$tmp/kvm" && chmod 660 "$tmp/kvm" && mount --bind "$tmp/kvm" /dev/kvm || return
	trap 'umount /dev/kvm' RETURN
	cp "$minivmm" "$tmp/minivmm" && mkdir -m 777 "$tmp/out.d" && chmod 755 "$tmp" || return
	ip link add v0 type veth peer name v1 && ip addr add 10.9.0.1/24 dev v0 && ip link set v0 up && ip link set v1 up &&
		ip route add default via 10.9.0.2 || return
	local run=("$tmp/minivmm" run --root / --mem 64M --kernel "$tmp/kernel" --net passt --out "$tmp/out.d/o" -- x)
	as_user 777 "${run[@]}"
	[ $? -eq 134 ] && says 'without a word' || { why=$(cat "$tmp/err"); return 1; }
	[ "$(stat -c %u "$tmp/out.d/o")" = 65534 ] || return
	as_user 778 "${run[@]}"
	[ $? -eq 125 ] && says 'join the group of the node'
}
