# variants: mmio pci
truncate -s 32M "$TMP/disk"
start '' --disk "$TMP/disk" --transport "$VARIANT"
ends 0
told=$(sed -n 's/^sha256 \([0-9a-f]*\).*/\1/p' "$WORK/console")
found=$(sha256sum <"$TMP/disk" | cut -d ' ' -f 1)
[ "$told" = "$found" ] || fail "the file's checksum is $found, the guest's $told"

# ---- guest ----
# A disk is written, read back from the device, and its checksum told.
sectors=$(cat /sys/block/vda/size)
[ "$sectors" -eq 65536 ] || fail "the disk has $sectors sectors, not 65536"
must dd if=/dev/urandom of=/tmp/data bs=1M count=32
must dd if=/tmp/data of=/dev/vda bs=1M conv=fsync
echo 3 >/proc/sys/vm/drop_caches
written=$(sha256sum </tmp/data)
read=$(sha256sum </dev/vda)
[ "$written" = "$read" ] || fail "read back something else than was written"
must dd if=/tmp/data of=/dev/vda bs=512 seek=65535 count=1 conv=fsync
dd if=/tmp/data of=/dev/vda bs=512 seek=65536 count=1 conv=fsync && fail "wrote behind the end of the disk"
echo "sha256 $(sha256sum </dev/vda | cut -d ' ' -f 1)"
