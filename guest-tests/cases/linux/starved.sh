# variants: mmio pci
tap 1
background xfer serve 5000
ip neigh replace 10.0.1.2 lladdr 52:54:00:00:00:01 dev tap1 nud permanent
start starved --net "$(nic 1 transport="$VARIANT")" --stats "$WORK/stats.json"
for round in 1 2 3; do
	console_has "DOWN $round"
	# More than any ring and the tap's own queue hold.
	xfer flood 10.0.1.2 9 5000
	tell "FLOODED $round"
done
ends 0
grep -Eq '"starved":[1-9]' "$WORK/stats.json" || fail 'the card never was without buffers'
