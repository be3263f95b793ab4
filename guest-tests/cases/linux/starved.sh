# variants: mmio pci
tap 1
background crr server
ip neigh replace 10.0.1.2 lladdr 52:54:00:00:00:01 dev tap1 nud permanent
start '' --net "$(nic 1 transport="$VARIANT")" --stats "$WORK/stats.json"
for round in 1 2 3; do
	console_has "DOWN $round"
	# More than any ring and the tap's own queue hold.
	crr client 10.0.1.2 --test udp_stream --port 9 --block 1400 --count 7000000 || :
	tell "FLOODED $round"
done
ends 0
grep -Eq '"starved":[1-9]' "$WORK/stats.json" || fail 'the card never was without buffers'

# ---- guest ----
# A card whose interface is down leaves its buffers unserved: the host floods it until there are none, then it comes up.
net 1
nic=$(nic 1)
must ping -c 1 -W 5 10.0.1.1
for round in 1 2 3; do
	must ip link set "$nic" down
	echo "DOWN $round"
	hear "FLOODED $round"
	must ip link set "$nic" up
	must ping -c 1 -W 10 10.0.1.1
	must fetch 10.0.1.1 4M
	must send 10.0.1.1 4M
done
