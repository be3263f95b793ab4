/* The command line and a configuration file. The input: arguments that end in 0, an empty one, the file. */
#include "guest-tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/fs.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "vmm/config.h"

#define MAX_ARGS 16

/*
 * Strings and options of a configuration live as long as the process, which here is too long: linked with
 * --wrap, what is not freed is noted, and freed once the input has done its work.
 */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void __real_free(void *p);
void __wrap_free(void *p);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);

static void *kept[8192];
static unsigned int nr_kept;
static bool keeping;

static void *keep(void *p)
{
	if (keeping) {
		fuzz_check(nr_kept < ARRAY_SIZE(kept));
		kept[nr_kept++] = p;
	}
	return p;
}

void *__wrap_malloc(size_t size)
{
	return keep(__real_malloc(size));
}

char *__wrap_strdup(const char *s)
{
	return keep(__real_strdup(s));
}

void __wrap_free(void *p)
{
	for (unsigned int i = nr_kept; keeping && i-- > 0;)
		if (kept[i] == p)
			kept[i] = NULL;
	__real_free(p);
}

static void parse(struct fuzz *f, char *text)
{
	const struct option_group *const devices[] = { virtio_net_kind.options,
						       virtio_blk_kind.options,
						       virtio_fs_kind.options,
						       virtio_rng_kind.options, NULL };
	char *argv[MAX_ARGS + 2] = { (char *)"minivmm" };
	char *at = text, *const end = text + f->left;
	enum config_action action;
	struct config config;
	char config_file[48];
	int argc = 1;

	memcpy(text, f->at, f->left);
	*end = 0;
	while (argc <= MAX_ARGS && at < end && *at) {
		argv[argc++] = at;
		at += strlen(at) + 1;
	}
	at = MIN(at + 1, end);
	snprintf(config_file, sizeof(config_file), "--config=%s",
		 fuzz_file(0, at, (size_t)(end - at), 0));
	argv[argc++] = config_file;
	if (config_parse(&config, devices, argc, argv, &action) || action != CONFIG_RUN)
		return;
	fuzz_check(config.kernel && config.mem && config.cpus && config.append);
	fuzz_check(config.nr_devices <= CONFIG_MAX_DEVICES);
	for (unsigned int i = 0; i < config.nr_devices; i++)
		fuzz_check(config.device[i].group && config.device[i].options);
}

void fuzz_one(struct fuzz *f)
{
	keeping = true;
	parse(f, malloc(f->left + 1));
	keeping = false;
	while (nr_kept)
		free(kept[--nr_kept]);
}
