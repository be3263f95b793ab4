# variants: mmio pci virtio-mmio virtio-pci
# The transport's driver, then the card's alone. REBINDS times (3): `CASE_TIMEOUT=3000 REBINDS=200 run rebind-pci` looks for
# what is rare.
case $VARIANT in
mmio) bus=platform ;;
pci) bus=pci ;;
virtio-*) bus=virtio ;;
esac
tap 1
background crr server
start "bus=$bus rebinds=${REBINDS:-3}" --net "$(nic 1 transport="${VARIANT#virtio-}")"
ends 0

# ---- guest ----
# bus=virtio|pci|platform: the driver leaves its device during traffic and takes it again; then traffic goes as before.
net 1
# /sys/class/net/X/device is the virtio device, its parent the transport's.
device=$(realpath "/sys/class/net/$(nic 1)/device")
[ "$bus" = virtio ] || device=$(dirname "$device")
driver=$(realpath "$device/driver")
for round in $(seq "$rebinds"); do
	crr client 10.0.1.1 --test maerts --count 64M >/dev/null 2>&1 &
	fetcher=$!
	crr client 10.0.1.1 --test stream --count 64M >/dev/null 2>&1 &
	sender=$!
	usleep 200000
	must sh -c "echo ${device##*/} >$driver/unbind"
	kill $fetcher $sender
	must sh -c "echo ${device##*/} >$driver/bind"
	net 1
	must send 10.0.1.1 1M
	must fetch 10.0.1.1 1M
done
