# The cards from before virtio by Linux's two drivers, which only the generic kernel has: traffic, reload, link, and what
# they miss.
BOOT=$GENERIC/vmlinux INITRD=$GENERIC/initrd
tap 1
tap 2
background crr server
start '' --mem 256M --net "$(nic 1 model=rtl8139)" --net "$(nic 2 model=rtl8139c)" --stats "$WORK/stats.json"
for n in 1 2; do
	console_has "FLOOD $n"
	# Far more at once than either card's buffers hold.
	ip neigh replace "10.0.$n.2" lladdr "52:54:00:00:00:0$n" dev "tap$n" nud permanent
	for round in 1 2 3; do
		crr client "10.0.$n.2" --test udp_stream --port 9 --block 1400 --count 1500000 || :
	done
	ip neigh del "10.0.$n.2" dev "tap$n"
	tell "FLOODED $n"
done
ends 0
for n in 1 2; do
	shown=$(sed -n "s/^MISSED $n \([0-9]*\).*/\1/p" "$WORK/console")
	missed=$(sed -n "s/.*\"net$((n - 1)).rx\":{[^}]*\"drop_missed\":\([0-9]*\).*/\1/p" "$WORK/stats.json")
	# Linux begins to count anew with the driver.
	((shown > 0 && shown <= missed)) || fail "card $n shows $shown missed frames, minivmm dropped $missed"
done

# ---- guest ----
for n in 1 2; do
	driver=8139cp
	[ $n = 1 ] || driver=8139too
	must modprobe $driver
	net $n
	nic=$(nic $n)
	[ "$(basename "$(realpath "/sys/class/net/$nic/device/driver")")" = $driver ] || fail "$nic has not the driver $driver"
	must ping -c 3 -W 10 10.0.$n.1
	# Every byte is checked, by the receiver; checksums and large send are the card's with 8139cp.
	must send 10.0.$n.1 1M
	must fetch 10.0.$n.1 1M

	for round in 1 2; do
		must ip link set "$nic" down
		must ip link set "$nic" up
		must ping -c 1 -W 10 10.0.$n.1
	done
	fetch 10.0.$n.1 4M >/dev/null 2>&1 &
	fetcher=$!
	usleep 200000
	must rmmod $driver # its library stays for the other
	kill $fetcher
	must modprobe $driver
	net $n
	must fetch 10.0.$n.1 256K
	must send 10.0.$n.1 256K

	nic=$(nic $n)
	echo "FLOOD $n"
	hear "FLOODED $n"
	must ping -c 1 -W 10 10.0.$n.1
	missed=$(cat "/sys/class/net/$nic/statistics/rx_missed_errors")
	echo "MISSED $n $missed"
	must fetch 10.0.$n.1 256K
done
