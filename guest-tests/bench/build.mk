# The load program crr, the report, and their tests.

BENCH := guest-tests/bench
CRR_OBJS := $(patsubst %,$(BUILD)/$(BENCH)/%.o,crr load slot server netperf flood pattern opts hist pace netstat out util) \
	$(BUILD)/vmm/base/options.o
REPORT_OBJS := $(patsubst %,$(BUILD)/$(BENCH)/%.o,report report_html report_ledger report_rank results out)
BENCH_TESTS := $(patsubst $(BENCH)/test/%.c,$(BUILD)/$(BENCH)/test/%,$(wildcard $(BENCH)/test/test_*.c))
UNIT_TESTS += $(BENCH_TESTS)

# Static, because both are also put into guests that have no libraries.
$(BUILD)/crr: $(CRR_OBJS)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(if $(SANITIZE),,-static) -lm

$(BUILD)/launch $(BUILD)/floor: $(BUILD)/%: $(BUILD)/$(BENCH)/%.o
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(if $(SANITIZE),,-static)

# Static, for the software host.
$(BUILD)/job_initramfs: $(BUILD)/$(BENCH)/job_initramfs.o $(BUILD)/libminivmm.a
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(if $(SANITIZE),,-static)
tools: $(BUILD)/job_initramfs

$(BUILD)/wire: $(BUILD)/$(BENCH)/wire.o
	$(CC) -o $@ $^ $(ALL_LDFLAGS)

$(BUILD)/report: $(REPORT_OBJS)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) -lm

$(BUILD)/$(BENCH)/test/test_%: $(BUILD)/$(BENCH)/test/test_%.o $(filter-out %/crr.o,$(CRR_OBJS)) $(BUILD)/$(BENCH)/results.o \
		$(BUILD)/vmm/base/test/messages.o $(BUILD)/vmm/base/test/parent.o
	$(CC) -o $@ $^ $(ALL_LDFLAGS) -lcmocka -lm

BENCH_PROGS := $(addprefix $(BUILD)/,minivmm crr launch floor report wire)

# Short: minivmm beside bare metal. What can be set is told in $(BENCH)/bench.
run: $(BENCH_PROGS) guest
	BUILD=$(BUILD) $(BENCH)/bench run

# Long: every peer and mode; GUEST=linux: with the guest of make guest-linux. What can be set is told in $(BENCH)/bench.
bench: $(BENCH_PROGS) guest linux-tools
	BUILD=$(BUILD) $(BENCH)/bench

# `make experiment nic-model`, accept-rate or queues; SHORT=1 in seconds. What they are is told in $(BENCH)/experiment.
EXPERIMENTS := nic-model accept-rate queues
experiment: $(BENCH_PROGS) guest
	BUILD=$(BUILD) $(BENCH)/experiment $(or $(NAME),$(filter $(EXPERIMENTS),$(MAKECMDGOALS)),$(filter-out experiment,$(MAKECMDGOALS)))
$(EXPERIMENTS): experiment
	@:
.PHONY: experiment $(EXPERIMENTS)

-include $(CRR_OBJS:.o=.d) $(REPORT_OBJS:.o=.d) $(BENCH_TESTS:=.d)

