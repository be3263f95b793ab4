/* The FUSE server: what is written, made, moved and removed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "devices/virtio/fuse_host.h"
#include "devices/virtio/test/fuse_rig.h"
#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"

/* ---- writing ---- */

static void what_is_written_is_on_the_host(void **state)
{
	struct fixture *f = *state;
	static char data[1 << 20], back[1 << 20];
	uint64_t fh;
	int fd;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 251);
	assert_int_equal(create_file(f, FUSE_ROOT_ID, "new", O_RDWR | O_EXCL, 0640, &fh), 0);
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
	assert_int_equal(create_file(f, FUSE_ROOT_ID, "new", O_RDWR | O_EXCL, 0640, &fh), -EEXIST);
	/* An existing one is opened, and cut where that was asked. */
	assert_int_equal(create_file(f, FUSE_ROOT_ID, "new", O_RDWR | O_TRUNC, 0640, &fh), 0);
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
	start_share(f, FUSE_READ_ONLY);
	id = node(f, FUSE_ROOT_ID, "file");
	assert_int_equal(open_file(f, id, O_RDWR, &fh), -EROFS);
	assert_int_equal(open_file(f, id, O_RDONLY | O_TRUNC, &fh), -EROFS);
	assert_int_equal(create_file(f, FUSE_ROOT_ID, "x", O_RDWR, 0644, &fh), -EROFS);
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

	assert_int_equal(create_file(f, FUSE_ROOT_ID, "file", O_RDWR, 06777, &fh), 0);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0777);
	assert_int_equal(call(f, FUSE_SETATTR, node(f, FUSE_ROOT_ID, "file"), &attr, NULL), 0);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(call(f, FUSE_MKDIR, FUSE_ROOT_ID, &dir, "d"), 0);
	assert_int_equal(stat("d", &st), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
}

static unsigned int mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	return st.st_mode & 07777;
}

/* Whoever wrote: the guest leaves it to us (FUSE_HANDLE_KILLPRIV_V2). */
static void what_is_written_to_gives_no_rights_any_more(void **state)
{
	struct fixture *f = *state;
	const struct fuse_setattr_in cut = { .valid = FATTR_SIZE, .size = 1 };
	uint64_t fh, id;

	put_file("tool", "text");
	id = node(f, FUSE_ROOT_ID, "tool");
	for (int way = 0; way < 4; way++) {
		assert_int_equal(chmod("tool", 06755), 0);
		assert_int_equal(open_file(f, id, O_RDWR, &fh), 0);
		assert_int_equal(mode_of("tool"), 06755);
		switch (way) {
		case 0:
			assert_int_equal(write_at(f, fh, 0, "x", 1), 0);
			break;
		case 1:
			assert_int_equal(call(f, FUSE_SETATTR, id, &cut, NULL), 0);
			break;
		case 2:
			assert_int_equal(open_file(f, id, O_WRONLY | O_TRUNC, &fh), 0);
			break;
		case 3:
			assert_int_equal(write_at(f, fh, 0, "long again", 10), 0);
			assert_int_equal(chmod("tool", 06755), 0);
			assert_int_equal(
				create_file(f, FUSE_ROOT_ID, "tool", O_RDWR | O_TRUNC, 0600, &fh),
				0);
			break;
		}
		assert_int_equal(mode_of("tool"), 0755);
	}
}

/* Only where closing could say something is the guest to ask. */
static void a_local_files_close_is_the_guests_own(void **state)
{
	struct fixture *f = *state;
	const int shm = open("/dev/shm", O_PATH), proc = open("/proc", O_PATH),
		  here = open(".", O_PATH);
	struct fuse_open_in in = { .flags = O_RDONLY };

	need_proc();
	assert_true(host_closes_silently(shm));
	assert_false(host_closes_silently(proc));
	assert_false(host_closes_silently(-1));
	put_file("file", "");
	assert_int_equal(call(f, FUSE_OPEN, node(f, FUSE_ROOT_ID, "file"), &in, NULL), 0);
	assert_int_equal(!!(((const struct fuse_open_out *)body(f))->open_flags & FOPEN_NOFLUSH),
			 host_closes_silently(here));
	assert_int_equal(call(f, FUSE_OPENDIR, FUSE_ROOT_ID, &in, NULL), 0);
	assert_false(((const struct fuse_open_out *)body(f))->open_flags & FOPEN_NOFLUSH);
	close(shm);
	close(proc);
	close(here);
}

