# variants: mmio-offload pci-offload mmio-plain pci-plain
case $VARIANT in
*-offload) offload=on ;;
*-plain) offload=off ;;
esac
tap 1
background crr server
megabytes=16 # LONG=1: 64
((!${LONG:-0})) || megabytes=64
start "offload=$offload megabytes=$megabytes" --net "$(nic 1 transport="${VARIANT%-*},offload=$offload")"
ends 0

# ---- guest ----
# offload=on|off megabytes=N: so many MiB each way, every byte checked, a quarter of that frame by frame; the offloads are
# agreed upon, or not, as asked.
net 1
device=/sys/class/net/$(nic 1)
# virtio 1.2, 5.1.3: CSUM, GUEST_CSUM, GUEST_TSO4, HOST_TSO4.
for bit in 0 1 7 11; do
	if has_feature "$device" $bit; then state=on; else state=off; fi
	[ $state = "$offload" ] || fail "feature bit $bit is $state"
done
[ $offload = on ] || megabytes=$((megabytes / 4))
must send 10.0.1.1 ${megabytes}M
must fetch 10.0.1.1 ${megabytes}M
