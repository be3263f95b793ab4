# The host's kernel moves the frames of two cards: of one with two queue pairs, and of one whose vhost-net the parent has
# opened.
[[ -w /dev/vhost-net ]] || skip 'no /dev/vhost-net to write to (modprobe vhost_net)'
tap 1 multi_queue
tap 2
background crr server
exec 4<>/dev/vhost-net
start '' --net "$(nic 1 vhost=on,queues=2,rss)" --net "$(nic 2 vhost-fd=4)" --stats "$WORK/stats.json"
exec 4<&-
console_has READY
crr client 10.0.1.2 --count 40 --connections 4 --timeout 60 || fail 'connections to the guest failed'
tell SERVED
ends 0
[ ! -s "$WORK/vmm.err" ] || fail "minivmm said: $(head -n 1 "$WORK/vmm.err")"

# counter GROUP NAME
counter()
{
	sed -n "s/^ \"$1\":{.*\"$2\":\([0-9]*\).*/\1/p" "$WORK/stats.json"
}

for pair in net0.vhost0 net0.vhost1 net1.vhost; do
	[ "$(counter $pair given)" -ge 2 ] || fail "$pair: the kernel had its rings $(counter $pair given) times"
	for name in errors refusals active; do
		[ "$(counter $pair $name)" = 0 ] || fail "$pair: $name is $(counter $pair $name)"
	done
	for name in rx_buffers tx_frames; do
		[ "$(counter $pair $name)" -gt 0 ] || fail "$pair: $name is 0"
	done
done
for card in net0 net1; do
	for way in to from; do
		[ "$(counter $card.${way}_guest unexplained)" = 0 ] || fail "$card.${way}_guest: frames are unexplained"
		[ "$(counter $card.${way}_guest host_counts)" = 1 ] || fail "$card.${way}_guest: the host was not asked"
		lost=$(counter $card.${way}_guest lost_vhost)
		[ "$lost" = 0 ] || fail "$card.${way}_guest: vhost lost $lost frames"
	done
done

# ---- guest ----
# Streams of which every byte is checked, while what the kernel has is taken from it and given back: by the number of pairs,
# by the interrupts' CPUs, by the interface and by the driver.
net 1
net 2
nic=$(nic 1)
device=$(realpath "/sys/class/net/$nic/device")
[ "$(channels "$nic")" = "1 of 2" ] || fail "the card has $(channels "$nic") pairs"
[ "$(cut -c 19 "$device/features")" = 0 ] || fail 'the card offers a filter' # VIRTIO_NET_F_CTRL_RX is bit 18
must channels "$nic" 2

# traffic N COMMAND...: while streams run both ways on card N.
traffic()
{
	to=10.0.$1.1
	shift
	send "$to" 2M &
	sender=$!
	fetch "$to" 4M &
	fetcher=$!
	"$@"
	wait $sender || fail "the sender did not survive: $*"
	wait $fetcher || fail "the receiver did not survive: $*"
}

# steer: RSS by the tap's program, whoever moves the frames; nobody tells a hash.
steer()
{
	for queue in 0 1; do
		usleep 200000
		must channels "$nic" rss $queue
	done
	must channels "$nic" rss default
}

resize()
{
	for n in 1 2 1 2; do
		usleep 200000
		must channels "$nic" "$n"
	done
}

# toggle N: the interface goes down and comes up.
toggle()
{
	usleep 200000
	must ip link set "$(nic "$1")" down
	usleep 50000
	must ip link set "$(nic "$1")" up
}

# rebind N: the driver leaves its device during traffic and takes it again.
rebind()
{
	device=$(realpath "/sys/class/net/$(nic "$1")/device")
	crr client "10.0.$1.1" --test maerts --count 64M >/dev/null 2>&1 &
	fetcher=$!
	crr client "10.0.$1.1" --test stream --count 64M >/dev/null 2>&1 &
	sender=$!
	usleep 200000
	must sh -c "echo ${device##*/} >/sys/bus/virtio/drivers/virtio_net/unbind"
	kill $fetcher $sender
	must sh -c "echo ${device##*/} >/sys/bus/virtio/drivers/virtio_net/bind"
	net "$1"
	[ "$1" = 2 ] || must channels "$(nic 1)" 2
	traffic "$1" true
}

crr server &
[ "$(cut -c 61 "$device/features")$(cut -c 58 "$device/features")" = 10 ] || fail 'RSS is not offered, or a hash is'
traffic 1 steer
traffic 1 resize
traffic 1 toggle 1
traffic 2 toggle 2
echo READY
hear SERVED
rebind 1
rebind 2
