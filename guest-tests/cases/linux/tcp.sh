# variants: mmio-offload pci-offload mmio-plain pci-plain
case $VARIANT in
*-offload) offload=on ;;
*-plain) offload=off ;;
esac
tap 1
background xfer serve 5000
start "tcp offload=$offload" --net "$(nic 1 transport="${VARIANT%-*},offload=$offload")"
ends 0
