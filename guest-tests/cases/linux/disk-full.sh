# variants: mmio pci
mkdir "$TMP/small"
mount -t tmpfs -o size=8M tmpfs "$TMP/small"
truncate -s 32M "$TMP/small/disk"
start disk-full --disk "$TMP/small/disk" --transport "$VARIANT"
ends 0
