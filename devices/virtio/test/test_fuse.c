/* The FUSE server, driven by requests as a guest sends them, on a directory of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "devices/virtio/fuse.h"
#include "vmm/base/util.h"

/* One guest and its share. */
struct fixture {
	struct fuse *fuse;
	struct fuse_buffer *buffer;
	struct fuse_result result;
	char dir[64];
	_Alignas(8) uint8_t reply[2 << 20];
	uint32_t len; /* of the answer behind its header */
	int cwd;      /* of the test program */
};

static const void *body(const struct fixture *f)
{
	return f->reply + sizeof(struct fuse_out_header);
}

/* A request of @in's first @in_len bytes, whole; 0 or -errno as the guest is told, 1: no answer. */
static int raw(struct fixture *f, const void *in, size_t in_len, size_t room)
{
	/* Both lists in two pieces, split where it hurts. */
	struct iovec src[2] = { { (void *)in, in_len / 2 },
				{ (uint8_t *)in + in_len / 2, in_len - in_len / 2 } };
	struct iovec dst[2] = { { f->reply, MIN(room, 7u) },
				{ f->reply + 7, room > 7 ? room - 7 : 0 } };
	struct fuse_out_header *h = (void *)f->reply;
	const uint32_t n = fuse_serve(f->fuse, f->buffer, src, 2, dst, 2, &f->result);

	assert_true(n <= room);
	if (!n)
		return 1;
	assert_true(n >= sizeof(*h));
	assert_int_equal(h->len, n);
	assert_int_equal(h->unique, 0x1234567890ull);
	assert_int_equal(h->error, f->result.error);
	f->len = n - (uint32_t)sizeof(*h);
	return h->error;
}

static _Alignas(8) uint8_t request[2 << 20];

/* The same from its parts: arguments, then up to two strings, then data. */
static int call_with(struct fixture *f, uint32_t opcode, uint64_t node, const void *arg,
		     size_t arg_len, const char *name, const char *second, const void *data,
		     size_t data_len)
{
	struct fuse_in_header h = { .opcode = opcode, .nodeid = node, .unique = 0x1234567890ull };
	uint8_t *at = request + sizeof(h);

	if (arg_len)
		memcpy(at, arg, arg_len);
	at += arg_len;
	if (name)
		at = (uint8_t *)stpcpy((char *)at, name) + 1;
	if (second)
		at = (uint8_t *)stpcpy((char *)at, second) + 1;
	if (data_len)
		memcpy(at, data, data_len);
	at += data_len;
	h.len = (uint32_t)(at - request);
	memcpy(request, &h, sizeof(h));
	return raw(f, request, h.len, sizeof(f->reply));
}

#define call(f, opcode, node, arg, name) \
	call_with(f, opcode, node, arg, sizeof(*(arg)), name, NULL, NULL, 0)

static int init(struct fixture *f, uint32_t flags)
{
	const struct fuse_init_in in = {
		.major = 7, .minor = 36, .max_readahead = 1 << 20, .flags = flags
	};

	return call(f, FUSE_INIT, 0, &in, NULL);
}

static int lookup(struct fixture *f, uint64_t dir, const char *name, struct fuse_entry_out *e)
{
	const int ret = call_with(f, FUSE_LOOKUP, dir, NULL, 0, name, NULL, NULL, 0);

	memset(e, 0, sizeof(*e));
	if (!ret)
		memcpy(e, body(f), sizeof(*e));
	return ret;
}

static uint64_t node(struct fixture *f, uint64_t dir, const char *name)
{
	struct fuse_entry_out e;

	assert_int_equal(lookup(f, dir, name, &e), 0);
	assert_true(e.nodeid);
	return e.nodeid;
}

static int open_file(struct fixture *f, uint64_t id, uint32_t flags, uint64_t *fh)
{
	const struct fuse_open_in in = { .flags = flags };
	const int ret = call(f, FUSE_OPEN, id, &in, NULL);

	*fh = ret ? 0 : ((const struct fuse_open_out *)body(f))->fh;
	return ret;
}

static int create(struct fixture *f, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
		  uint64_t *fh)
{
	const struct fuse_create_in in = { .flags = flags, .mode = S_IFREG | mode };
	const int ret = call(f, FUSE_CREATE, dir, &in, name);

	*fh = ret ? 0
		  : ((const struct fuse_open_out *)((const struct fuse_entry_out *)body(f) + 1))
			      ->fh;
	return ret;
}

static int write_at(struct fixture *f, uint64_t fh, uint64_t offset, const void *data, size_t len)
{
	const struct fuse_write_in in = { .fh = fh, .offset = offset, .size = (uint32_t)len };

	return call_with(f, FUSE_WRITE, 0, &in, sizeof(in), NULL, NULL, data, len);
}

static int read_at(struct fixture *f, uint64_t fh, uint64_t offset, uint32_t len)
{
	const struct fuse_read_in in = { .fh = fh, .offset = offset, .size = len };

	return call(f, FUSE_READ, 0, &in, NULL);
}

static int release(struct fixture *f, uint32_t opcode, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return call(f, opcode, 0, &in, NULL);
}

static int getattr(struct fixture *f, uint64_t id, struct fuse_attr *attr)
{
	const struct fuse_getattr_in in = { 0 };
	const int ret = call(f, FUSE_GETATTR, id, &in, NULL);

	if (!ret)
		*attr = ((const struct fuse_attr_out *)body(f))->attr;
	return ret;
}

