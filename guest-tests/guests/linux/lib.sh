# What the guest side of the Linux guest cases shares (busybox sh).

# fail TEXT...: says why on the console, where the host side finds it, and ends the case.
fail()
{
	echo "FAIL: $*"
	exit 1
}

# must COMMAND...
must()
{
	"$@" || fail "$* ended with status $?"
}

# nic N: the name of the interface of card N, by its address.
nic()
{
	for nic_dir in /sys/class/net/*; do
		if [ "$(cat "$nic_dir/address")" = "52:54:00:00:00:0$1" ]; then
			echo "${nic_dir##*/}"
			return
		fi
	done
	fail "no network card $1"
}

# net N: brings card N up as 10.0.N.2.
net()
{
	net_nic=$(nic "$1") || exit 1
	must ip addr add "10.0.$1.2/24" dev "$net_nic"
	must ip link set "$net_nic" up
}

# has_feature CLASS-DEVICE BIT: whether the driver and the device agreed on a virtio feature bit.
has_feature()
{
	[ "$(cut -c "$(($2 + 1))" "$1/device/features")" = 1 ]
}

# hear TEXT: waits for the host side to say it.
hear()
{
	while read -r hear_line; do
		[ "$hear_line" != "$1" ] || return 0
	done </dev/console
	fail "the console ended before '$1' came"
}

# send ADDRESS BYTES, fetch ADDRESS BYTES: a stream to the server there, or from it, every byte of it checked.
send()
{
	crr client "$1" --test stream --count "$2" --timeout 60
}

fetch()
{
	crr client "$1" --test maerts --count "$2" --timeout 60
}

# connections N: so many short ones to 10.0.1.1, eight at once, none of which fails.
connections()
{
	crr client 10.0.1.1 --count "$1" --connections 8 --timeout 60
}
