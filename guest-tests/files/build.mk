# The FUSE server behind the host's own client, and the operations that are compared there and in guests.
FILES := guest-tests/files
$(BUILD)/mountfs: $(BUILD)/$(FILES)/mountfs.o $(BUILD)/libminivmm.a
	$(CC) -o $@ $^ $(ALL_LDFLAGS)

# Static, for guests.
$(BUILD)/linux/fsops: $(FILES)/fsops.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -O2 -static -o $@ $<

tools: $(BUILD)/mountfs $(BUILD)/linux/fsops
linux-tools: $(BUILD)/linux/fsops