static void put_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "we");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void start(struct fixture *f, bool writable)
{
	fuse_destroy(f->fuse);
	assert_int_equal(fuse_create(&f->fuse, ".", writable), 0);
	assert_int_equal(init(f, 0), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	umask(022); /* not what the guest's modes shall feel */
	f->cwd = open(".", O_PATH | O_DIRECTORY);
	strcpy(f->dir, "/tmp/test_fuse.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chdir(f->dir), 0);
	f->buffer = malloc(fuse_buffer_size);
	start(f, true);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	fuse_destroy(f->fuse);
	free(f->buffer);
	assert_int_equal(fchdir(f->cwd), 0);
	close(f->cwd);
	snprintf(command, sizeof(command), "rm -rf --one-file-system %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static unsigned int open_descriptors(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* ---- reading ---- */

static void a_file_is_found_and_read(void **state)
{
	struct fixture *f = *state;
	struct fuse_entry_out e;
	uint64_t fh;

	assert_int_equal(mkdir("d", 0750), 0);
	put_file("d/file", "contents");
	assert_int_equal(chmod("d/file", 0640), 0);
	assert_int_equal(lookup(f, node(f, FUSE_ROOT_ID, "d"), "file", &e), 0);
	assert_int_equal(e.attr.size, 8);
	assert_int_equal(e.attr.mode, S_IFREG | 0640);
	assert_int_equal(open_file(f, e.nodeid, O_RDONLY, &fh), 0);
	assert_int_equal(read_at(f, fh, 0, 4096), 0);
	assert_int_equal(f->len, 8);
	assert_memory_equal(body(f), "contents", 8);
	assert_int_equal(f->result.out, 8);
	assert_int_equal(read_at(f, fh, 3, 2), 0);
	assert_int_equal(f->len, 2);
	assert_memory_equal(body(f), "te", 2);
	assert_int_equal(read_at(f, fh, 8, 100), 0);
	assert_int_equal(f->len, 0);
	assert_int_equal(release(f, FUSE_RELEASE, fh), 0);
	assert_int_equal(read_at(f, fh, 0, 1), -EBADF);
	assert_int_equal(release(f, FUSE_RELEASE, fh), -EBADF);
}

static void a_name_that_is_not_there_may_be_remembered(void **state)
{
	struct fuse_entry_out e;

	assert_int_equal(lookup(*state, FUSE_ROOT_ID, "none", &e), 0);
	assert_int_equal(e.nodeid, 0);
	assert_int_equal(e.entry_valid, 1);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = { "",	     ".",    "..", "/",	  "/etc",
					   "d/file", "../x", "x/", "d/.." };
	const struct fuse_mkdir_in dir = { .mode = 0755 };
	const struct fuse_rename_in to = { .newdir = FUSE_ROOT_ID };
	struct fuse_entry_out e;
	char long_name[300];

	assert_int_equal(mkdir("d", 0755), 0);
	put_file("d/file", "");
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(lookup(f, FUSE_ROOT_ID, bad[i], &e), -EINVAL);
		assert_true(f->result.malformed);
		assert_int_equal(call(f, FUSE_MKDIR, FUSE_ROOT_ID, &dir, bad[i]), -EINVAL);
		assert_int_equal(
			call_with(f, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, bad[i], NULL, NULL, 0),
			-EINVAL);
		assert_int_equal(call_with(f, FUSE_RENAME, FUSE_ROOT_ID, &to, sizeof(to), "d",
					   bad[i], NULL, 0),
				 -EINVAL);
	}
	memset(long_name, 'n', sizeof(long_name));
	long_name[256] = '\0';
	assert_int_equal(lookup(f, FUSE_ROOT_ID, long_name, &e), -ENAMETOOLONG);
	long_name[255] = '\0';
	assert_int_equal(lookup(f, FUSE_ROOT_ID, long_name, &e), 0);
	assert_int_equal(e.nodeid, 0);
}

static void a_symbolic_link_is_shown_and_not_followed(void **state)
{
	struct fixture *f = *state;
	struct fuse_entry_out e;
	uint64_t fh;

	assert_int_equal(symlink("/etc", "out"), 0);
	assert_int_equal(lookup(f, FUSE_ROOT_ID, "out", &e), 0);
	assert_int_equal(e.attr.mode & S_IFMT, S_IFLNK);
	assert_int_equal(call_with(f, FUSE_READLINK, e.nodeid, NULL, 0, NULL, NULL, NULL, 0), 0);
	assert_int_equal(f->len, 4);
	assert_memory_equal(body(f), "/etc", 4);
	/* Below it there is nothing, and it cannot be opened. */
	assert_int_not_equal(lookup(f, e.nodeid, "passwd", &e), 0);
	assert_int_equal(open_file(f, node(f, FUSE_ROOT_ID, "out"), O_RDONLY, &fh), -ENXIO);
	assert_int_equal(call_with(f, FUSE_READLINK, FUSE_ROOT_ID, NULL, 0, NULL, NULL, NULL, 0),
			 -EINVAL);
}

static void special_files_are_shown_and_not_opened(void **state)
{
	struct fixture *f = *state;
	struct fuse_entry_out e;
	uint64_t fh;

	assert_int_equal(mkfifo("fifo", 0666), 0);
	assert_int_equal(lookup(f, FUSE_ROOT_ID, "fifo", &e), 0);
	assert_int_equal(e.attr.mode & S_IFMT, S_IFIFO);
	assert_int_equal(open_file(f, e.nodeid, O_RDONLY, &fh), -ENXIO);
	/* Not through creation either. */
	assert_int_equal(create(f, FUSE_ROOT_ID, "fifo", O_RDWR, 0644, &fh), -ENXIO);
	if (!mknod("device", S_IFCHR | 0666, makedev(1, 300))) {
		assert_int_equal(lookup(f, FUSE_ROOT_ID, "device", &e), 0);
		assert_int_equal(e.attr.rdev, (300 & 0xff) | 1 << 8 | (300 & ~0xff) << 12);
		assert_int_equal(open_file(f, e.nodeid, O_RDWR, &fh), -ENXIO);
	}
}

/* All names of a directory, joined in the order in which they come, with readdir's size @size. */
static unsigned int list(struct fixture *f, uint64_t dir, uint32_t opcode, uint32_t size,
			 char *names)
{
	struct fuse_read_in in = { .size = size };
	const struct fuse_open_in open_in = { 0 };
	unsigned int n = 0;

	assert_int_equal(call(f, FUSE_OPENDIR, dir, &open_in, NULL), 0);
	in.fh = ((const struct fuse_open_out *)body(f))->fh;
	*names = '\0';
	do {
		const size_t plus = opcode == FUSE_READDIRPLUS ? sizeof(struct fuse_entry_out) : 0;

		assert_int_equal(call(f, opcode, dir, &in, NULL), 0);
		assert_true(f->len <= size);
		for (size_t at = 0; at < f->len; n++) {
			const struct fuse_dirent *d =
				(const void *)((const uint8_t *)body(f) + at + plus);

			in.offset = d->off;
			if (d->name[0] != '.') {
				strncat(names, d->name, d->namelen);
				assert_true(
					!plus ||
					((const struct fuse_direntplus *)((const uint8_t *)body(f) +
									  at))
						->entry_out.nodeid);
			}
			at += FUSE_DIRENT_ALIGN(plus + FUSE_NAME_OFFSET + d->namelen);
		}
	} while (f->len);
	assert_int_equal(release(f, FUSE_RELEASEDIR, in.fh), 0);
	return n;
}

static void directories_are_listed_whole_in_pieces_of_any_size(void **state)
{
	struct fixture *f = *state;
	static const uint32_t sizes[] = { 200, 512, 4096, 1 << 20 };
	char names[8192], path[32];

	assert_int_equal(mkdir("d", 0755), 0);
	for (int i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), "d/%03d", i);
		put_file(path, "");
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		for (uint32_t opcode = FUSE_READDIR;; opcode = FUSE_READDIRPLUS) {
			assert_int_equal(
				list(f, node(f, FUSE_ROOT_ID, "d"), opcode, sizes[i], names), 502);
			assert_int_equal(strlen(names), 1500);
			for (int n = 0; n < 500; n++) {
				snprintf(path, sizeof(path), "%03d", n);
				assert_non_null(strstr(names, path));
			}
			if (opcode == FUSE_READDIRPLUS)
				break;
		}
}

/* ---- writing ---- */

static void what_is_written_is_on_the_host(void **state)
{
	struct fixture *f = *state;
	static char data[1 << 20], back[1 << 20];
	uint64_t fh;
	int fd;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 251);
	assert_int_equal(create(f, FUSE_ROOT_ID, "new", O_RDWR | O_EXCL, 0640, &fh), 0);
	assert_int_equal(write_at(f, fh, 0, data, sizeof(data)), 0);
	assert_int_equal(((const struct fuse_write_out *)body(f))->size, sizeof(data));
	assert_int_equal(f->result.in, sizeof(data));
	fd = open("new", O_RDONLY);
	assert_int_equal(read(fd, back, sizeof(back)), sizeof(back));
	close(fd);
	assert_memory_equal(data, back, sizeof(data));
	assert_int_equal(read_at(f, fh, 0, 1 << 20), 0);
	assert_int_equal(f->len, 1 << 20);
	assert_memory_equal(body(f), data, sizeof(data));
	assert_int_equal(create(f, FUSE_ROOT_ID, "new", O_RDWR | O_EXCL, 0640, &fh), -EEXIST);
	/* An existing one is opened, and cut where that was asked. */
	assert_int_equal(create(f, FUSE_ROOT_ID, "new", O_RDWR | O_TRUNC, 0640, &fh), 0);
	assert_int_equal(read_at(f, fh, 0, 1), 0);
	assert_int_equal(f->len, 0);
}

/* Behind what the host has put there meanwhile; but pages of a mapping go where they were. */
static void what_is_appended_comes_last(void **state)
{
	struct fixture *f = *state;
	struct fuse_write_in in = { .flags = O_RDWR | O_APPEND, .size = 3 };
	char back[16] = "";
	FILE *file;

	put_file("log", "one ");
	assert_int_equal(open_file(f, node(f, FUSE_ROOT_ID, "log"), O_RDWR | O_APPEND, &in.fh), 0);
	file = fopen("log", "ae");
	assert_true(fputs("two ", file) >= 0 && !fclose(file));
	in.offset = 4; /* where the guest thinks that it ends */
	assert_int_equal(call_with(f, FUSE_WRITE, 0, &in, sizeof(in), NULL, NULL, "end", 3), 0);
	in.flags |= O_SYNC;
	in.offset = 0;
	in.write_flags = FUSE_WRITE_CACHE;
	assert_int_equal(call_with(f, FUSE_WRITE, 0, &in, sizeof(in), NULL, NULL, "ONE", 3), 0);
	file = fopen("log", "re");
	assert_non_null(fgets(back, sizeof(back), file));
	fclose(file);
	assert_string_equal(back, "ONE two end");
}

static void a_read_only_share_stays_as_it_is(void **state)
{
	struct fixture *f = *state;
	const struct fuse_setattr_in attr = { .valid = FATTR_MODE, .mode = 0 };
	const struct fuse_mkdir_in dir = { .mode = 0755 };
	struct fuse_attr a;
	uint64_t fh, id;

	put_file("file", "text");
	start(f, false);
	id = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(open_file(f, id, O_RDWR, &fh), -EROFS);
	assert_int_equal(open_file(f, id, O_RDONLY | O_TRUNC, &fh), -EROFS);
	assert_int_equal(create(f, FUSE_ROOT_ID, "x", O_RDWR, 0644, &fh), -EROFS);
	assert_int_equal(call(f, FUSE_SETATTR, id, &attr, NULL), -EROFS);
	assert_int_equal(call(f, FUSE_MKDIR, FUSE_ROOT_ID, &dir, "x"), -EROFS);
	assert_int_equal(call_with(f, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "file", NULL, NULL, 0),
			 -EROFS);
	assert_int_equal(open_file(f, id, O_RDONLY, &fh), 0);
	assert_int_equal(write_at(f, fh, 0, "x", 1), -EROFS);
	assert_int_equal(getattr(f, id, &a), 0);
	assert_int_equal(a.size, 4);
}

static void modes_are_the_guests_but_for_rights_on_the_host(void **state)
{
	struct fixture *f = *state;
	const struct fuse_mkdir_in dir = { .mode = 07777 };
	const struct fuse_setattr_in attr = { .valid = FATTR_MODE, .mode = S_IFREG | 06711 };
	struct stat st;
	uint64_t fh;

	assert_int_equal(create(f, FUSE_ROOT_ID, "file", O_RDWR, 06777, &fh), 0);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0777);
	assert_int_equal(call(f, FUSE_SETATTR, node(f, FUSE_ROOT_ID, "file"), &attr, NULL), 0);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(call(f, FUSE_MKDIR, FUSE_ROOT_ID, &dir, "d"), 0);
	assert_int_equal(stat("d", &st), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
}

static void devices_are_not_made(void **state)
{
	struct fixture *f = *state;
	static const uint32_t types[] = { S_IFCHR, S_IFBLK, S_IFDIR, S_IFLNK, 0 };
	struct fuse_mknod_in in = { .rdev = 0x103 };
	struct stat st;

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		in.mode = types[i] | 0666;
		assert_int_equal(call(f, FUSE_MKNOD, FUSE_ROOT_ID, &in, "dev"), -EPERM);
	}
	assert_int_equal(lstat("dev", &st), -1);
	in.mode = S_IFIFO | 0600;
	assert_int_equal(call(f, FUSE_MKNOD, FUSE_ROOT_ID, &in, "fifo"), 0);
	in.mode = S_IFREG | 0600;
	assert_int_equal(call(f, FUSE_MKNOD, FUSE_ROOT_ID, &in, "plain"), 0);
	assert_int_equal(lstat("plain", &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void attributes_change(void **state)
{
	struct fixture *f = *state;
	struct fuse_setattr_in in = {
		.valid = FATTR_SIZE | FATTR_MTIME, .size = 3, .mtime = 1000, .mtimensec = 5
	};
	struct fuse_attr a;
	struct stat st;
	uint64_t id, fh;

	put_file("file", "contents");
	id = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(call(f, FUSE_SETATTR, id, &in, NULL), 0);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(st.st_mtim.tv_nsec, 5);
	assert_int_equal(open_file(f, id, O_RDWR, &fh), 0);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = 1 };
	assert_int_equal(call(f, FUSE_SETATTR, id, &in, NULL), 0);
	assert_int_equal(getattr(f, id, &a), 0);
	assert_int_equal(a.size, 1);
	in.fh++;
	assert_int_equal(call(f, FUSE_SETATTR, id, &in, NULL), -EBADF);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE };
	assert_int_equal(call(f, FUSE_SETATTR, FUSE_ROOT_ID, &in, NULL), -EISDIR);
}

static void what_is_ours_has_an_owner_of_the_guests(void **state)
{
	struct fixture *f = *state;
	struct fuse_setattr_in in = { .valid = FATTR_UID | FATTR_GID, .uid = 1234, .gid = 5678 };
	struct fuse_attr a;
	struct stat st;
	uint64_t id, fh;

	fuse_set_owner(f->fuse, 1234, 5678);
	assert_int_equal(create(f, FUSE_ROOT_ID, "file", O_RDWR, 0600, &fh), 0);
	id = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(getattr(f, id, &a), 0);
	assert_int_equal(a.uid, 1234);
	assert_int_equal(a.gid, 5678);
	/* Given to who has it: nothing changes. */
	assert_int_equal(call(f, FUSE_SETATTR, id, &in, NULL), 0);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_gid, getegid());
	/* The other way round, so that no two are one. */
	in.uid = geteuid();
	in.gid = getegid();
	assert_int_equal(call(f, FUSE_SETATTR, id, &in, NULL), geteuid() ? -EPERM : 0);
	if (!geteuid()) {
		assert_int_equal(stat("file", &st), 0);
		assert_int_equal(st.st_uid, 1234);
		assert_int_equal(st.st_gid, 5678);
		assert_int_equal(getattr(f, id, &a), 0);
		assert_int_equal(a.uid, geteuid());
	}
	in.uid = 99; /* others are who they are */
	in.valid = FATTR_UID;
	assert_int_equal(call(f, FUSE_SETATTR, id, &in, NULL), geteuid() ? -EPERM : 0);
	assert_int_equal(getattr(f, id, &a), 0);
	assert_int_equal(a.uid, geteuid() ? 1234 : 99);
}

