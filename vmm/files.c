/* Files that clash. */
#include "vmm/files.h"

#include <errno.h>
#include <unistd.h>

#include "vmm/base/log.h"

static int add(struct files *files, struct file new, const struct stat *st)
{
	/* The node of a device may have many names; pipes and terminals are shared as a matter of course. */
	new.dev = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
	new.ino = S_ISBLK(st->st_mode) ? 0 : st->st_ino;
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return 0;
	for (unsigned int i = 0; i < files->nr; i++) {
		const struct file *old = &files->file[i];

		if (old->dev != new.dev || old->ino != new.ino || (!old->written && !new.written) ||
		    (old->inherited && new.inherited))
			continue;
		log_error("cannot use '%s' as %s: it is also the %s%s%s%s", new.path, new.what,
			  old->what, old->inherited ? "" : " '", old->inherited ? "" : old->path,
			  old->inherited ? "" : "'");
		return -EINVAL;
	}
	if (files->nr < ARRAY_SIZE(files->file))
		files->file[files->nr++] = new;
	return 0;
}

int files_add_inherited(struct files *files, const char *what, int fd, bool written)
{
	struct stat st;
	const struct file file = {
		.what = what, .path = what, .written = written, .inherited = true
	};

	return fstat(fd, &st) < 0 ? 0 : add(files, file, &st);
}

int files_add_fd(struct files *files, const char *what, int fd, bool written)
{
	struct stat st;
	const struct file file = { .what = what, .path = "fd=", .written = written };

	return fstat(fd, &st) < 0 ? 0 : add(files, file, &st);
}

int files_add(struct files *files, const char *what, const char *path, bool written)
{
	struct stat st;
	const struct file file = { .what = what, .path = path, .written = written };

	return !path || stat(path, &st) < 0 ? 0 : add(files, file, &st);
}

int files_add_output(struct files *files, const char *what, const char *path, int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	if (S_ISBLK(st.st_mode)) {
		log_error("cannot use '%s' as %s: it is a block device", path, what);
		return -EINVAL;
	}
	return add(files, (struct file){ .what = what, .path = path, .written = true }, &st);
}

static int add_device(struct files *files, const struct config_device *device,
		      const struct device_kind *kind)
{
	const struct device_file f = kind->file(device->options);

	return f.path ? files_add(files, kind->options->name, f.path, f.written)
		      : files_add_fd(files, kind->options->name, f.fd, f.written);
}

int files_add_inputs(struct files *files, const struct config *config,
		     const struct device_kind *const *kinds, unsigned int nr_kinds)
{
	int ret = files_add_inherited(files, "standard error", STDERR_FILENO, true);

	if (!ret && !config->console.where)
		ret = files_add_inherited(files, "standard input", STDIN_FILENO, false);
	if (!ret && !config->console.where)
		ret = files_add_inherited(files, "standard output", STDOUT_FILENO, true);
	for (unsigned int i = 0; !ret && i < config->nr_configs; i++)
		ret = files_add(files, "configuration file", config->config[i], false);
	if (!ret)
		ret = files_add(files, "kernel", config->kernel, false);
	if (!ret)
		ret = files_add(files, "initrd", config->initrd, false);
	for (unsigned int i = 0; i < config->nr_devices; i++)
		for (unsigned int k = 0; !ret && k < nr_kinds; k++)
			if (config->device[i].group == kinds[k]->options && kinds[k]->file)
				ret = add_device(files, &config->device[i], kinds[k]);
	return ret;
}
