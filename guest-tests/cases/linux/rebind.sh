# variants: mmio pci
# The transport's driver, then the card's alone. REBINDS times (2): `CASE_TIMEOUT=3000 REBINDS=200 run rebind-pci` looks for
# what is rare.
tap 1
background crr server
start "rebinds=${REBINDS:-2}" --net "$(nic 1 transport="$VARIANT")"
ends 0

# ---- guest ----
# The driver leaves its device during traffic and takes it again; then traffic goes as before.
net 1

rebind() # DEVICE
{
	driver=$(realpath "$1/driver")
	for round in $(seq "$rebinds"); do
		crr client 10.0.1.1 --test maerts --count 64M >/dev/null 2>&1 &
		fetcher=$!
		crr client 10.0.1.1 --test stream --count 64M >/dev/null 2>&1 &
		sender=$!
		usleep 200000
		must sh -c "echo ${1##*/} >$driver/unbind"
		kill $fetcher $sender
		must sh -c "echo ${1##*/} >$driver/bind"
		net 1
		must send 10.0.1.1 1M
		must fetch 10.0.1.1 1M
	done
}

# /sys/class/net/X/device is the virtio device, its parent the transport's.
rebind "$(dirname "$(realpath "/sys/class/net/$(nic 1)/device")")"
rebind "$(realpath "/sys/class/net/$(nic 1)/device")"
