# Devices on both transports, found by ACPI and PCI alone: the command line is to the letter what was asked for.
tap 1
tap 2
truncate -s 1M "$TMP/a" "$TMP/b"
start acpi --net "$(nic 1 transport=mmio)" --net "$(nic 2 transport=pci)" --disk "$TMP/a" --disk "$TMP/b,ro" --rng
ends 0
tr -d '\r' <"$WORK/console" | grep -qx 'command line: console=ttyS0 quiet mitigations=off panic=-1  case=acpi' ||
	fail 'the command line has changed on its way'
