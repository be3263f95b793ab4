# variants: mmio pci
# Several queue pairs: on a tap that has them (the vCPUs say how many), and as many as are asked for.
case $VARIANT in
mmio) pairs=2 keys=transport=mmio ;;
pci) pairs=4 keys=queues=4,rss ;;
esac
tap 1 multi_queue
background crr server
start "pairs=$pairs rss=$([ $VARIANT = mmio ] || echo 2)" --cpus 2 --net "$(nic 1 "$keys")" --stats "$WORK/stats.json"
console_has READY
threads=$(cat /proc/$vmm/task/*/comm | grep -c '^net0')
[ "$threads" = $pairs ] || fail "there are $threads threads for $pairs queue pairs"
crr client 10.0.1.2 --count 40 --connections 4 --timeout 60 || fail 'connections to the guest failed'
tell SERVED
ends 0

# counter GROUP NAME
counter()
{
	sed -n "s/^ \"$1\":{.*\"$2\":\([0-9]*\).*/\1/p" "$WORK/stats.json"
}

for way in rx tx; do
	sum=0
	for i in $(seq 0 $((pairs - 1))); do
		n=$(counter "net0.$way$i" packets)
		[ "$n" -gt 0 ] || fail "pair $i carried nothing ($way)"
		sum=$((sum + n))
	done
	[ "$(counter "net0.$way" packets)" = "$sum" ] || fail "net0.$way is not the sum of its pairs"
done
[ "$(counter net0.ctrl max_pairs)" = $pairs ] || fail 'the accounts have another number of pairs'

# ---- guest ----
# pairs=N: the driver has that many; it changes its mind about them under traffic, of which every byte is checked, its
# interrupts move from CPU to CPU, it lets go of the card and takes it again. rss=Q: it has what it hashes come to queue Q.
net 1
nic=$(nic 1)
device=$(realpath "/sys/class/net/$nic/device")
[ "$(channels "$nic")" = "2 of $pairs" ] || fail "the card has $(channels "$nic") pairs"

# traffic COMMAND...: while streams run both ways.
traffic()
{
	send 10.0.1.1 2M &
	sender=$!
	fetch 10.0.1.1 2M &
	fetcher=$!
	"$@"
	wait $sender || fail "the sender did not survive: $*"
	wait $fetcher || fail "the receiver did not survive: $*"
}

resize()
{
	for n in 1 "$pairs" 2 1 2 "$pairs" 1 "$pairs"; do
		usleep 100000
		must channels "$nic" "$n"
	done
}

move()
{
	for mask in 1 2 3 2 1; do
		usleep 100000
		for irq in $(sed -n 's/^ *\([0-9]*\):.*virtio[0-9]-\(input\|output\).*/\1/p' /proc/interrupts); do
			must sh -c "echo $mask >/proc/irq/$irq/smp_affinity"
		done
	done
}

# RPS, RFS and XPS by sysfs, as on hardware.
spread()
{
	must sh -c 'echo 1024 >/proc/sys/net/core/rps_sock_flow_entries'
	for queue in /sys/class/net/"$nic"/queues/rx-*; do
		must sh -c "echo 3 >$queue/rps_cpus && echo 256 >$queue/rps_flow_cnt"
	done
	for queue in /sys/class/net/"$nic"/queues/tx-*; do
		must sh -c "echo 1 >$queue/xps_cpus && echo 3 >$queue/xps_cpus"
	done
}

# irqs QUEUE: how many interrupts it has had.
irqs() { awk -v queue="$1" '$NF ~ "virtio[0-9]-input." queue "$" { for (i = 2; i < NF; i++) if ($i ~ /^[0-9]+$/) n += $i } END { print n + 0 }' /proc/interrupts; }

steered()
{
	must channels "$nic" rss "$rss"
	sleep 1
	before=$(irqs "$rss") others=$(($(irqs 1) + $(irqs 3)))
	must fetch 10.0.1.1 1M
	[ "$(irqs "$rss")" -gt "$before" ] || fail "RSS: nothing came to queue $rss"
	[ $(($(irqs 1) + $(irqs 3))) = "$others" ] || fail "RSS: something came to a queue that it does not name"
	# The card's own hash of each frame; switched off and on, it takes RSS with it.
	has_feature "/sys/class/net/$nic" 57 || fail 'no VIRTIO_NET_F_HASH_REPORT'
	crr client 10.0.1.1 --test maerts --seconds 60 --timeout 100 >/dev/null 2>&1 &
	stream=$!
	must channels "$nic" hash
	kill $stream
	# As long as the table names them, the kernel takes no queue away.
	must channels "$nic" rss default
}

crr server &
traffic resize
[ -z "$rss" ] || steered
traffic move
traffic spread
for cpu in 1 2; do
	must taskset $cpu crr client 10.0.1.1 --count 20 --timeout 60
done
echo READY
hear SERVED
must channels "$nic" 1
must connections 20
must sh -c "echo ${device##*/} >$device/driver/unbind"
must sh -c "echo ${device##*/} >/sys/bus/virtio/drivers/virtio_net/bind"
net 1
nic=$(nic 1)
must channels "$nic" "$pairs"
traffic true
