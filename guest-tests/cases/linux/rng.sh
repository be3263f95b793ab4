# variants: mmio pci
# The entropy device; and the status that the guest reports is minivmm's.
status=123
[ "$VARIANT" = mmio ] || status=1
start "want=$status" --rng --transport "$VARIANT"
console_has CHECKED
ends $status

# ---- guest ----
# want=N: the case's status, which is that of the machine, once all is found right.
# The entropy device is the kernel's source, and what it yields is neither constant nor repeated.
current=$(cat /sys/class/misc/hw_random/rng_current)
case $current in
virtio_rng*) ;;
*) fail "the current source is '$current'" ;;
esac
must dd if=/dev/hwrng of=/tmp/a bs=64 count=16
must dd if=/dev/hwrng of=/tmp/b bs=64 count=16
[ "$(stat -c %s /tmp/a)" -eq 1024 ] || fail "got $(stat -c %s /tmp/a) bytes, not 1024"
cmp -s /tmp/a /tmp/b && fail "the same bytes twice"
# 1024 random bytes do not shrink.
[ "$(gzip -c /tmp/a | wc -c)" -ge 1024 ] || fail "the bytes are not random"
echo CHECKED
exit "$want"
