# The load program crr, and its tests.

BENCH := guest-tests/bench
CRR_OBJS := $(patsubst %,$(BUILD)/$(BENCH)/%.o,crr load server opts hist pace netstat out util)
BENCH_TESTS := $(patsubst $(BENCH)/test/%.c,$(BUILD)/$(BENCH)/test/%,$(wildcard $(BENCH)/test/test_*.c))
UNIT_TESTS += $(BENCH_TESTS)

# Static, because it is also put into guests that have no libraries.
$(BUILD)/crr: $(CRR_OBJS)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(if $(SANITIZE),,-static) -lm

$(BUILD)/$(BENCH)/test/test_%: $(BUILD)/$(BENCH)/test/test_%.o $(filter-out %/crr.o,$(CRR_OBJS))
	$(CC) -o $@ $^ $(ALL_LDFLAGS) -lcmocka -lm

bench-test: $(BUILD)/crr
	$(BENCH)/test/loopback $(BUILD)/crr

-include $(CRR_OBJS:.o=.d) $(BENCH_TESTS:=.d)
.PHONY: bench-test
