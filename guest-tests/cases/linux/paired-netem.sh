# variants: mmio pci
# The paired guest's TCP against Linux's over a line that netem makes bad, each way: what it echoes is what was sent.
ip link add line type bridge
ip link add far type veth peer name near
for device in tap1 far; do
	[ $device = far ] || ip tuntap add $device mode tap
	ip link set $device master line up
done
ip link set line up
# netem counts what it is given: single frames, not what offloads make of them.
ip link set near up gso_max_segs 1
ip addr add 10.0.1.1/24 dev near

launch --kernel "$TOOLS/guest.elf" --mem 64M --net "$(nic 1 transport="$VARIANT",offload=off)" \
	--append "ip=10.0.1.2/24 mode=irq virtio_mmio.device=4K@0xfeb00000:5"
console_has ready
await 'the guest answers pings' ping -c 1 -W 1 10.0.1.2

for device in near far; do
	tc qdisc add dev $device root netem delay 5ms loss 2% reorder 10% 50% duplicate 2% corrupt 1% ||
		skip 'this kernel has no netem'
done
head -c 2000000 /dev/urandom >"$TMP/random"
bash -c 'exec 8<>/dev/tcp/10.0.1.2/7; cat "$1" >&8 & head -c 2000000 <&8' - "$TMP/random" >"$TMP/echo" ||
	fail 'the connection broke'
[ "$(sha256sum <"$TMP/echo")" = "$(sha256sum <"$TMP/random")" ] || fail 'what came back is not what was sent'
for device in near far; do
	tc -s qdisc show dev $device | grep -q 'dropped [1-9]' || fail "the line lost nothing on $device"
	tc qdisc del dev $device root
done

# Its control port: end with status 0, and print the counters.
quits()
{
	echo -n 'quit 0' >/dev/udp/10.0.1.2/4
	sleep 1
	! running
}
await 'the guest ends' quits
ends 0
for counter in tcp_retransmits tcp_out_of_order tcp_duplicates rx_bad_checksum; do
	grep -q "^$counter=[1-9]" "$WORK/console" || fail "the line was not bad enough: no $counter"
done
