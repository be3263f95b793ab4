/* The command line and a configuration file. The input: arguments that end in 0, an empty one, the file. */
#include "guest-tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "vmm/config.h"

#define MAX_ARGS 16

/* Strings of a configuration live as long as the process, which here is too long: linked with --wrap. */
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);

static char *kept[4096];
static unsigned int nr_kept;

char *__wrap_strdup(const char *s)
{
	char *copy = __real_strdup(s);

	fuzz_check(copy && nr_kept < ARRAY_SIZE(kept));
	return kept[nr_kept++] = copy;
}

void fuzz_one(struct fuzz *f)
{
	char *text = malloc(f->left + 1), *argv[MAX_ARGS + 2] = { (char *)"minivmm" };
	char config_file[48], *at = text, *end = text + f->left;
	enum config_action action;
	struct config config;
	int argc = 1;

	memcpy(text, f->at, f->left);
	text[f->left] = 0;
	while (argc <= MAX_ARGS && at < end && *at) {
		argv[argc++] = at;
		at += strlen(at) + 1;
	}
	at = MIN(at + 1, end);
	snprintf(config_file, sizeof(config_file), "--config=%s",
		 fuzz_file(0, at, (size_t)(end - at), 0));
	argv[argc++] = config_file;
	if (!config_parse(&config, argc, argv, &action) && action == CONFIG_RUN) {
		fuzz_check(config.kernel && config.mem && config.cpus);
		fuzz_check(config.nr_nets <= CONFIG_MAX_NETS &&
			   config.nr_disks <= CONFIG_MAX_DISKS);
	}
	free(text);
	while (nr_kept)
		free(kept[--nr_kept]);
}
