# variants: mmio pci
tap 1
background xfer serve 5000
start link --net "$(nic 1 transport="$VARIANT")"
ends 0
