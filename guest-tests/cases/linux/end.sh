# variants: poweroff reboot panic reboot-acpi reboot-k reboot-t reboot-efi reboot-bios reboot-pci panic-acpi panic-t
# A power-off or a reset is the guest's own end, whichever way the kernel goes about it, or is left to choose.
how=${VARIANT%-*}
case $VARIANT in
*-*) APPEND=reboot=${VARIANT#*-} ;;
reboot) BOOT=$KERNEL ;; # a vmlinux has no BIOS
esac
start "how=$how"
ends 0

# ---- guest ----
# how=poweroff|reboot|panic: how the guest ends.
case $how in
poweroff)
	poweroff -f ;;
reboot)
	reboot -f ;;
panic)
	echo c >/proc/sysrq-trigger ;;
esac
sleep 1000