static void extended_attributes_of_the_user_alone_are_changed(void **state)
{
	struct fixture *f = *state;
	static const char *const others[] = { "security.capability", "trusted.overlay.opaque",
					      "system.posix_acl_access", "userx", "" };
	struct fuse_setxattr_in set = { .size = 5 };
	struct fuse_getxattr_in get = { .size = 0 };
	const size_t len = FUSE_COMPAT_SETXATTR_IN_SIZE;
	uint64_t id;

	put_file("file", "");
	if (setxattr("file", "user.probe", "x", 1, 0) < 0)
		skip(); /* a file system without them */
	removexattr("file", "user.probe");
	id = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(call_with(f, FUSE_SETXATTR, id, &set, len, "user.a", NULL, "value", 5), 0);
	assert_int_equal(call(f, FUSE_GETXATTR, id, &get, "user.a"), 0);
	assert_int_equal(((const struct fuse_getxattr_out *)body(f))->size, 5);
	get.size = 5;
	assert_int_equal(call(f, FUSE_GETXATTR, id, &get, "user.a"), 0);
	assert_memory_equal(body(f), "value", 5);
	get.size = 4;
	assert_int_equal(call(f, FUSE_GETXATTR, id, &get, "user.a"), -ERANGE);
	assert_int_equal(call(f, FUSE_LISTXATTR, id, &get, NULL), -ERANGE);
	get.size = 100;
	assert_int_equal(call(f, FUSE_LISTXATTR, id, &get, NULL), 0);
	assert_memory_equal(body(f), "user.a", 7);
	set.size = 6; /* more than there is */
	assert_int_equal(call_with(f, FUSE_SETXATTR, id, &set, len, "user.a", NULL, "value", 5),
			 -EPROTO);
	set.size = 1;
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(
			call_with(f, FUSE_SETXATTR, id, &set, len, others[i], NULL, "x", 1),
			-EOPNOTSUPP);
	assert_int_equal(call_with(f, FUSE_REMOVEXATTR, id, NULL, 0, "user.a", NULL, NULL, 0), 0);
	assert_int_equal(call(f, FUSE_GETXATTR, id, &get, "user.a"), -ENODATA);
}

