# variants: bzImage-pci bzImage-mmio vmlinux-pci
# The small kernel of `make guest-linux` and its server: short connections, and a stream each way. vmlinux with 2 CPUs.
small
tap 1
[[ $VARIANT != vmlinux-* ]] || cpus=2
boot "${VARIANT%-*}" initramfs '' --cpus "${cpus:-1}" --net "$(nic 1 transport="${VARIANT#*-}")"
console_has 'crr: serving'
crr client 10.0.1.2 --count 300 --connections 8 --timeout 60
crr client 10.0.1.2 --test stream --count 2M --timeout 60
crr client 10.0.1.2 --test maerts --count 2M --timeout 60
kill "$vmm"
ends "$STATUS_SIGTERM"
