# variants: VMMS
# Cases of the guest that say themselves how they are run: serial port, timer, and every processor of the MADT.
no_madt()
{
	[[ $VARIANT == microvm ]] # it has no ACPI here
}
while read -r line; do
	eval "$line"
done < <(sed -n 's|^/\* host: \(.*\) \*/$|\1|p' guest-tests/guests/paired/case*.c)
