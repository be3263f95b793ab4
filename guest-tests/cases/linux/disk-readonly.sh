# variants: mmio pci
dd if=/dev/urandom of="$TMP/disk" bs=1M count=4
before=$(sha256sum <"$TMP/disk")
start disk-readonly --disk "$TMP/disk,ro" --transport "$VARIANT"
ends 0
[ "$before" = "$(sha256sum <"$TMP/disk")" ] || fail 'the file has changed'
