# Devices on both transports, found by ACPI and PCI alone: the command line is to the letter what was asked for.
BOOT=$KERNEL
tap 1
tap 2
truncate -s 1M "$TMP/a" "$TMP/b"
start '' --net "$(nic 1 transport=mmio)" --net "$(nic 2 transport=pci)" --disk "$TMP/a" --disk "$TMP/b,ro" --rng
ends 0
tr -d '\r' <"$WORK/console" | grep -qx 'command line: console=ttyS0 quiet mitigations=off cryptomgr.notests panic=-1  case=acpi' ||
	fail 'the command line has changed on its way'

# ---- guest ----
# All devices are there, and nothing on the command line says so.
echo "command line: $(cat /proc/cmdline)"
for n in 1 2; do
	nic $n >/dev/null
done
for disk in vda vdb; do
	[ -e /sys/block/$disk ] || fail "no disk $disk"
done
[ -e /dev/hwrng ] || fail "no random number generator"
for n in 1 2; do
	realpath "/sys/class/net/$(nic $n)/device"
done >/tmp/places
cat /tmp/places
grep -q /LNRO0005: /tmp/places || fail "no card is a virtio-mmio device of ACPI's"
grep -q /pci0000:00/ /tmp/places || fail "no card is a PCI device"
