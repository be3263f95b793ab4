# variants: mmio pci
dd if=/dev/urandom of="$TMP/disk" bs=1M count=4
before=$(sha256sum <"$TMP/disk")
start '' --disk "$TMP/disk,ro" --transport "$VARIANT"
ends 0
[ "$before" = "$(sha256sum <"$TMP/disk")" ] || fail 'the file has changed'

# ---- guest ----
# A read-only disk says so; a driver that writes all the same is refused, and the disk still reads.
[ "$(cat /sys/block/vda/ro)" = 1 ] || fail "the disk does not say that it is read-only"
before=$(sha256sum </dev/vda)
dd if=/dev/urandom of=/dev/vda bs=4096 count=1 conv=fsync && fail "wrote to a read-only disk"
must blockdev --setrw /dev/vda
dd if=/dev/urandom of=/dev/vda bs=4096 count=1 conv=fsync && fail "wrote to a read-only disk that was set writable"
echo 3 >/proc/sys/vm/drop_caches
[ "$before" = "$(sha256sum </dev/vda)" ] || fail "the disk reads differently"
