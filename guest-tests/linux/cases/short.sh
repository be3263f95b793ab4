# variants: mmio pci
# 10,000 connections to the guest and 1,000 from it, without one failure. Over mmio fewer: in the software host they
# take minutes, and what differs is the transport's doorbell alone.
case $VARIANT in
mmio) connections=2000 ;;
pci) connections=10000 ;;
esac
tap 1
background xfer serve 5000
start short --net "$(nic 1 transport="$VARIANT")"
console_has READY
xfer short 10.0.1.2 5000 $connections || fail 'connections to the guest failed'
tell DONE
ends 0
