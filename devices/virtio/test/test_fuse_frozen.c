/* The FUSE server: a directory in which the host changes nothing, which the guest reads without opening. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "devices/virtio/test/fuse_rig.h"
#include "vmm/base/test/unit.h"

#define KNOWS (FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT | FUSE_ATOMIC_O_TRUNC)
#define DAY   (24 * 60 * 60)

static void start_frozen(struct fixture *f, uint32_t flags)
{
	start_share(f, FUSE_FROZEN);
	assert_int_equal(init(f, flags), 0);
}

static uint32_t told_flags(const struct fixture *f)
{
	return ((const struct fuse_init_out *)body(f))->flags;
}

/* What is read of @id from @offset on is @text; 0 or -errno. */
static int read_node(struct fixture *f, uint64_t id, uint64_t offset, const char *text)
{
	/* A handle from the guest says nothing here. */
	const struct fuse_read_in in = { .fh = ~id, .offset = offset, .size = 4096 };
	const int ret = call(f, FUSE_READ, id, &in, NULL);

	if (!ret) {
		assert_int_equal(f->len, strlen(text));
		assert_memory_equal(body(f), text, f->len);
	}
	return ret;
}

/* As many entries as @dir has, and of each name its number if @plus; or -errno. */
static int count(struct fixture *f, uint64_t dir, uint32_t size, bool plus)
{
	struct fuse_read_in in = { .size = size };
	const size_t fixed = plus ? sizeof(struct fuse_entry_out) : 0;
	int n = 0, ret;

	do {
		ret = call(f, plus ? FUSE_READDIRPLUS : FUSE_READDIR, dir, &in, NULL);
		if (ret)
			return ret;
		for (size_t at = 0; at < f->len; n++) {
			const uint8_t *entry = (const uint8_t *)body(f) + at;
			const struct fuse_dirent *d = (const void *)(entry + fixed);

			assert_true(!plus || d->name[0] == '.' ||
				    ((const struct fuse_entry_out *)entry)->nodeid);
			in.offset = d->off;
			at += FUSE_DIRENT_ALIGN(fixed + FUSE_NAME_OFFSET + d->namelen);
		}
	} while (f->len);
	return n;
}

static int opened(struct fixture *f, uint32_t opcode, uint64_t id, uint32_t flags)
{
	const struct fuse_open_in in = { .flags = flags };

	return call(f, opcode, id, &in, NULL);
}

static int get_attribute(struct fixture *f, uint64_t id)
{
	const struct fuse_getxattr_in in = { .size = 100 };

	return call(f, FUSE_GETXATTR, id, &in, "user.x");
}

/* ---- what is refused ---- */

static void what_is_not_to_be_read_is_not(void **state)
{
	struct fixture *f = *state;
	uint64_t dir, file;

	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(mkfifo("fifo", 0666), 0);
	assert_int_equal(symlink("/etc/passwd", "link"), 0);
	put_file("file", "text");
	start_frozen(f, KNOWS);
	dir = node(f, FUSE_ROOT_ID, "d");
	file = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(read_node(f, dir, 0, ""), -EISDIR);
	assert_int_equal(read_node(f, node(f, FUSE_ROOT_ID, "fifo"), 0, ""), -ENXIO);
	assert_int_equal(read_node(f, node(f, FUSE_ROOT_ID, "link"), 0, ""), -ENXIO);
	assert_int_equal(count(f, file, 4096, false), -ENOTDIR);
	assert_int_equal(count(f, file, 4096, true), -ENOTDIR);
	assert_int_equal(read_node(f, 12345, 0, ""), -ESTALE);
	assert_int_equal(read_node(f, 0, 0, ""), -ESTALE);
	assert_int_equal(count(f, file << 32, 4096, true), -ESTALE);
	assert_int_equal(read_node(f, file, ~0ull, ""), -EINVAL);
	/* A handle was never given out, and cannot be given back. */
	for (uint64_t fh = 0; fh < 10; fh++) {
		assert_int_equal(release(f, FUSE_RELEASE, fh), -EBADF);
		assert_int_equal(release(f, FUSE_RELEASEDIR, fh), -EBADF);
	}
	assert_int_equal(read_node(f, file, 0, "text"), 0);
}