static void names_are_moved_linked_and_removed(void **state)
{
	struct fixture *f = *state;
	struct fuse_rename2_in to = { 0 };
	struct fuse_link_in link_in = { 0 };
	struct fuse_attr a;
	struct stat st;
	uint64_t a_id, d_id, fh;

	put_file("a", "A");
	put_file("b", "B");
	assert_int_equal(mkdir("d", 0755), 0);
	a_id = node(f, FUSE_ROOT_ID, "a");
	d_id = node(f, FUSE_ROOT_ID, "d");
	to.newdir = d_id;
	assert_int_equal(
		call_with(f, FUSE_RENAME2, FUSE_ROOT_ID, &to, sizeof(to), "a", "moved", NULL, 0),
		0);
	assert_int_equal(open_file(f, a_id, O_RDONLY, &fh),
			 0); /* by its number, at its new place */
	to.newdir = FUSE_ROOT_ID;
	to.flags = RENAME_NOREPLACE;
	assert_int_equal(call_with(f, FUSE_RENAME2, d_id, &to, sizeof(to), "moved", "b", NULL, 0),
			 -EEXIST);
	to.flags = RENAME_EXCHANGE;
	assert_int_equal(call_with(f, FUSE_RENAME2, d_id, &to, sizeof(to), "moved", "b", NULL, 0),
			 0);
	assert_int_equal(open_file(f, a_id, O_RDONLY, &fh), 0);
	assert_int_equal(read_at(f, fh, 0, 1), 0);
	assert_memory_equal(body(f), "A", 1);
	to.flags = RENAME_WHITEOUT;
	assert_int_equal(
		call_with(f, FUSE_RENAME2, FUSE_ROOT_ID, &to, sizeof(to), "b", "c", NULL, 0),
		-EINVAL);
	link_in.oldnodeid = a_id;
	assert_int_equal(call(f, FUSE_LINK, d_id, &link_in, "second"), 0);
	assert_int_equal(((const struct fuse_entry_out *)body(f))->nodeid, a_id);
	assert_int_equal(((const struct fuse_entry_out *)body(f))->attr.nlink, 2);
	link_in.oldnodeid = 999;
	assert_int_equal(call(f, FUSE_LINK, d_id, &link_in, "third"), -ESTALE);
	assert_int_equal(call_with(f, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "b", NULL, NULL, 0), 0);
	assert_int_equal(getattr(f, a_id, &a), 0);
	assert_int_equal(a.nlink, 1);
	assert_int_equal(call_with(f, FUSE_RMDIR, FUSE_ROOT_ID, NULL, 0, "d", NULL, NULL, 0),
			 -ENOTEMPTY);
	assert_int_equal(
		call_with(f, FUSE_SYMLINK, FUSE_ROOT_ID, NULL, 0, "link", "../anywhere", NULL, 0),
		0);
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void an_open_file_outlives_its_name(void **state)
{
	struct fixture *f = *state;
	struct fuse_attr a;
	uint64_t fh, id;

	put_file("file", "text");
	id = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(open_file(f, id, O_RDWR, &fh), 0);
	assert_int_equal(call_with(f, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "file", NULL, NULL, 0),
			 0);
	assert_int_equal(getattr(f, id, &a), 0);
	assert_int_equal(a.nlink, 0);
	assert_int_equal(write_at(f, fh, 4, "more", 4), 0);
	assert_int_equal(read_at(f, fh, 0, 100), 0);
	assert_int_equal(f->len, 8);
}

/* Found last by the name that another file has by now: the guest is made to look again, whatever stands there. */
static void a_file_of_two_names_is_found_by_the_one_that_is_left(void **state)
{
	struct fixture *f = *state;
	struct fuse_link_in link_in = { 0 };
	uint64_t id, fh;

	for (int what = 0; what < 4; what++) {
		put_file("one", "text");
		assert_int_equal(link("one", "two"), 0);
		id = node(f, FUSE_ROOT_ID, "one");
		assert_int_equal(node(f, FUSE_ROOT_ID, "two"), id);
		link_in.oldnodeid = id;
		assert_int_equal(
			call_with(f, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "two", NULL, NULL, 0), 0);
		switch (what) {
		case 0:
			assert_int_equal(mkdir("two", 0755), 0);
			break;
		case 1:
			assert_int_equal(symlink("one", "two"), 0);
			break;
		case 2:
			assert_int_equal(mkfifo("two", 0644), 0);
			break;
		case 3:
			put_file("two", "another");
			break;
		}
		assert_int_equal(call(f, FUSE_LINK, FUSE_ROOT_ID, &link_in, "three"), -ESTALE);
		assert_int_equal(open_file(f, id, O_WRONLY, &fh), -ESTALE);
		assert_int_equal(node(f, FUSE_ROOT_ID, "one"), id);
		assert_int_equal(call(f, FUSE_LINK, FUSE_ROOT_ID, &link_in, "three"), 0);
		assert_int_equal(open_file(f, id, O_WRONLY, &fh), 0);
		assert_int_equal(what ? unlink("two") : rmdir("two"), 0);
		assert_int_equal(unlink("one") | unlink("three"), 0);
	}
}

/* ---- numbers ---- */

static void a_forgotten_number_is_stale(void **state)
{
	struct fixture *f = *state;
	struct fuse_forget_in once = { .nlookup = 1 }, often = { .nlookup = ~0ull };
	struct fuse_batch_forget_in batch = { .count = 1000 };
	struct fuse_forget_one one = { .nlookup = 5 };
	struct fuse_attr a;
	uint64_t id;

	put_file("file", "");
	id = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(node(f, FUSE_ROOT_ID, "file"), id);
	assert_int_equal(call(f, FUSE_FORGET, id, &once, NULL), 1);
	assert_int_equal(getattr(f, id, &a), 0);
	assert_int_equal(call(f, FUSE_FORGET, id, &often, NULL), 1);
	assert_int_equal(getattr(f, id, &a), -ESTALE);
	assert_int_not_equal(node(f, FUSE_ROOT_ID, "file"), id); /* a number is not given twice */
	assert_int_equal(getattr(f, id, &a), -ESTALE);
	one.nodeid = id = node(f, FUSE_ROOT_ID, "file");
	/* It says 1,000 and has one. */
	assert_int_equal(call_with(f, FUSE_BATCH_FORGET, 0, &batch, sizeof(batch), NULL, NULL, &one,
				   sizeof(one)),
			 1);
	assert_int_equal(getattr(f, id, &a), -ESTALE);
	assert_int_equal(call(f, FUSE_FORGET, FUSE_ROOT_ID, &often, NULL), 1);
	assert_int_equal(getattr(f, FUSE_ROOT_ID, &a), 0);
	for (uint64_t bad = 0; bad < 200; bad++)
		if (bad != FUSE_ROOT_ID)
			assert_int_equal(getattr(f, bad << (bad % 64), &a), -ESTALE);
}

static void a_file_replaced_on_the_host_is_stale_and_then_the_new_one(void **state)
{
	struct fixture *f = *state;
	struct fuse_forget_in all = { .nlookup = ~0ull };
	struct fuse_attr a;
	uint64_t old, fh;
	char name[16];

	put_file("file", "old");
	old = node(f, FUSE_ROOT_ID, "file");
	put_file("new", "new one");
	assert_int_equal(rename("new", "file"), 0);
	assert_int_equal(open_file(f, old, O_RDONLY, &fh), -ESTALE);
	assert_int_equal(getattr(f, node(f, FUSE_ROOT_ID, "file"), &a), 0);
	assert_int_equal(a.size, 7);
	/* A directory that is moved away on the host under the guest's feet. */
	assert_int_equal(mkdir("d", 0755), 0);
	put_file("d/x", "x");
	old = node(f, node(f, FUSE_ROOT_ID, "d"), "x");
	assert_int_equal(rename("d", "e"), 0);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put_file(name, "");
		node(f, FUSE_ROOT_ID, name);
	}
	assert_int_equal(getattr(f, old, &a), 0); /* its descriptor is at hand */
	assert_int_equal(node(f, node(f, FUSE_ROOT_ID, "e"), "x"), old);
	assert_int_equal(open_file(f, old, O_RDONLY, &fh), 0);
	call(f, FUSE_FORGET, old, &all, NULL);
}

