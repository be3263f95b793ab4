# The Linux guests: what goes into all of them, and the small one with a kernel of our own: build/guest-linux/bzImage, the
# same as vmlinux, and initramfs. `make guest-linux` takes some minutes the first time, as the kernel is built; after that
# it is in the cache (kernel tells where). NETSERVER=FILE puts netperf's server into the guest.

GL := guest-tests/guests/linux
GL_OUT := $(BUILD)/guest-linux
LINUX_TOOLS := $(addprefix $(BUILD)/linux/,outb memfill mapped resolver burst channels guest.elf crr)

# Static whatever the rest is: they run without libraries.
$(BUILD)/linux/%: $(GL)/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -O2 -static -o $@ $<

$(BUILD)/linux/small_init: $(GL)/small_init.c boot/agent/net.c boot/agent/agent.h vmm/base/jobproto.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -I. $(WARNINGS) -O2 -static -o $@ $(filter %.c,$^)

$(BUILD)/linux/%: $(BUILD)/%
	@mkdir -p $(@D)
	cp $< $@

linux-tools: $(LINUX_TOOLS)

# Always made anew: NETSERVER may have changed.
guest-linux-initramfs: $(BUILD)/linux/small_init $(BUILD)/crr
	$(GL)/make-initramfs $(GL_OUT)/initramfs $^ $(NETSERVER)

guest-linux: guest-linux-initramfs
	dir=$$($(GL)/kernel) && cp $$dir/bzImage $$dir/vmlinux $$dir/config $$dir/version $(GL_OUT)/

.PHONY: guest-linux guest-linux-initramfs linux-tools
