# Tools of the Linux guest tests. Static whatever the rest is: they run in guests without libraries.
LINUX_TOOLS := $(addprefix $(BUILD)/linux/,outb xfer memfill)

linux-tools: $(LINUX_TOOLS)

$(LINUX_TOOLS): $(BUILD)/linux/%: guest-tests/linux/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -O2 -static -o $@ $<

# Every case, in the host with KVM in software.
linux-test: $(BUILD)/minivmm linux-tools
	BUILD=$(abspath $(BUILD)) guest-tests/nested/run all

.PHONY: linux-tools linux-test