/* More files known than there are descriptors: they are found again, also deep down, and nothing leaks. */
static void a_guest_may_know_more_files_than_there_are_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit lim, small;
	uint64_t dir = FUSE_ROOT_ID, id[600], inodes, fds, fh;
	struct fuse_attr a;
	char path[64] = "", name[16];
	const unsigned int before = open_descriptors();

	getrlimit(RLIMIT_NOFILE, &lim);
	small = (struct rlimit){ 64, 64 };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	start(f, true);
	for (int i = 0; i < 20; i++) {
		strcat(path, i ? "/d" : "d");
		assert_int_equal(mkdir(path, 0755), 0);
		dir = node(f, dir, "d");
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(id); i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(create(f, dir, name, O_RDWR, 0644, &fh), 0);
		assert_int_equal(release(f, FUSE_RELEASE, fh), 0);
		id[i] = node(f, dir, name);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(id); i++) {
		assert_int_equal(getattr(f, id[i], &a), 0);
		assert_int_equal(open_file(f, id[i], O_RDONLY, &fh), 0);
		assert_int_equal(release(f, FUSE_RELEASE, fh), 0);
	}
	fuse_usage(f->fuse, &inodes, &fds);
	assert_int_equal(inodes, 1 + 20 + ARRAY_SIZE(id));
	assert_true(fds <= 64 / 4 + 2);
	/* Handles run out before the process does. */
	int ret = 0;
	for (unsigned int i = 0; !ret && i < 64; i++)
		ret = open_file(f, id[i], O_RDONLY, &fh);
	assert_true(ret == -ENFILE || ret == -EMFILE);
	fuse_reset(f->fuse);
	fuse_usage(f->fuse, &inodes, &fds);
	assert_int_equal(inodes, 1);
	assert_int_equal(fds, 0);
	assert_int_equal(open_descriptors(), before);
	lim.rlim_cur = MIN(lim.rlim_max, (rlim_t)1024);
	setrlimit(RLIMIT_NOFILE, &lim); /* as root */
}

