# The FUSE server behind the host's own client, the operations that are compared there and in guests, and their rates.
FILES := guest-tests/files
$(BUILD)/mountfs: $(BUILD)/$(FILES)/mountfs.o $(BUILD)/libminivmm.a
	$(CC) -o $@ $^ $(ALL_LDFLAGS)

# Static, for guests.
FILES_GUEST := $(addprefix $(BUILD)/linux/,fsops fsrates)
$(FILES_GUEST): $(BUILD)/linux/%: $(FILES)/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -O2 -static -o $@ $<

tools: $(BUILD)/mountfs $(FILES_GUEST)
linux-tools: $(FILES_GUEST) $(BUILD)/linux/mountfs
