# variants: poweroff reboot-acpi reboot-k reboot-t panic-acpi panic-t
# A power-off or a reset, by ACPI or the keyboard controller, is the guest's own end; a triple fault is a crash.
how=${VARIANT%-*}
case $VARIANT in
*-acpi) APPEND=reboot=acpi status=0 ;;
*-k) APPEND=reboot=k status=0 ;;
*-t) APPEND=reboot=t status=126 ;;
*) status=0 ;;
esac
start "end how=$how"
ends "$status"
