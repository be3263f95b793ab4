/* Threads on CPUs of the host. */
#include "vmm/pin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/log.h"

/* A CPU's number at *@at, which goes behind it. */
static int parse_cpu(const char **at)
{
	char *end;
	const unsigned long cpu = strtoul(*at, &end, 10);

	if (**at < '0' || **at > '9' || cpu >= CPU_SETSIZE)
		return -EINVAL;
	*at = end;
	return (int)cpu;
}

/* "3" or "2-5". */
static int parse_range(cpu_set_t *cpus, const char **at)
{
	const int first = parse_cpu(at);
	int last = first;

	if (**at == '-') {
		++*at;
		last = parse_cpu(at);
	}
	if (first < 0 || last < first)
		return -EINVAL;
	for (int cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, cpus);
	return 0;
}

/* "net0=" begins a pin, anew where there is one; what has no name goes on with the one before. NULL: neither. */
static struct pin *parse_name(struct pins *pins, struct pin *before, const char **at)
{
	const size_t len = strcspn(*at, "=,");
	struct pin *pin = pins->pin;

	if ((*at)[len] != '=')
		return before;
	while (pin < pins->pin + pins->nr && (strncmp(pin->name, *at, len) || pin->name[len]))
		pin++;
	if (!len || len >= sizeof(pin->name) || pin == pins->pin + PIN_MAX)
		return NULL;
	*pin = (struct pin){ .used = false };
	memcpy(pin->name, *at, len);
	pins->nr = MAX(pins->nr, (unsigned int)(pin - pins->pin) + 1);
	*at += len + 1;
	return pin;
}

int pin_parse(void *at, const char *text)
{
	struct pins *pins = at;
	struct pin *pin = NULL;

	for (;; text++) {
		pin = parse_name(pins, pin, &text);
		if (!pin || parse_range(&pin->cpus, &text))
			return -EINVAL;
		if (*text != ',')
			return *text ? -EINVAL : 0;
	}
}

/* The pin of the thread by its name, else that of its kind. Both are of a thread that there is. */
static const struct pin *find(struct pins *pins, const char *name)
{
	const size_t kind = strcspn(name, "0123456789");
	const struct pin *of_kind = NULL, *own = NULL;

	for (unsigned int i = 0; i < pins->nr; i++) {
		struct pin *p = &pins->pin[i];

		if (!strcmp(p->name, name))
			own = p;
		else if (strlen(p->name) == kind && !strncmp(p->name, name, kind))
			of_kind = p;
		else
			continue;
		p->used = true;
	}
	return own ? own : of_kind;
}

int pin_thread(struct pins *pins, const char *name)
{
	const struct pin *pin = find(pins, name);
	const size_t len = strlen(pins->seen);
	cpu_set_t now;

	snprintf(pins->seen + len, sizeof(pins->seen) - len, "%s%s", len ? " " : "", name);
	if (!pin)
		return 0;
	if (sched_setaffinity(0, sizeof(pin->cpus), &pin->cpus) < 0 && errno != EINVAL)
		return log_fail(-errno, "cannot pin thread %s: %s", name, strerror(errno));
	/* Of several CPUs the kernel takes those that there are, and says nothing. */
	CPU_ZERO(&now);
	sched_getaffinity(0, sizeof(now), &now);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &pin->cpus) && !CPU_ISSET(cpu, &now))
			return log_fail(
				-EINVAL,
				"cannot pin thread %s to CPU %d: it is not there, or outside our cpuset (Cpus_allowed_list in /proc/self/status has those to choose from)",
				name, cpu);
	return 0;
}

static int confine(void *arg, const struct thread *thread)
{
	struct pins *pins = arg;
	const int ret = pin_thread(pins, thread->name);

	return ret ? ret : pins->behind->confine(pins->behind->arg, thread);
}

void pin_guard(struct pins *pins, const struct thread_guard *behind)
{
	pins->guard = (struct thread_guard){ .confine = confine, .arg = pins };
	pins->behind = behind;
}

int pin_main(struct pins *pins)
{
	const int ret = pin_thread(pins, "main");

	if (ret)
		return ret;
	for (unsigned int i = 0; i < pins->nr; i++)
		if (!pins->pin[i].used)
			return log_fail(-EINVAL,
					"cannot pin '%s': there is no such thread (there are: %s)",
					pins->pin[i].name, pins->seen);
	return 0;
}