static void mounts_below_have_numbers_of_their_own_and_proc_is_hidden(void **state)
{
	struct fixture *f = *state;
	uint64_t top, below, proc;
	struct fuse_entry_out e;
	char names[256];
	struct fuse_attr a, b;

	assert_int_equal(mkdir("m", 0755), 0);
	assert_int_equal(mkdir("p", 0755), 0);
	if (unshare(CLONE_NEWNS) ||
	    system("mount --make-rprivate / && mount -t tmpfs none m && mount -t proc none p"))
		skip(); /* not root */
	start(f, true); /* the directory itself may be another in the new namespace */
	top = node(f, FUSE_ROOT_ID, "m");
	put_file("m/file", "");
	below = node(f, top, "file");
	assert_int_equal(getattr(f, FUSE_ROOT_ID, &a), 0);
	assert_int_equal(getattr(f, below, &b), 0);
	assert_true(b.ino >> 48);
	assert_false(a.ino >> 48);
	proc = node(f, FUSE_ROOT_ID, "p");
	assert_int_equal(lookup(f, proc, "self", &e), 0);
	assert_int_equal(e.nodeid, 0);
	assert_int_equal(list(f, proc, FUSE_READDIR, 4096, names), 2);
	fuse_destroy(f->fuse); /* it holds descriptors there */
	f->fuse = NULL;
	assert_int_equal(system("umount m p"), 0);
}

