/* Files that clash. */
#include "vmm/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/base/log.h"

/* A file system that others keep, and who may not answer. @fd: where it is open already, or -1. */
static void note_file_system(struct files *files, const char *path, int fd)
{
	static const uint32_t remote[] = {
		FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,   CIFS_SUPER_MAGIC,
		SMB2_SUPER_MAGIC, V9FS_MAGIC,	    CEPH_SUPER_MAGIC,  AFS_FS_MAGIC,
		AFS_SUPER_MAGIC,  CODA_SUPER_MAGIC, OCFS2_SUPER_MAGIC,
	};
	struct statfs fs;

	if ((fd < 0 ? statfs(path, &fs) : fstatfs(fd, &fs)) < 0)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(remote); i++)
		files->remote |= (uint32_t)fs.f_type == remote[i];
}

static void look_behind(struct file *f, int fd)
{
	const int own_fd = fd < 0 ? open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
	struct loop_info64 info;

	if (ioctl(fd < 0 ? own_fd : fd, LOOP_GET_STATUS64, &info) == 0) {
		f->behind_dev = info.lo_device;
		f->behind_ino = info.lo_inode;
	}
	close_fd(own_fd);
}

static bool is_behind(const struct file *f, const struct file *loop)
{
	return loop->behind_ino && f->dev == loop->behind_dev && f->ino == loop->behind_ino;
}

static bool is_same(const struct file *a, const struct file *b)
{
	return (a->dev == b->dev && a->ino == b->ino) || is_behind(a, b) || is_behind(b, a);
}

static const char *name_of(const struct file *f)
{
	return f->path ? f->path : f->fd_name;
}

static int add(struct files *files, struct file new, int fd)
{
	struct stat st;

	note_file_system(files, new.path, fd);
	if ((fd < 0 ? stat(new.path, &st) : fstat(fd, &st)) < 0)
		return 0;
	/* The node of a device may have many names; pipes and terminals are shared as a matter of course. */
	new.dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	new.ino = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return 0;
	if (S_ISBLK(st.st_mode))
		look_behind(&new, fd);
	for (unsigned int i = 0; i < files->nr; i++) {
		const struct file *old = &files->file[i];

		if (old->directory || !is_same(old, &new) || (!old->written && !new.written) ||
		    (old->inherited && new.inherited))
			continue;
		return log_fail(-EINVAL, "cannot use '%s' as %s: it is also the %s%s%s%s",
				name_of(&new), new.what, old->what, old->inherited ? "" : " '",
				old->inherited ? "" : name_of(old), old->inherited ? "" : "'");
	}
	if (files->nr < ARRAY_SIZE(files->file))
		files->file[files->nr++] = new;
	return 0;
}

int files_add_inherited(struct files *files, const char *what, int fd, bool written)
{
	return add(
		files,
		(struct file){ .what = what, .path = what, .written = written, .inherited = true },
		fd);
}

int files_add_fd(struct files *files, const char *what, int fd, bool written)
{
	struct file file = { .what = what, .written = written };

	snprintf(file.fd_name, sizeof(file.fd_name), "fd=%d", fd);
	return add(files, file, fd);
}

int files_add(struct files *files, const char *what, const char *path, bool written)
{
	return path ? add(files, (struct file){ .what = what, .path = path, .written = written },
			  -1)
		    : 0;
}

void files_add_directory(struct files *files, const char *path, bool written)
{
	struct stat st;

	note_file_system(files, path, -1);
	if (!written || stat(path, &st) < 0 || files->nr == ARRAY_SIZE(files->file))
		return;
	files->file[files->nr++] = (struct file){
		.path = path, .dev = st.st_dev, .ino = st.st_ino, .directory = true
	};
}

static const struct file *find_directory(const struct files *files, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return NULL;
	for (unsigned int i = 0; i < files->nr; i++) {
		const struct file *f = &files->file[i];

		if (f->directory && f->dev == st.st_dev && f->ino == st.st_ino)
			return f;
	}
	return NULL;
}

void files_warn_if_shared(const struct files *files, const char *what, const char *name,
			  const char *path)
{
	const struct file *above = NULL;
	char *at = realpath(path, NULL), *slash;

	/* From the directory that it is in upwards. */
	while (at && !above && (slash = strrchr(at, '/'))) {
		*slash = '\0';
		above = find_directory(files, *at ? at : "/");
	}
	if (above)
		log_warn(
			"the guest can change the %s '%s' as a file, too: it lies below '%s', which is shared (keep it elsewhere, or share read-only)",
			what, name, above->path);
	free(at);
}

int files_add_output(struct files *files, const char *what, const char *path, int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	if (S_ISBLK(st.st_mode))
		return log_fail(-EINVAL, "cannot use '%s' as %s: it is a block device", path, what);
	files_warn_if_shared(files, what, path, path);
	return add(files, (struct file){ .what = what, .path = path, .written = true }, fd);
}

int files_open_output(struct files *files, struct output *o)
{
	int ret;

	if (!o || !o->path)
		return 0;
	ret = sink_open(&o->sink, o->path);
	if (ret)
		return log_fail(ret, "cannot open %s '%s': %s", o->what, o->path, strerror(-ret));
	if (o->max)
		o->sink.room = o->max;
	return files_add_output(files, o->what, o->path, o->sink.fd);
}

void files_begin_output(struct output *o)
{
	if (!o)
		return;
	sink_begin(&o->sink);
	o->begun = true;
}

static int add_device(struct files *files, const struct device_kind *kind, const void *options,
		      bool directories)
{
	const struct device_file f = kind->file(options);
	const char *what = kind->options->name;
	char link[32], name[16];
	int ret = 0;

	if (f.directory != directories)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", f.fd);
	snprintf(name, sizeof(name), "fd=%d", f.fd);
	if (directories)
		files_add_directory(files, f.path, f.written);
	else
		ret = f.path ? files_add(files, what, f.path, f.written)
			     : files_add_fd(files, what, f.fd, f.written);
	if (!ret && !directories)
		files_warn_if_shared(files, what, f.path ? f.path : name, f.path ? f.path : link);
	return ret;
}

static int add_devices(struct files *files, const struct config *config,
		       const struct device_kind *const *kinds, unsigned int nr_kinds,
		       bool directories)
{
	int ret = 0;

	for (unsigned int i = 0; i < config->nr_devices; i++)
		for (unsigned int k = 0; !ret && k < nr_kinds; k++)
			if (config->device[i].group == kinds[k]->options && kinds[k]->file)
				ret = add_device(files, kinds[k], config->device[i].options,
						 directories);
	return ret;
}

int files_add_inputs(struct files *files, const struct config *config,
		     const struct device_kind *const *kinds, unsigned int nr_kinds)
{
	int ret = files_add_inherited(files, "standard error", STDERR_FILENO, true);

	if (!ret && !config->console.where)
		ret = files_add_inherited(files, "standard input", STDIN_FILENO, false)
			      ?: files_add_inherited(files, "standard output", STDOUT_FILENO, true);
	for (unsigned int i = 0; !ret && i < config->nr_configs; i++)
		ret = files_add(files, "configuration file", config->config[i], false);
	/* Shares before the other devices, which may lie below them. */
	return ret ?: files_add(files, "kernel", config->kernel, false) ?:
		      files_add(files, "initrd", config->initrd, false) ?:
		      add_devices(files, config, kinds, nr_kinds, true) ?:
		      add_devices(files, config, kinds, nr_kinds, false);
}
