# variants: mmio pci
tap 1
tap 2
background crr server
# Two sizes of rings that a large segment finds too few buffers in: in all of the first, and in what is left of the second,
# whose rings are packed, behind a few datagrams, as Linux posts more only when half are used up.
start '' --net "$(nic 1 transport="$VARIANT",queue-size=32)" --net "$(nic 2 transport="$VARIANT",queue-size=64,packed)" --stats "$WORK/stats.json"
console_has READY
for n in 1 2; do
	burst tap$n 52:54:00:00:00:0$n 10.0.$n.2 26 65000
	ping -c 3 -W 10 10.0.$n.2 || fail "card $n is silent behind a large frame"
done
tell GO
ends 0
[ "$(grep -cE '"net[01].rx":.*"held":[1-9]' "$WORK/stats.json")" = 2 ] || fail 'no frame had to wait for buffers'
# What was meant for the second card did not take the first.
for n in 1 2; do
	bytes=$(awk -v tap="tap$n:" '$1 == tap { print $2 }' /proc/net/dev)
	[ "$bytes" -gt 2000000 ] || fail "tap$n received $bytes bytes only"
done

# ---- guest ----
net 1
net 2
rings=$(cut -c 35 /sys/class/net/eth1/device/features) # VIRTIO_F_RING_PACKED is bit 34
[ "$rings" = 1 ] || fail "the second card's rings are not packed"
echo READY
hear GO
# Both cards carry traffic, one after the other and at once.
for n in 1 2; do
	must send 10.0.$n.1 2M
	must fetch 10.0.$n.1 2M
done
send 10.0.1.1 2M &
first=$!
fetch 10.0.2.1 2M &
second=$!
must wait $first
must wait $second
