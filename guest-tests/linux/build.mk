# Tools of the Linux guest tests: static, as they run in a guest without libraries. Run: `make linux-tools`.
LINUX_TOOLS := $(BUILD)/linux/outb $(BUILD)/linux/xfer

.PHONY: linux-tools
linux-tools: $(LINUX_TOOLS)

$(LINUX_TOOLS): $(BUILD)/linux/%: guest-tests/linux/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -static -O2 -o $@ $<
