# Fuzz targets: one a file, linked with the real code. They want clang, and are built in folders of their own: with
# ASan, UBSan and counts of what is covered; those whose device copies memory of ours to the guest with MSan too.
#
#   make fuzz [SECS=30] [TARGET=net]    each target that long on its corpus, two at a time
#   make fuzz-corpus                    each file of the corpus once, and what they cover

FUZZ := guest-tests/fuzz
FUZZ_COMMON := $(addprefix $(FUZZ)/,fuzz.c card.c share.c) devices/net/test/netbe_pair.c devices/test/pci_machine.c
FUZZ_TARGETS := $(patsubst $(FUZZ)/%.c,%,$(filter-out $(FUZZ_COMMON),$(wildcard $(FUZZ)/*.c)))
FUZZ_MSAN := net blk
# All of devices/ and boot/ is linked, so that what nobody calls counts as not covered.
FUZZ_LIB := $(FUZZ_COMMON:%.c=$(BUILD)/%.o) $(filter $(BUILD)/devices/% $(BUILD)/boot/%,$(OBJS)) $(BUILD)/libminivmm.a

$(FUZZ_TARGETS:%=$(BUILD)/%): $(BUILD)/%: $(BUILD)/$(FUZZ)/%.o $(FUZZ_LIB)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) -fsanitize=fuzzer -Wl,--wrap=loop_create,--wrap=loop_start,--wrap=loop_destroy $(FUZZ_WRAP) -lcmocka

$(BUILD)/config: FUZZ_WRAP := -Wl,--wrap=malloc,--wrap=free,--wrap=strdup

# $(1): the folder; $(2): what to watch; $(3): the targets.
fuzz_build = $(MAKE) --no-print-directory -s BUILD=$(BUILD)/fuzz/$(1) CC=clang-14 STATIC= WARNINGS= CFLAGS="-O1 -g" \
	SANITIZE="$(2)" $(3:%=$(BUILD)/fuzz/$(1)/%)

fuzz-build:
	@$(FUZZ)/run need
	@+$(call fuzz_build,asan,-fsanitize=address -fsanitize=undefined -fsanitize=fuzzer-no-link -fno-sanitize-recover=all -fprofile-instr-generate -fcoverage-mapping,$(FUZZ_TARGETS))
	@+$(call fuzz_build,msan,-fsanitize=memory -fsanitize=fuzzer-no-link,$(FUZZ_MSAN))

fuzz-corpus: fuzz-build
	@$(FUZZ)/run 0 $(TARGET)

SECS ?= 30
fuzz: fuzz-build
	@$(FUZZ)/run $(SECS) $(TARGET)

.PHONY: fuzz fuzz-build fuzz-corpus

-include $(FUZZ_TARGETS:%=$(BUILD)/$(FUZZ)/%.d) $(FUZZ_COMMON:%.c=$(BUILD)/%.d)
