# variants: mmio pci
# The interface goes down and up: during traffic, and while the host sends more than the card has buffers for.
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
net 1
nic=$(nic 1)

# A card whose interface is down leaves its buffers unserved: the host floods it until there are none, then it comes up.
must ping -c 1 -W 5 10.0.1.1
for round in 1 2 3; do
	must ip link set "$nic" down
	echo "DOWN $round"
	hear "FLOODED $round"
	must ip link set "$nic" up
	until ping -c 1 -W 1 10.0.1.1; do :; done # as long as the tap's queue is full of the flood, an answer has no room in it
	must fetch 10.0.1.1 1M
	must send 10.0.1.1 1M
done

# moved COUNTER BEFORE: whether half a megabyte has been counted since.
moved()
{
	[ $(($(cat "/sys/class/net/$nic/statistics/$1") - $2)) -gt 500000 ]
}

# What was under way when it goes down ends well, and traffic goes as before.
for round in 1 2 3; do
	rx=$(cat "/sys/class/net/$nic/statistics/rx_bytes")
	tx=$(cat "/sys/class/net/$nic/statistics/tx_bytes")
	send 10.0.1.1 4M &
	sender=$!
	fetch 10.0.1.1 4M &
	fetcher=$!
	until moved rx_bytes "$rx" && moved tx_bytes "$tx"; do
		usleep 10000
	done
	must ip link set "$nic" down
	usleep 100000
	must ip link set "$nic" up
	wait $sender || fail "the sender did not survive round $round"
	wait $fetcher || fail "the receiver did not survive round $round"
done
must connections 100
