# variants: mmio pci virtio-mmio virtio-pci
# The transport's driver, then the card's alone.
case $VARIANT in
mmio) bus=platform ;;
pci) bus=pci ;;
virtio-*) bus=virtio ;;
esac
tap 1
background xfer serve 5000
start "rebind bus=$bus" --net "$(nic 1 transport="${VARIANT#virtio-}")"
ends 0
