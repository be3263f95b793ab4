# variants: mmio pci
# 10,000 connections to the guest and 1,000 from it, without one failure.
tap 1
background xfer serve 5000
start short --net "$(nic 1 transport="$VARIANT")"
console_has READY
xfer short 10.0.1.2 5000 10000 || fail 'connections to the guest failed'
tell DONE
ends 0
