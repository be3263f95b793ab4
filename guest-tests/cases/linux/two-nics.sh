# variants: mmio pci
tap 1
tap 2
background crr server
start '' --net "$(nic 1 transport="$VARIANT")" --net "$(nic 2 transport="$VARIANT")"
ends 0
# What was meant for the second card did not take the first.
for n in 1 2; do
	bytes=$(awk -v tap="tap$n:" '$1 == tap { print $2 }' /proc/net/dev)
	[ "$bytes" -gt 16000000 ] || fail "tap$n received $bytes bytes only"
done

# ---- guest ----
# Both cards carry traffic, one after the other and at once.
net 1
net 2
for n in 1 2; do
	must send 10.0.$n.1 16M
	must fetch 10.0.$n.1 16M
done
send 10.0.1.1 16M &
first=$!
fetch 10.0.2.1 16M &
second=$!
must wait $first
must wait $second