static void nothing_can_be_changed(void **state)
{
	struct fixture *f = *state;
	const struct fuse_setattr_in size = { .valid = FATTR_SIZE };
	const struct fuse_write_in at = { .size = 1 };
	uint64_t file, fh;

	put_file("file", "text");
	start_frozen(f, KNOWS);
	/* A guest that opens nothing would not tell of it. */
	assert_false(told_flags(f) & FUSE_ATOMIC_O_TRUNC);
	file = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(call(f, FUSE_SETATTR, file, &size, NULL), -EROFS);
	assert_int_equal(call_with(f, FUSE_WRITE, file, &at, sizeof(at), NULL, NULL, "x", 1),
			 -EROFS);
	assert_int_equal(create_file(f, FUSE_ROOT_ID, "new", O_RDWR, 0644, &fh), -EROFS);
	assert_int_equal(call_with(f, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "file", NULL, NULL, 0),
			 -EROFS);
	assert_int_equal(read_node(f, file, 0, "text"), 0);
	/* Nor by one that does open. */
	start_frozen(f, 0);
	file = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(opened(f, FUSE_OPEN, file, O_RDWR), -EROFS);
	assert_int_equal(opened(f, FUSE_OPEN, file, O_RDONLY | O_TRUNC), -EROFS);
}

/* Of a file that the host replaces, never a mixture: the old one's contents, or none. */
static void a_file_that_is_replaced_is_the_old_one_or_stale(void **state)
{
	struct fixture *f = *state;
	uint64_t held, known, dir;

	put_file("held", "old");
	put_file("known", "old");
	assert_int_equal(mkdir("d", 0755), 0);
	put_file("d/x", "");
	start_frozen(f, KNOWS);
	held = node(f, FUSE_ROOT_ID, "held");
	known = node(f, FUSE_ROOT_ID, "known");
	dir = node(f, FUSE_ROOT_ID, "d");
	assert_int_equal(read_node(f, held, 0, "old"), 0);
	put_file("new", "a new one");
	assert_int_equal(rename("new", "held"), 0);
	put_file("new", "a new one");
	assert_int_equal(rename("new", "known"), 0);
	assert_int_equal(read_node(f, held, 1, "ld"), 0);
	assert_int_equal(read_node(f, known, 0, ""), -ESTALE);
	assert_int_equal(read_node(f, node(f, FUSE_ROOT_ID, "known"), 0, "a new one"), 0);
	assert_int_equal(rename("d", "e"), 0);
	assert_int_equal(count(f, dir, 4096, false), 3);
}

/* ---- what is saved ---- */

static void a_file_is_read_without_being_opened(void **state)
{
	struct fixture *f = *state;
	struct fuse_getattr_in ask = { 0 };
	struct fuse_lseek_in seek = { .whence = SEEK_DATA };
	struct fuse_entry_out e;
	char name[16];

	assert_int_equal(mkdir("d", 0755), 0);
	put_file("d/file", "contents");
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		put_file(name, "");
	}
	start_frozen(f, KNOWS);
	assert_int_equal(told_flags(f) & KNOWS, FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT);
	assert_int_equal(lookup(f, node(f, FUSE_ROOT_ID, "d"), "file", &e), 0);
	assert_int_equal(opened(f, FUSE_OPEN, e.nodeid, O_RDONLY), -ENOSYS);
	assert_int_equal(opened(f, FUSE_OPENDIR, FUSE_ROOT_ID, O_RDONLY), -ENOSYS);
	assert_int_equal(read_node(f, e.nodeid, 0, "contents"), 0);
	assert_int_equal(read_node(f, e.nodeid, 6, "ts"), 0);
	assert_int_equal(call(f, FUSE_LSEEK, e.nodeid, &seek, NULL), 0);
	for (uint32_t size = 200; size < 10000; size *= 3) {
		assert_int_equal(count(f, node(f, FUSE_ROOT_ID, "d"), size, true), 303);
		assert_int_equal(count(f, node(f, FUSE_ROOT_ID, "d"), size, false), 303);
	}
	/* The root's is read by the same descriptor in the next session. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(count(f, FUSE_ROOT_ID, 4096, false), 3);
		assert_int_equal(init(f, KNOWS), 0);
	}
	/* For a day it holds what is told. */
	assert_int_equal(lookup(f, FUSE_ROOT_ID, "d", &e), 0);
	assert_int_equal(e.entry_valid, DAY);
	assert_int_equal(e.attr_valid, DAY);
	assert_int_equal(call(f, FUSE_GETATTR, e.nodeid, &ask, NULL), 0);
	assert_int_equal(((const struct fuse_attr_out *)body(f))->attr_valid, DAY);
	assert_int_equal(lookup(f, FUSE_ROOT_ID, "none", &e), 0);
	assert_int_equal(e.nodeid, 0);
	assert_int_equal(e.entry_valid, DAY);
}

