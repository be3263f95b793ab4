# variants: mmio pci
mkdir "$TMP/small"
mount -t tmpfs -o size=8M tmpfs "$TMP/small"
truncate -s 32M "$TMP/small/disk"
start '' --disk "$TMP/small/disk" --transport "$VARIANT"
ends 0

# ---- guest ----
# The file system behind the disk has room for a part only: the write fails, all else goes on.
dd if=/dev/urandom of=/dev/vda bs=1M count=32 conv=fsync && fail "wrote more than there is room for"
echo 3 >/proc/sys/vm/drop_caches
must dd if=/dev/vda of=/dev/null bs=1M count=32
must dd if=/dev/urandom of=/dev/vda bs=4096 count=1 conv=fsync
