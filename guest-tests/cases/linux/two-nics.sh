# variants: mmio pci
tap 1
tap 2
background xfer serve 5000
start two-nics --net "$(nic 1 transport="$VARIANT")" --net "$(nic 2 transport="$VARIANT")"
ends 0
# What was meant for the second card did not take the first.
for n in 1 2; do
	bytes=$(awk -v tap="tap$n:" '$1 == tap { print $2 }' /proc/net/dev)
	[ "$bytes" -gt 16000000 ] || fail "tap$n received $bytes bytes only"
done
