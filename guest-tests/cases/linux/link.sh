# variants: mmio pci
tap 1
background crr server
start '' --net "$(nic 1 transport="$VARIANT")"
ends 0

# ---- guest ----
# The interface goes down and up during traffic; what was under way ends well, and traffic goes as before.
net 1
nic=$(nic 1)

# moved COUNTER BEFORE: whether half a megabyte has been counted since.
moved()
{
	[ $(($(cat "/sys/class/net/$nic/statistics/$1") - $2)) -gt 500000 ]
}

for round in 1 2 3; do
	rx=$(cat "/sys/class/net/$nic/statistics/rx_bytes")
	tx=$(cat "/sys/class/net/$nic/statistics/tx_bytes")
	send 10.0.1.1 8M &
	sender=$!
	fetch 10.0.1.1 8M &
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