static void attributes_are_asked_for_once(void **state)
{
	struct fixture *f = *state;
	const struct fuse_getxattr_in list = { 0 };

	start_frozen(f, KNOWS);
	assert_int_equal(get_attribute(f, FUSE_ROOT_ID), -ENOSYS);
	assert_int_equal(call(f, FUSE_LISTXATTR, FUSE_ROOT_ID, &list, NULL), -ENOSYS);
	start_share(f, FUSE_READ_ONLY);
	assert_int_not_equal(get_attribute(f, FUSE_ROOT_ID), -ENOSYS);
	assert_int_equal(call(f, FUSE_LISTXATTR, FUSE_ROOT_ID, &list, NULL), 0);
}

/* A guest that knows only half of it opens as in any share; so does the next driver. */
static void who_does_not_know_how_opens(void **state)
{
	struct fixture *f = *state;
	static const uint32_t flags[] = { 0, FUSE_NO_OPEN_SUPPORT, FUSE_NO_OPENDIR_SUPPORT };
	uint64_t file, fh;

	put_file("file", "text");
	start_frozen(f, KNOWS);
	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		assert_int_equal(init(f, flags[i]), 0);
		file = node(f, FUSE_ROOT_ID, "file");
		assert_int_equal(read_node(f, file, 0, ""), -EBADF);
		assert_int_equal(open_file(f, file, O_RDONLY, &fh), 0);
		assert_int_equal(read_at(f, fh, 0, 100), 0);
		assert_int_equal(f->len, 4);
		assert_int_equal(opened(f, FUSE_OPENDIR, FUSE_ROOT_ID, O_RDONLY), 0);
		assert_int_equal(count(f, file, 4096, false), -EBADF);
	}
	/* And no other share goes without, whatever the guest knows. */
	start_share(f, FUSE_READ_ONLY);
	assert_int_equal(init(f, KNOWS), 0);
	assert_int_equal(told_flags(f) & KNOWS, FUSE_ATOMIC_O_TRUNC);
	assert_int_equal(open_file(f, node(f, FUSE_ROOT_ID, "file"), O_RDONLY, &fh), 0);
}

/* ---- descriptors ---- */

#define MANY 300

static void what_was_read_last_stays_within_the_descriptors(void **state)
{
	struct fixture *f = *state;
	const unsigned int before = open_descriptors();
	uint64_t id[MANY], inodes, fds;
	char name[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		put_file(name, name);
	}
	few_descriptors();
	start_frozen(f, KNOWS);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < MANY; i++) {
			snprintf(name, sizeof(name), "f%d", i);
			id[i] = node(f, FUSE_ROOT_ID, name);
			assert_int_equal(read_node(f, id[i], 0, name), 0);
			assert_int_equal(read_node(f, id[0], 0, "f0"), 0);
			fuse_usage(f->fuse, &inodes, &fds);
			assert_true(fds && fds <= (before + FEW_DESCRIPTORS) / 4 + 2);
		}
	assert_int_equal(inodes, 1 + MANY);
	assert_int_equal(count(f, FUSE_ROOT_ID, 4096, true), MANY + 2);
	fuse_reset(f->fuse);
	fuse_usage(f->fuse, &inodes, &fds);
	assert_int_equal(inodes, 1);
	assert_int_equal(fds, 0);
	fuse_destroy(f->fuse);
	f->fuse = NULL;
	assert_int_equal(open_descriptors(), before - 1); /* the share's own is gone, too */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_is_not_to_be_read_is_not),
		test(nothing_can_be_changed),
		test(a_file_that_is_replaced_is_the_old_one_or_stale),
		test(a_file_is_read_without_being_opened),
		test(attributes_are_asked_for_once),
		test(who_does_not_know_how_opens),
		test(what_was_read_last_stays_within_the_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
