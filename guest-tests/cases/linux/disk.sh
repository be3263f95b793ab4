# variants: mmio pci packed
# Three disks: one to write to, one that is read-only, and one behind which there is room for a part only.
keys=
[ "$VARIANT" != packed ] || keys=,packed
truncate -s 8M "$TMP/disk"
dd if=/dev/urandom of="$TMP/readonly" bs=1M count=4
before=$(sha256sum <"$TMP/readonly")
mkdir "$TMP/small"
mount -t tmpfs -o size=2M tmpfs "$TMP/small"
truncate -s 8M "$TMP/small/disk"
start '' --transport "${VARIANT/packed/pci}" --disk "$TMP/disk$keys" --disk "$TMP/readonly,ro$keys" --disk "$TMP/small/disk$keys"
ends 0
[ "$VARIANT" != packed ] || said "packed: 1" || fail "the rings are not packed"
told=$(sed -n 's/^sha256 \([0-9a-f]*\).*/\1/p' "$WORK/console")
found=$(sha256sum <"$TMP/disk" | cut -d ' ' -f 1)
[ "$told" = "$found" ] || fail "the file's checksum is $found, the guest's $told"
[ "$before" = "$(sha256sum <"$TMP/readonly")" ] || fail 'the read-only file has changed'

# ---- guest ----
forget() { echo 3 >/proc/sys/vm/drop_caches; }

# A disk is written, read back from the device, and its checksum told.
sectors=$(cat /sys/block/vda/size)
echo "packed: $(cut -c 35 /sys/block/vda/device/features)" # VIRTIO_F_RING_PACKED is bit 34
[ "$sectors" -eq 16384 ] || fail "the disk has $sectors sectors, not 16384"
must dd if=/dev/urandom of=/tmp/data bs=1M count=8
must dd if=/tmp/data of=/dev/vda bs=1M conv=fsync
forget
written=$(sha256sum </tmp/data)
read=$(sha256sum </dev/vda)
[ "$written" = "$read" ] || fail "read back something else than was written"
must dd if=/tmp/data of=/dev/vda bs=512 seek=16383 count=1 conv=fsync
dd if=/tmp/data of=/dev/vda bs=512 seek=16384 count=1 conv=fsync && fail "wrote behind the end of the disk"
echo "sha256 $(sha256sum </dev/vda | cut -d ' ' -f 1)"

# A read-only disk says so; a driver that writes all the same is refused, and the disk still reads.
[ "$(cat /sys/block/vdb/ro)" = 1 ] || fail "the disk does not say that it is read-only"
before=$(sha256sum </dev/vdb)
dd if=/dev/urandom of=/dev/vdb bs=4096 count=1 conv=fsync && fail "wrote to a read-only disk"
must blockdev --setrw /dev/vdb
dd if=/dev/urandom of=/dev/vdb bs=4096 count=1 conv=fsync && fail "wrote to a read-only disk that was set writable"
forget
[ "$before" = "$(sha256sum </dev/vdb)" ] || fail "the disk reads differently"

# Where there is no room the write fails, and all else goes on.
dd if=/tmp/data of=/dev/vdc bs=1M conv=fsync && fail "wrote more than there is room for"
forget
must dd if=/dev/vdc of=/dev/null bs=1M count=8
must dd if=/dev/urandom of=/dev/vdc bs=4096 count=1 conv=fsync