/* ---- a guest that breaks the protocol ---- */

static void every_request_cut_short_is_refused(void **state)
{
	struct fixture *f = *state;
	static _Alignas(8) uint8_t room[4096];
	struct fuse_in_header *h = (void *)room;

	put_file("file", "text");
	node(f, FUSE_ROOT_ID, "file");
	for (uint32_t opcode = 0; opcode < 64; opcode++)
		for (uint32_t len = 0; len < 300; len++)
			for (int fill = 0; fill < 3; fill++) {
				memset(room, fill == 0 ? 0 : fill == 1 ? 0xff : 'n', sizeof(room));
				*h = (struct fuse_in_header){ .len = len,
							      .opcode = opcode,
							      .nodeid = FUSE_ROOT_ID,
							      .unique = 0x1234567890ull };
				raw(f, room, len, sizeof(f->reply));
				h->len = len + 1; /* more than there is */
				assert_int_equal(raw(f, room, len, sizeof(f->reply)), 1);
				assert_true(f->result.malformed);
			}
	start(f, true);
	node(f, FUSE_ROOT_ID, "file");
}

static void no_answer_is_longer_than_its_room(void **state)
{
	struct fixture *f = *state;
	const struct fuse_read_in read_in = { .size = 4096 };
	struct fuse_in_header h = { .unique = 0x1234567890ull, .nodeid = FUSE_ROOT_ID };
	uint8_t in[sizeof(h) + sizeof(read_in)];

	for (uint32_t opcode = FUSE_LOOKUP; opcode < 54; opcode++)
		for (size_t room = 0; room < 200; room++) {
			memset(in, 0, sizeof(in));
			h.opcode = opcode;
			h.len = sizeof(in);
			memcpy(in, &h, sizeof(h));
			memset(f->reply, 0xa5, sizeof(f->reply));
			raw(f, in, sizeof(in), room);
			assert_int_equal(f->reply[room], 0xa5);
		}
}

static void an_unknown_verb_and_an_old_guest_are_told(void **state)
{
	struct fixture *f = *state;
	struct fuse_init_in in = { .major = 7, .minor = 12 };

	assert_int_equal(call_with(f, 4095, FUSE_ROOT_ID, NULL, 0, NULL, NULL, NULL, 0), -ENOSYS);
	assert_int_equal(call_with(f, FUSE_IOCTL, FUSE_ROOT_ID, NULL, 0, NULL, NULL, NULL, 0),
			 -ENOSYS);
	assert_int_equal(call(f, FUSE_INIT, 0, &in, NULL), -EPROTO);
	in.major = 8;
	assert_int_equal(call(f, FUSE_INIT, 0, &in, NULL), 0);
	assert_int_equal(((const struct fuse_init_out *)body(f))->major, 7);
	in = (struct fuse_init_in){ .major = 7, .minor = 40, .flags = ~0u, .max_readahead = ~0u };
	assert_int_equal(call(f, FUSE_INIT, 0, &in, NULL), 0);
	assert_false(((const struct fuse_init_out *)body(f))->flags &
		     (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_WRITEBACK_CACHE));
}

