/* Descriptors that the parent left open. */
#include "vmm/inherited.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void inherited_note(struct inherited *in)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	*in = (struct inherited){ 0 };
	while (dir && (entry = readdir(dir))) {
		const int fd = atoi(entry->d_name);

		if (fd <= STDERR_FILENO || fd == dirfd(dir))
			continue;
		if (in->nr == in->room) {
			const unsigned int room = 2 * in->room + 16;
			int *grown = realloc(in->fd, room * sizeof(*grown));

			if (!grown)
				break;
			in->fd = grown;
			in->room = room;
		}
		in->fd[in->nr++] = fd;
	}
	if (dir)
		closedir(dir);
}

static bool is_named(const struct config *config, int fd)
{
	if (config->kvm_fd == fd)
		return true;
	for (unsigned int n = 0; n < config->nr_devices; n++) {
		const struct config_device *d = &config->device[n];

		for (struct option_iter i = { d->group }; options_next(&i);) {
			int value;

			if (i.option->type != OPTION_DESCRIPTOR)
				continue;
			memcpy(&value, (const char *)d->options + i.base + i.option->offset,
			       sizeof(value));
			if (value == fd)
				return true;
		}
	}
	return false;
}

void inherited_close(struct inherited *in, const struct config *config)
{
	for (unsigned int i = 0; i < in->nr; i++)
		if (!is_named(config, in->fd[i]))
			close(in->fd[i]);
	free(in->fd);
	*in = (struct inherited){ 0 };
}
