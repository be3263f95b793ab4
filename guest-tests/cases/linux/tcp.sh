# variants: mmio-offload pci-offload mmio-plain pci-plain
case $VARIANT in
*-offload) offload=on ;;
*-plain) offload=off ;;
esac
tap 1
background crr server
start "offload=$offload" --net "$(nic 1 transport="${VARIANT%-*},offload=$offload")"
ends 0

# ---- guest ----
# offload=on|off: 64 MiB each way, every byte checked, a quarter of that frame by frame; the offloads are agreed upon, or
# not, as asked.
net 1
device=/sys/class/net/$(nic 1)
# virtio 1.2, 5.1.3: CSUM, GUEST_CSUM, GUEST_TSO4, HOST_TSO4.
for bit in 0 1 7 11; do
	if has_feature "$device" $bit; then state=on; else state=off; fi
	[ $state = "$offload" ] || fail "feature bit $bit is $state"
done
bytes=64M
[ $offload = on ] || bytes=16M
must send 10.0.1.1 $bytes
must fetch 10.0.1.1 $bytes
