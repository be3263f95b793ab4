# The Linux guest: build/guest-linux/bzImage, the same kernel as vmlinux, and initramfs. `make guest-linux` takes some
# minutes the first time, as the kernel is built; after that it is in the cache (kernel tells where).
# NETSERVER=FILE puts netperf's server into the guest.

GL := guest-tests/guests/linux
GL_OUT := $(BUILD)/guest-linux

$(GL_OUT)/init: $(GL)/init.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -O2 -static -o $@ $<

# Always made anew: NETSERVER may have changed.
guest-linux-initramfs: $(GL_OUT)/init $(BUILD)/crr
	$(GL)/make-initramfs $(GL_OUT)/initramfs $(GL_OUT)/init $(BUILD)/crr $(NETSERVER)

guest-linux: guest-linux-initramfs
	dir=$$($(GL)/kernel) && cp $$dir/bzImage $$dir/vmlinux $$dir/config $$dir/version $(GL_OUT)/

.PHONY: guest-linux guest-linux-initramfs
