# variants: mmio pci packed
truncate -s 8M "$TMP/disk"
case $VARIANT in
packed) start '' --disk "$TMP/disk,packed" ;;
*) start '' --disk "$TMP/disk" --transport "$VARIANT" ;;
esac
ends 0
told=$(sed -n 's/^sha256 \([0-9a-f]*\).*/\1/p' "$WORK/console")
found=$(sha256sum <"$TMP/disk" | cut -d ' ' -f 1)
[ "$VARIANT" != packed ] || said "packed: 1" || fail "the rings are not packed"
[ "$told" = "$found" ] || fail "the file's checksum is $found, the guest's $told"

# ---- guest ----
# A disk is written, read back from the device, and its checksum told.
sectors=$(cat /sys/block/vda/size)
echo "packed: $(cut -c 35 /sys/block/vda/device/features)" # VIRTIO_F_RING_PACKED is bit 34
[ "$sectors" -eq 16384 ] || fail "the disk has $sectors sectors, not 16384"
must dd if=/dev/urandom of=/tmp/data bs=1M count=8
must dd if=/tmp/data of=/dev/vda bs=1M conv=fsync
echo 3 >/proc/sys/vm/drop_caches
written=$(sha256sum </tmp/data)
read=$(sha256sum </dev/vda)
[ "$written" = "$read" ] || fail "read back something else than was written"
must dd if=/tmp/data of=/dev/vda bs=512 seek=16383 count=1 conv=fsync
dd if=/tmp/data of=/dev/vda bs=512 seek=16384 count=1 conv=fsync && fail "wrote behind the end of the disk"
echo "sha256 $(sha256sum </dev/vda | cut -d ' ' -f 1)"
