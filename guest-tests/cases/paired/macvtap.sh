# A macvtap on an interface: the guest is a neighbour of what is behind it, and the macvtap is gone whatever ends minivmm.
ip link add lower type veth peer name peer
ip link set lower up
ip link set peer up
ip addr add 10.0.0.1/24 dev peer

run() { exec "$minivmm" --kernel "$build/guest.elf" --mem 128M --timeout 400s --append "ip=$address" "$@" </dev/null; }
gone() { ! ip -o link | grep -q ' mvt'; }

ip link add probe link lower type macvtap 2>"$TMP/errors" && ip link del probe || skip "no macvtap here: $(cat "$TMP/errors")"

guest_run run --net macvtap=lower,mac=52:54:00:00:00:77,queues=2
is 'it has the address of the card' "$(ip -o link | grep -c ' mvt.*52:54:00:00:00:77')" 1
head -c 1000000 /dev/urandom >"$TMP/random"
check 'what it echoes is what was sent' transfer
check 'connections' "$crr" client $address --count 200 --connections 4 --timeout 60
guest_stop 'macvtap'
gone && passed 'gone at the end' || failed 'gone at the end' "$(ip -o link | grep ' mvt')"

guest_run run --net macvtap=lower --net macvtap=lower
kill -9 "$guest_pid"
await 'they are gone after kill -9' gone

guest_run run --net macvtap=lower
kill "$guest_pid"
wait "$guest_pid"
is 'ended by a signal' $? 143
gone && passed 'gone after a signal' || failed 'gone after a signal' "$(ip -o link | grep ' mvt')"

# On one that is down no frame passes, which is told as it is of a tap.
ip link set lower down
guest_run run --net macvtap=lower
kill "$guest_pid"
wait "$guest_pid"
is 'an interface that is down is told of' "$(grep -c "minivmm: interface 'lower' is down: no frame will pass" "$TMP/console")" 1
ip link set lower up

# Without its interface a macvtap takes frames for nowhere: that is told, and the guest's link goes down.
told() { grep -q "minivmm: net0: macvtap 'mvt.*' is gone; the guest" "$TMP/console"; }
for model in virtio rtl8139; do
	ip link add lower2 type veth peer name peer2 && ip link set lower2 up && ip link set peer2 up
	guest_run run --net "macvtap=lower2,model=$model"
	ip link add other type veth peer name other2 && ip link del other
	! told || failed "$model: another interface is gone" "$(cat "$TMP/console")"
	ip link del lower2
	await 'it is told' told
	is "$model: in one line" "$(grep -c minivmm: "$TMP/console")" 1
	kill "$guest_pid"
	wait "$guest_pid"
	is "$model: it ends as ever" $? 143
done

# cannot TEXT KEYS: minivmm says so in one line, and leaves no interface.
cannot()
{
	(run --net "$2") >/dev/null 2>"$TMP/errors"
	is "$2" "$?" 125
	grep -qF -- "$1" "$TMP/errors" && [ "$(wc -l <"$TMP/errors")" -eq 1 ] && gone ||
		failed "$2" "$(cat "$TMP/errors"; ip -o link)"
}
cannot "cannot make a macvtap on 'nowhere': No such device" macvtap=nowhere
cannot 'its interface has less (ip link set DEV mtu 9000,' macvtap=lower,mtu=9000
cannot 'give a tap' macvtap=lower,tap=tap0
ip link add name bridge type bridge && ip link set lower master bridge &&
	cannot "cannot make a macvtap on 'lower'" macvtap=lower
