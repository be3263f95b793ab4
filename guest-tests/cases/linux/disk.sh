# variants: mmio pci
truncate -s 32M "$TMP/disk"
start disk --disk "$TMP/disk" --transport "$VARIANT"
ends 0
told=$(sed -n 's/^sha256 \([0-9a-f]*\).*/\1/p' "$WORK/console")
found=$(sha256sum <"$TMP/disk" | cut -d ' ' -f 1)
[ "$told" = "$found" ] || fail "the file's checksum is $found, the guest's $told"
