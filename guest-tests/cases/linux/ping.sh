# variants: mmio pci
# Packets of one frame and of several both ways; then 2,000 connections to the guest and 200 from it, without one failure,
# by the other transport a quarter of that. LONG=1: 10,000 and 1,000 by both.
tap 1
count=2000
[ "$VARIANT" = pci ] || count=500
((!${LONG:-0})) || count=10000
background crr server
start "out=$((count / 10))" --net "$(nic 1 transport="$VARIANT")"
console_has READY
ping -i 0.2 -c 3 -W 5 10.0.1.2 || fail 'the guest does not answer pings'
ping -i 0.2 -c 3 -W 5 -s 8000 10.0.1.2 || fail 'the guest does not answer large pings'
crr client 10.0.1.2 --count "$count" --connections 8 --timeout 60 || fail 'connections to the guest failed'
tell DONE
ends 0

# ---- guest ----
# Pings and short connections out, then in.
net 1
# With one CPU, the queues of a card on PCI have one interrupt.
[ "$(grep -c 'virtio[0-9]*-[iov]' /proc/interrupts)" -le 1 ] || fail 'the queues have interrupts of their own'
must ping -i 0.2 -c 3 -W 5 10.0.1.1
must ping -i 0.2 -c 3 -W 5 -s 8000 10.0.1.1
must connections "$out"
crr server &
until netstat -ltn | grep -q ':5001 '; do
	usleep 100000
done
echo READY
hear DONE