static void a_handle_is_for_its_own_kind(void **state)
{
	struct fixture *f = *state;
	const struct fuse_open_in open_in = { 0 };
	struct fuse_read_in in = { .size = 4096 };
	uint64_t fh, dir;

	put_file("file", "");
	assert_int_equal(open_file(f, node(f, FUSE_ROOT_ID, "file"), O_RDONLY, &fh), 0);
	assert_int_equal(call(f, FUSE_OPENDIR, FUSE_ROOT_ID, &open_in, NULL), 0);
	dir = ((const struct fuse_open_out *)body(f))->fh;
	assert_int_equal(read_at(f, dir, 0, 10), -EBADF);
	in.fh = fh;
	assert_int_equal(call(f, FUSE_READDIR, FUSE_ROOT_ID, &in, NULL), -EBADF);
	in.fh = dir; /* of another directory */
	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(call(f, FUSE_READDIRPLUS, node(f, FUSE_ROOT_ID, "d"), &in, NULL), -EBADF);
	assert_int_equal(call(f, FUSE_OPENDIR, node(f, FUSE_ROOT_ID, "file"), &open_in, NULL),
			 -ENOTDIR);
	for (uint64_t bad = 0; bad < 100; bad++)
		if (bad != fh && bad != dir)
			assert_int_equal(read_at(f, bad << (bad % 60), 0, 1), -EBADF);
}

static void a_new_session_knows_nothing_of_the_old(void **state)
{
	struct fixture *f = *state;
	struct fuse_attr a;
	uint64_t fh, id, inodes, fds;

	put_file("file", "");
	id = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(open_file(f, id, O_RDONLY, &fh), 0);
	assert_int_equal(call_with(f, FUSE_DESTROY, 0, NULL, 0, NULL, NULL, NULL, 0), 0);
	fuse_usage(f->fuse, &inodes, &fds);
	assert_int_equal(inodes, 1);
	assert_int_equal(init(f, 0), 0);
	assert_int_equal(getattr(f, id, &a), -ESTALE);
	assert_int_equal(read_at(f, fh, 0, 1), -EBADF);
}

static void copies_holes_and_space(void **state)
{
	struct fixture *f = *state;
	struct fuse_copy_file_range_in copy = { .len = 4 };
	struct fuse_fallocate_in alloc = { .length = 1 << 16 };
	struct fuse_lseek_in seek = { .whence = SEEK_HOLE };
	struct stat st;
	uint64_t a, b;

	assert_int_equal(create(f, FUSE_ROOT_ID, "a", O_RDWR, 0644, &a), 0);
	assert_int_equal(create(f, FUSE_ROOT_ID, "b", O_RDWR, 0644, &b), 0);
	assert_int_equal(write_at(f, a, 0, "text", 4), 0);
	copy.fh_in = a;
	copy.fh_out = b;
	copy.off_out = 2;
	assert_int_equal(call(f, FUSE_COPY_FILE_RANGE, 0, &copy, NULL), 0);
	assert_int_equal(((const struct fuse_write_out *)body(f))->size, 4);
	assert_int_equal(read_at(f, b, 0, 10), 0);
	assert_memory_equal(body(f), "\0\0text", 6);
	alloc.fh = b;
	assert_int_equal(call(f, FUSE_FALLOCATE, 0, &alloc, NULL), 0);
	assert_int_equal(stat("b", &st), 0);
	assert_int_equal(st.st_size, 1 << 16);
	seek.fh = a;
	assert_int_equal(call(f, FUSE_LSEEK, 0, &seek, NULL), 0);
	assert_int_equal(((const struct fuse_lseek_out *)body(f))->offset, 4);
	seek.whence = SEEK_SET;
	assert_int_equal(call(f, FUSE_LSEEK, 0, &seek, NULL), -EINVAL);
	copy.fh_out = 12345;
	assert_int_equal(call(f, FUSE_COPY_FILE_RANGE, 0, &copy, NULL), -EBADF);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_file_is_found_and_read),
		test(a_name_that_is_not_there_may_be_remembered),
		test(names_that_lead_elsewhere_are_refused),
		test(a_symbolic_link_is_shown_and_not_followed),
		test(special_files_are_shown_and_not_opened),
		test(directories_are_listed_whole_in_pieces_of_any_size),
		test(what_is_written_is_on_the_host),
		test(what_is_appended_comes_last),
		test(a_read_only_share_stays_as_it_is),
		test(modes_are_the_guests_but_for_rights_on_the_host),
		test(devices_are_not_made),
		test(attributes_change),
		test(what_is_ours_has_an_owner_of_the_guests),
		test(extended_attributes_of_the_user_alone_are_changed),
		test(names_are_moved_linked_and_removed),
		test(an_open_file_outlives_its_name),
		test(a_file_of_two_names_is_found_by_the_one_that_is_left),
		test(a_forgotten_number_is_stale),
		test(a_file_replaced_on_the_host_is_stale_and_then_the_new_one),
		test(a_guest_may_know_more_files_than_there_are_descriptors),
		test(every_request_cut_short_is_refused),
		test(no_answer_is_longer_than_its_room),
		test(an_unknown_verb_and_an_old_guest_are_told),
		test(a_handle_is_for_its_own_kind),
		test(a_new_session_knows_nothing_of_the_old),
		test(copies_holes_and_space),
		test(mounts_below_have_numbers_of_their_own_and_proc_is_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
