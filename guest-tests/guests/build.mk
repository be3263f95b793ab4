# The smallest guest, for tests on any /dev/kvm.
$(BUILD)/small.elf: guest-tests/guests/small.S guest-tests/guests/build.mk
	@mkdir -p $(@D)
	$(CC) -nostdlib -static -fno-pie -no-pie -Wl,--build-id=none -Wl,-Ttext=0x100000 \
		-Wl,-N,--no-warn-rwx-segments,-Tdata=0x100400,--section-start=.note.pvh=0x100400,-e,start -o $@ $<
GUESTS += $(BUILD)/small.elf
