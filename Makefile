# minivmm: see README.md. Built things go to build/.
#
#   make            build/minivmm (STATIC=1: without shared libraries)
#   make check      unit tests, layers, format: the quick part
#   make test       every test; installs what is missing where it may
#   make soak       hundreds of jobs, and what is left of them: nothing (guest-tests/soak)
#   make install    with manual page and completion, below $(DESTDIR)$(PREFIX); make uninstall
#   make dist       a static release as build/minivmm-VERSION.tar.gz, the same bytes wherever it is built
#   make run        the paired guest, measured
#   make fuzz       fuzz targets, SECS seconds each (TARGET: one); make fuzz-corpus
#   make layers, make format, make asan, make tsan, make clean

BUILD ?= build
# By one name, however it was given: what was built under another would not be seen to be old.
override BUILD := $(patsubst $(CURDIR)/%,%,$(BUILD))
CC ?= gcc
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

# What callbacks and fixtures are handed, few of them look at.
WARNINGS := -Wall -Wextra -Wno-unused-parameter -Wshadow -Wconversion -Wno-sign-conversion -Wno-missing-field-initializers \
	    -Wmissing-prototypes -Wstrict-prototypes -Wvla -Werror
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -I. -pthread $(WARNINGS) $(CFLAGS) $(SANITIZE)
ALL_LDFLAGS = -pthread $(LDFLAGS) $(SANITIZE) $(if $(STATIC),-static)

