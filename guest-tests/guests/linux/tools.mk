# Tools of the Linux guest tests. Static whatever the rest is: they run in guests without libraries.
LINUX_TOOLS := $(addprefix $(BUILD)/linux/,outb xfer memfill)

linux-tools: $(LINUX_TOOLS) $(BUILD)/linux/guest.elf $(BUILD)/linux/crr

$(LINUX_TOOLS): $(BUILD)/linux/%: guest-tests/guests/linux/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -O2 -static -o $@ $<

$(BUILD)/linux/guest.elf $(BUILD)/linux/crr: $(BUILD)/linux/%: $(BUILD)/%
	@mkdir -p $(@D)
	cp $< $@

# Every case, on this host's KVM or in hosts with KVM in software.
linux-test: $(BUILD)/minivmm linux-tools
	BUILD=$(BUILD) guest-tests/run linux

.PHONY: linux-tools linux-test