static void devices_are_not_made(void **state)
{
	struct fixture *f = *state;
	static const uint32_t types[] = { S_IFCHR, S_IFBLK, S_IFDIR, S_IFLNK, 0 };
	const struct fuse_setattr_in attr = { .valid = FATTR_MODE, .mode = S_IFIFO | 0640 };
	struct fuse_mknod_in in = { .rdev = 0x103 };
	struct stat st;
	int ret;

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		in.mode = types[i] | 0666;
		assert_int_equal(call(f, FUSE_MKNOD, FUSE_ROOT_ID, &in, "dev"), -EPERM);
	}
	assert_int_equal(lstat("dev", &st), -1);
	in.mode = S_IFIFO | 0600;
	assert_int_equal(call(f, FUSE_MKNOD, FUSE_ROOT_ID, &in, "fifo"), 0);
	ret = call(f, FUSE_SETATTR, node(f, FUSE_ROOT_ID, "fifo"), &attr, NULL);
	assert_true(ret == 0 || ret == -EOPNOTSUPP); /* as the host's kernel is */
	assert_int_equal(lstat("fifo", &st), 0);
	assert_int_equal(st.st_mode, S_IFIFO | (ret ? 0600 : 0640));
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

	put_file("probe", "");
	const int refused = chown("probe", 1234, 5678) ? -errno : 0; /* 0: root, with its rights */
	unlink("probe");
	fuse_set_owner(f->fuse, 1234, 5678);
	assert_int_equal(create_file(f, FUSE_ROOT_ID, "file", O_RDWR, 0600, &fh), 0);
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
	assert_int_equal(call(f, FUSE_SETATTR, id, &in, NULL), refused);
	if (!refused) {
		assert_int_equal(stat("file", &st), 0);
		assert_int_equal(st.st_uid, 1234);
		assert_int_equal(st.st_gid, 5678);
		assert_int_equal(getattr(f, id, &a), 0);
		assert_int_equal(a.uid, geteuid());
	}
	in.uid = 99; /* others are who they are */
	in.valid = FATTR_UID;
	assert_int_equal(call(f, FUSE_SETATTR, id, &in, NULL), refused);
	assert_int_equal(getattr(f, id, &a), 0);
	assert_int_equal(a.uid, refused ? 1234 : 99);
}

static void extended_attributes_are_those_of_the_user_alone(void **state)
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
	/* The host's own, where the test may set them. */
	setxattr("file", "trusted.a", "x", 1, 0);
	setxattr("file", "security.z", "x", 1, 0);
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
	assert_int_equal(f->len, 7);
	assert_memory_equal(body(f), "user.a", 7);
	get.size = 0;
	assert_int_equal(call(f, FUSE_LISTXATTR, id, &get, NULL), 0);
	assert_int_equal(((const struct fuse_getxattr_out *)body(f))->size, 7);
	get.size = 6;
	assert_int_equal(call(f, FUSE_LISTXATTR, id, &get, NULL), -ERANGE);
	get.size = 100;
	assert_int_equal(call(f, FUSE_GETXATTR, id, &get, "trusted.a"), -EOPNOTSUPP);
	assert_int_equal(call(f, FUSE_GETXATTR, id, &get, "security.z"), -EOPNOTSUPP);
	set.size = 6; /* more than there is */
	assert_int_equal(call_with(f, FUSE_SETXATTR, id, &set, len, "user.a", NULL, "value", 5),
			 -EPROTO);
	set.size = 1;
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(
			call_with(f, FUSE_SETXATTR, id, &set, len, others[i], NULL, "x", 1),
			-EOPNOTSUPP);
		assert_int_equal(call(f, FUSE_GETXATTR, id, &get, others[i]), -EOPNOTSUPP);
	}
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

static void copies_holes_and_space(void **state)
{
	struct fixture *f = *state;
	struct fuse_copy_file_range_in copy = { .len = 4 };
	struct fuse_fallocate_in alloc = { .length = 1 << 16 };
	struct fuse_lseek_in seek = { .whence = SEEK_HOLE };
	struct stat st;
	uint64_t a, b;

	assert_int_equal(create_file(f, FUSE_ROOT_ID, "a", O_RDWR, 0644, &a), 0);
	assert_int_equal(create_file(f, FUSE_ROOT_ID, "b", O_RDWR, 0644, &b), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_is_written_is_on_the_host),
		test(what_is_appended_comes_last),
		test(a_read_only_share_stays_as_it_is),
		test(modes_are_the_guests_but_for_rights_on_the_host),
		test(what_is_written_to_gives_no_rights_any_more),
		test(a_local_files_close_is_the_guests_own),
		test(devices_are_not_made),
		test(attributes_change),
		test(what_is_ours_has_an_owner_of_the_guests),
		test(extended_attributes_are_those_of_the_user_alone),
		test(names_are_moved_linked_and_removed),
		test(an_open_file_outlives_its_name),
		test(a_file_of_two_names_is_found_by_the_one_that_is_left),
		test(copies_holes_and_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