PARTS := vmm devices boot
# The folders of a part that hold code; a unit test is test/test_*.c beside it, the other files there are helpers,
# shared by the part; those of vmm/base by all.
FOLDERS := $(PARTS) vmm/base vmm/x86 devices/net devices/virtio boot/x86
SRCS := $(wildcard $(addsuffix /*.c,$(FOLDERS)))
OBJS := $(SRCS:%.c=$(BUILD)/%.o) $(BUILD)/boot/agent_program.o
LIB_OBJS := $(filter-out $(BUILD)/vmm/main.o,$(OBJS))

TEST_SRCS := $(wildcard $(addsuffix /test/test_*.c,$(FOLDERS)))
TEST_HELPERS := $(filter-out $(TEST_SRCS),$(wildcard $(addsuffix /test/*.c,$(FOLDERS))))
UNIT_TESTS := $(TEST_SRCS:%.c=$(BUILD)/%)

all: $(BUILD)/minivmm

# Each folder of guest-tests adds its own targets; to UNIT_TESTS, cmocka programs.
include $(wildcard guest-tests/*/build.mk guest-tests/*/*/*.mk)

# What the last link was for: changing STATIC links again.
$(BUILD)/link-mode: force
	@mkdir -p $(@D); echo '$(STATIC)$(SANITIZE)' | cmp -s - $@ || echo '$(STATIC)$(SANITIZE)' >$@

# The agent, which minivmm carries: static and small, whatever the rest is. With musl's libc (Debian: musl-tools) it is a
# tenth of what it is with glibc's.
AGENT_CC ?= $(firstword $(shell command -v musl-gcc) $(CC))
AGENT_SRCS := $(wildcard boot/agent/*.c)
$(BUILD)/agent: $(AGENT_SRCS) $(wildcard boot/agent/*.h) vmm/base/jobproto.h
	@mkdir -p $(@D)
	$(AGENT_CC) -std=gnu11 -D_GNU_SOURCE -I. $(WARNINGS) -Os -ffunction-sections -fdata-sections -Wl,--gc-sections -static -s -o $@ $(AGENT_SRCS)
$(BUILD)/boot/agent_program.o: boot/agent_program.S $(BUILD)/agent
	@mkdir -p $(@D)
	$(CC) -DAGENT='"$(BUILD)/agent"' -c -o $@ $<

$(BUILD)/minivmm: $(OBJS) $(BUILD)/link-mode
	$(CC) -o $@ $(OBJS) $(ALL_LDFLAGS)

# Made from the tables of options, by a program that is linked with them.
$(BUILD)/manual: $(BUILD)/vmm/manual/manual.o $(BUILD)/libminivmm.a $(BUILD)/link-mode
	$(CC) -o $@ $(filter %.o %.a,$^) $(ALL_LDFLAGS)
$(BUILD)/minivmm.1: $(BUILD)/manual $(BUILD)/version.h
	$(BUILD)/manual man '$(VERSION)' >$@
$(BUILD)/minivmm.bash: $(BUILD)/manual
	$(BUILD)/manual bash >$@

PREFIX ?= /usr/local
INSTALLED := bin/minivmm share/man/man1/minivmm.1 share/bash-completion/completions/minivmm
install: $(BUILD)/minivmm $(BUILD)/minivmm.1 $(BUILD)/minivmm.bash
	install -D -m 755 $(BUILD)/minivmm '$(DESTDIR)$(PREFIX)/$(word 1,$(INSTALLED))'
	install -D -m 644 $(BUILD)/minivmm.1 '$(DESTDIR)$(PREFIX)/$(word 2,$(INSTALLED))'
	install -D -m 644 $(BUILD)/minivmm.bash '$(DESTDIR)$(PREFIX)/$(word 3,$(INSTALLED))'
uninstall:
	rm -f $(INSTALLED:%='$(DESTDIR)$(PREFIX)/%')

# The same bytes for the same source and compilers: no paths, no dates but the commit's, nobody's names and rights.
RELEASE := minivmm-$(VERSION)
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
RELEASE_MAX := 1600000
dist: force
	@command -v musl-gcc >/dev/null || { echo 'make dist: this host has no musl-gcc (sudo apt-get install musl-tools)' >&2; exit 1; }
	rm -rf $(BUILD)/dist/root
	$(MAKE) BUILD=$(BUILD)/dist STATIC=1 SANITIZE= CFLAGS='-O2 -Wdate-time -ffunction-sections -fdata-sections -ffile-prefix-map="$(CURDIR)=."' \
		LDFLAGS='-Wl,--gc-sections -Wl,--build-id=none -s' DESTDIR=$(BUILD)/dist/root PREFIX=/$(RELEASE) install
	cp -r README.md LICENSE configs $(BUILD)/dist/root/$(RELEASE)
	@size=$$(stat -c %s $(BUILD)/dist/minivmm); echo "minivmm: $$size bytes, with an agent of $$(stat -c %s $(BUILD)/dist/agent)"; \
		[ $$size -le $(RELEASE_MAX) ] || { echo 'make dist: that is more than $(RELEASE_MAX)' >&2; exit 1; }
	tar -C $(BUILD)/dist/root --sort=name --format=ustar --mtime=@$(SOURCE_DATE_EPOCH) --owner=0 --group=0 --numeric-owner \
		--mode=u+rwX,go+rX,go-w,-s -c $(RELEASE) | gzip -9n >$(BUILD)/$(RELEASE).tar.gz
	@sha256sum $(BUILD)/$(RELEASE).tar.gz

$(BUILD)/libminivmm.a: $(LIB_OBJS)
	rm -f $@; ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/version.h: force
	@mkdir -p $(@D); echo '#define MINIVMM_VERSION "$(VERSION)"' | cmp -s - $@ || \
		echo '#define MINIVMM_VERSION "$(VERSION)"' >$@
$(BUILD)/vmm/main.o: $(BUILD)/version.h
$(BUILD)/vmm/main.o: ALL_CFLAGS += -include $(BUILD)/version.h

# The names of this machine's system calls, for the line about a forbidden one.
$(BUILD)/syscall_names.h:
	@mkdir -p $(@D); echo '#include <asm/unistd.h>' | $(CC) -E -dM - | \
		sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9]*\)$$/[\2] = "\1",/p' >$@
$(BUILD)/vmm/fault.o: $(BUILD)/syscall_names.h
$(BUILD)/vmm/fault.o: ALL_CFLAGS += -I$(BUILD)

define unit_test
$(filter $(BUILD)/$(1)/%,$(TEST_SRCS:%.c=$(BUILD)/%)): %: %.o \
		$(sort $(filter $(BUILD)/$(1)/% $(BUILD)/vmm/base/%,$(TEST_HELPERS:%.c=$(BUILD)/%.o))) $(BUILD)/libminivmm.a
	$$(CC) -o $$@ $$^ $$(ALL_LDFLAGS) -lcmocka
endef
$(foreach p,$(PARTS),$(eval $(call unit_test,$(p))))

# The host's kernel is the test's.
$(BUILD)/devices/virtio/test/test_net_vhost $(BUILD)/devices/virtio/test/test_net_vhost_hands: LDFLAGS += -Wl,--wrap=ioctl

# The test is a vCPU that acts while the device looks.
$(BUILD)/devices/virtio/test/test_turns: LDFLAGS += -Wl,--wrap=virtq_pop,--wrap=virtq_push,--wrap=virtq_kicks_on

# Several at a time: most of them wait most of the time. What one says stays together.
UNIT_JOBS ?= 6
unit: $(UNIT_TESTS)
	@printf '%s\n' $(UNIT_TESTS) | xargs -P $(UNIT_JOBS) -I{} sh -c 'timeout 300 {} >{}.log 2>&1; status=$$?; \
		exec flock $(BUILD)/libminivmm.a sh -c "echo == {}; cat {}.log; exit $$status"'

# Who may know what; and that the check finds a breach of each rule.
layers:
	@.ci/layers
	@.ci/layers-test

CLANG_FORMAT ?= clang-format
FORMATTED := $(shell git ls-files '*.c' '*.h' 2>/dev/null)
format:
	$(CLANG_FORMAT) -i $(FORMATTED)
format-check:
	$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)

check: layers unit

# Everything that tests and benchmarks run, besides minivmm itself.
tools: $(GUESTS) $(BENCH_PROGS) $(BUILD)/guest-stack linux-tools

test: all tools
	@guest-tests/run

soak: all tools
	@guest-tests/soak

asan:
	$(MAKE) BUILD=$(BUILD)/asan SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all" \
		CFLAGS="-O1 -g1" STATIC= unit

# Without -Wno-tsan gcc stops at fences, which TSan does not follow; the orders that count here are acquire and release.
# What is meant is told by the function that reads, of which a busy host would have forgotten with less history.
# The sandbox's own test is left out: its filter stops calls of TSan's run-time, too.
tsan:
	TSAN_OPTIONS="suppressions='$(CURDIR)/guest-tests/fuzz/tsan.supp' history_size=7 $(TSAN_OPTIONS)" $(MAKE) BUILD=$(BUILD)/tsan \
		SANITIZE=-fsanitize=thread CFLAGS="-O1 -g1 -Wno-tsan" STATIC= unit \
		UNIT_TESTS="$(filter-out %/test_sandbox,$(UNIT_TESTS:$(BUILD)/%=$(BUILD)/tsan/%))"

clean:
	rm -rf $(BUILD)

-include $(OBJS:.o=.d) $(BUILD)/vmm/manual/manual.d $(UNIT_TESTS:=.d) $(TEST_HELPERS:%.c=$(BUILD)/%.d)
.PHONY: all install uninstall dist tools unit layers format format-check check soak asan tsan clean force test run bench
.SECONDARY:
.DELETE_ON_ERROR:
