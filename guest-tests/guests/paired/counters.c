/* Everything the kernel counts. */
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/machine.h"

struct counters counters;

static const char *const names[] = {
#define COUNTER_NAME(name) #name,
	COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
};

uint32_t counters_text(char *text, uint32_t size)
{
	uint32_t used = 0;

	_Static_assert(sizeof(names) / sizeof(names[0]) == sizeof(counters) / sizeof(uint64_t),
		       "each counter has a name");
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t sum = 0;

		for (uint32_t cpu = 0; cpu < machine.cpus; cpu++)
			sum += ((const uint64_t *)machine_of(cpu, &counters))[i];
		uint32_t n = console_format(text + used, size - used, "%s=%lu\n", names[i], sum);

		if (n == size - used)
			return 0;
		used += n;
	}
	return used;
}

void counters_print(void)
{
	static char text[4096];

	console_write(text, counters_text(text, sizeof(text)));
}
