# The paired guest kernel: build/guest.elf (PVH, or Linux's 64-bit protocol) and build/guest.bzImage, the same image.
#
# The result must not depend on where or when it is built: no debug information, no build id, no __FILE__.

GK := guest-tests/guests/paired
GK_CFLAGS := -I. -m64 -march=x86-64 -std=gnu11 -Os -ffreestanding -fno-pic -fno-pie \
	     -mgeneral-regs-only -mcmodel=small -fno-stack-protector -fno-asynchronous-unwind-tables \
	     -fno-builtin -fcf-protection=none -fno-strict-aliasing \
	     -fno-tree-loop-distribute-patterns $(WARNINGS)
GK_LDFLAGS := -m elf_x86_64 -static -nostdlib --build-id=none -z noexecstack \
	      -z max-page-size=4096 --no-warn-rwx-segments
GK_OBJS := $(patsubst $(GK)/%,$(BUILD)/$(GK)/%.o,$(filter-out $(GK)/setup.S,$(wildcard $(GK)/*.c $(GK)/*.S)))
# The limit that the image keeps, in bytes.
GK_MAX := 65536

$(BUILD)/$(GK)/%.c.o: $(GK)/%.c
	@mkdir -p $(@D)
	$(CC) $(GK_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/$(GK)/%.S.o: $(GK)/%.S
	@mkdir -p $(@D)
	$(CC) $(GK_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/guest.elf: $(GK_OBJS) $(GK)/guest.lds
	$(LD) $(GK_LDFLAGS) -T $(GK)/guest.lds -o $@.tmp $(GK_OBJS)
	objcopy --strip-all $@.tmp $@
	@rm -f $@.tmp
	@size=$$(stat -c %s $@); [ $$size -le $(GK_MAX) ] || { echo "$@: $$size bytes, more than $(GK_MAX)"; exit 1; }

# The bzImage: the real-mode part, padded to whole sectors, and the image as it lies in memory.
$(BUILD)/$(GK)/image.bin: $(BUILD)/guest.elf
	objcopy -O binary -j .head -j .text -j .rodata -j .note -j .data $< $@

$(BUILD)/$(GK)/setup.bin: $(GK)/setup.S $(BUILD)/$(GK)/image.bin
	size=$$(stat -c %s $(BUILD)/$(GK)/image.bin); \
	$(CC) -m32 -ffreestanding -c -o $(@:.bin=.o) -DPAYLOAD_PARAGRAPHS=$$(((size + 15) / 16)) \
		-DINIT_SIZE=0x200000 -DSETUP_SECTS=3 $<
	objcopy -O binary -j .setup $(@:.bin=.o) $@

$(BUILD)/guest.bzImage: $(BUILD)/$(GK)/setup.bin $(BUILD)/$(GK)/image.bin
	cat $^ >$@

guest: $(BUILD)/guest.elf $(BUILD)/guest.bzImage
GUESTS += $(BUILD)/guest.elf $(BUILD)/guest.bzImage

# The stack alone, as a program on the host: on a tap behind a bad line, and in unit tests. Always with the sanitizers.
GK_STACK := $(addprefix $(GK)/,checksum.c chunk.c cmdline.c console.c control.c counters.c fragment.c \
	echo.c http.c ip.c netperf.c tcp.c tcp_cookie.c tcp_in.c tcp_out.c tcp_timer.c tcp_wheel.c udp.c test/hosted.c)
GK_HOST_CFLAGS := -I. -std=gnu11 -D_GNU_SOURCE -O1 -g -fno-strict-aliasing \
	-fsanitize=address,undefined -fno-sanitize=alignment -fno-sanitize-recover=all $(WARNINGS)
GK_STACK_OBJS := $(GK_STACK:%.c=$(BUILD)/%.host.o)

$(BUILD)/%.host.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GK_HOST_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/guest-stack: $(GK_STACK_OBJS) $(BUILD)/$(GK)/test/stack.host.o
	$(CC) $(GK_HOST_CFLAGS) -o $@ $^

GK_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard $(GK)/test/test_*.c))
$(filter %/test_tcp %/test_tcp_loss,$(GK_TESTS)): $(BUILD)/$(GK)/test/tcp_peer.host.o
$(GK_TESTS): %: %.host.o $(GK_STACK_OBJS) $(BUILD)/vmm/base/test/parent.host.o
	$(CC) $(GK_HOST_CFLAGS) -o $@ $^ -lcmocka
UNIT_TESTS += $(GK_TESTS)

-include $(GK_OBJS:.o=.d) $(GK_STACK_OBJS:.o=.d) $(GK_TESTS:=.host.d) $(addprefix $(BUILD)/$(GK)/test/,stack.host.d tcp_peer.host.d)
.PHONY: guest
