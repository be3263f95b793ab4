/*
 * cases.c - the small guest tests, chosen by case=NAME on the command line.
 */
#include "cases.h"
#include "cmdline.h"
#include "console.h"
#include "lib.h"
#include "machine.h"

static const struct {
	const char *name;
	int (*run)(void);
} cases[] = {
	{ "exit", NULL },
};

int cases_run(void)
{
	size_t length;
	const char *name = cmdline_find(machine.cmdline, "case=", 0, &length);

	if (name == NULL)
		return -1;
	for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (length == strlen(cases[i].name) && memcmp(name, cases[i].name, length) == 0)
			return cases[i].run != NULL ? cases[i].run() : 0;
	return 103;
}
