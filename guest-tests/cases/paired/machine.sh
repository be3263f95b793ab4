# variants: VMMS
# Serial port, timer, and every processor of the MADT.
guest 0 1 64 "case=serial" "$(printf '%b' "$(printf '\\x%x' {33..126})")"
guest 0 1 64 "case=timer" "tsc_hz="
[[ $VARIANT == microvm ]] || # without ACPI it has no MADT
	for cpus in 1 2 7; do
		guest 0 $cpus 64 "case=smp" "smp: started=$cpus"
	done
