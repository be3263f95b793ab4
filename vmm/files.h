/*
 * The user's files: none may be read and also written over, and none written twice, by whatever names
 * (links, /dev/fd, another node of the same device, a loop device on it) it was given. Two loop devices on one file
 * may have a part of it each.
 *
 * Inputs are noted first. Outputs are opened last and noted then, and emptied only when nothing can fail
 * any more; so a start that fails has changed no file.
 *
 * A disk or an output below a directory that the guest may write to is the guest's by another way, too: it is
 * told of. (Not seen: a hard link elsewhere, and what lies below a bind mount of a part of that directory.)
 */
#ifndef VMM_FILES_H
#define VMM_FILES_H

#include <stdbool.h>
#include <sys/stat.h>

#include "vmm/base/device.h"
#include "vmm/base/util.h"
#include "vmm/config.h"

struct files {
	struct file {
		const char *what, *path; /* for messages: "disk", and its name ... */
		char fd_name[16];	 /* ... or this, where that is NULL */
		dev_t dev, behind_dev;	 /* behind: of a loop device, its file's */
		ino_t ino, behind_ino;
		bool written, inherited;
		bool directory; /* a share that the guest may write to */
	} file[96];
	unsigned int nr;
	bool remote; /* one of them lies in a file system that others keep: a network's, FUSE */
};

/* Standard input, output or error: as far as we use it, it may be the same as the other two. */
int must_check files_add_inherited(struct files *files, const char *what, int fd, bool written);

/* A file that is opened elsewhere, where it exists. -EINVAL with a message where it clashes. */
int must_check files_add(struct files *files, const char *what, const char *path, bool written);

/* A directory below which the guest may write (@written) or only reads. */
void files_add_directory(struct files *files, const char *path, bool written);

/* Tell of file @path, the @what, where the guest can change it by a share; @path may be a link to it in /proc. */
void files_warn_if_shared(const struct files *files, const char *what, const char *name,
			  const char *path);

/* The same of what a parent has opened. */
int must_check files_add_fd(struct files *files, const char *what, int fd, bool written);

/* All that a machine of @config reads and what its disks are, before anything is opened. -EINVAL with a message. */
int must_check files_add_inputs(struct files *files, const struct config *config,
				const struct device_kind *const *kinds, unsigned int nr_kinds);

/* An output, open as @fd (-1: none); no block device. -EINVAL with a message. */
int must_check files_add_output(struct files *files, const char *what, const char *path, int fd);

/* Open it, if there is one to open, and the same. -errno with a message. Safe on NULL. */
int must_check files_open_output(struct files *files, struct output *output);

/* Nothing can fail any more: empty it. Safe on NULL. */
void files_begin_output(struct output *output);

#endif
