/* The FUSE server: what is read, numbers of files, and guests that break the protocol. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "devices/virtio/test/fuse_rig.h"
#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"

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
	assert_int_equal(create_file(f, FUSE_ROOT_ID, "fifo", O_RDWR, 0644, &fh), -ENXIO);
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
	uint64_t dir = FUSE_ROOT_ID, id[600], inodes, fds, fh;
	struct fuse_attr a;
	char path[64] = "", name[16];
	const unsigned int before = open_descriptors();

	few_descriptors();
	start_share(f, FUSE_READ_WRITE);
	for (int i = 0; i < 20; i++) {
		strcat(path, i ? "/d" : "d");
		assert_int_equal(mkdir(path, 0755), 0);
		dir = node(f, dir, "d");
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(id); i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(create_file(f, dir, name, O_RDWR, 0644, &fh), 0);
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
	assert_true(fds <= (before + FEW_DESCRIPTORS) / 4 + 2);
	/* Handles run out before the process does. */
	int ret = 0;
	for (unsigned int i = 0; !ret && i < ARRAY_SIZE(id); i++)
		ret = open_file(f, id[i], O_RDONLY, &fh);
	assert_true(ret == -ENFILE || ret == -EMFILE);
	fuse_reset(f->fuse);
	fuse_usage(f->fuse, &inodes, &fds);
	assert_int_equal(inodes, 1);
	assert_int_equal(fds, 0);
	assert_int_equal(open_descriptors(), before);
}

/* Each share alone would stay within the limit; where each has come to is not for the others to feel. */
static void shares_have_the_descriptors_together(void **state)
{
	struct fixture *f = *state;
	struct fuse *share[8];
	uint64_t inodes, fds, fh, all = 0;
	char name[16];
	int ret = 0;

	few_descriptors();
	for (unsigned int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		put_file(name, "");
	}
	for (unsigned int s = 0; s < ARRAY_SIZE(share); s++) {
		start_share(f, FUSE_READ_WRITE);
		share[s] = f->fuse;
		f->fuse = NULL;
	}
	for (unsigned int round = 0; round < 10; round++)
		for (unsigned int s = 0; s < ARRAY_SIZE(share); s++) {
			f->fuse = share[s];
			for (unsigned int i = 0; i < 20; i++) {
				snprintf(name, sizeof(name), "f%u", (i + 7 * round) % 20);
				node(f, FUSE_ROOT_ID, name);
			}
			fuse_usage(f->fuse, &inodes, &fds);
			assert_int_equal(inodes, 21);
		}
	/* So it is with what they have open; then files can still be found. */
	for (unsigned int i = 0; !ret; i++) {
		f->fuse = share[i % ARRAY_SIZE(share)];
		ret = open_file(f, node(f, FUSE_ROOT_ID, "f0"), O_RDONLY, &fh);
	}
	assert_int_equal(ret, -ENFILE);
	for (unsigned int s = 0; s < ARRAY_SIZE(share); s++) {
		f->fuse = share[s];
		for (unsigned int i = 0; i < 20; i++) {
			snprintf(name, sizeof(name), "f%u", i);
			node(f, FUSE_ROOT_ID, name);
		}
		fuse_usage(f->fuse, &inodes, &fds);
		all += fds;
	}
	assert_true(all > 0 && all <= (open_descriptors() + FEW_DESCRIPTORS) / 2);
	for (unsigned int s = 1; s < ARRAY_SIZE(share); s++)
		fuse_destroy(share[s]);
	f->fuse = share[0];
}

static void mounts_below_have_numbers_of_their_own_and_proc_is_hidden(void **state)
{
	struct fixture *f = *state;
	uint64_t top, below, proc;
	struct fuse_entry_out e;
	char names[256];
	struct fuse_attr a, b;

	need_proc();
	assert_int_equal(mkdir("m", 0755), 0);
	assert_int_equal(mkdir("p", 0755), 0);
	if (unshare(CLONE_NEWNS) ||
	    system("mount --make-rprivate / && mount -t tmpfs none m && { mount -t proc none p || { umount m; false; }; }"))
		skip(); /* not root */
	start_share(f,
		    FUSE_READ_WRITE); /* the directory itself may be another in the new namespace */
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
	start_share(f, FUSE_READ_WRITE);
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
	assert_true(((const struct fuse_init_out *)body(f))->flags & FUSE_HANDLE_KILLPRIV_V2);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_file_is_found_and_read),
		test(a_name_that_is_not_there_may_be_remembered),
		test(names_that_lead_elsewhere_are_refused),
		test(a_symbolic_link_is_shown_and_not_followed),
		test(special_files_are_shown_and_not_opened),
		test(directories_are_listed_whole_in_pieces_of_any_size),
		test(a_forgotten_number_is_stale),
		test(a_file_replaced_on_the_host_is_stale_and_then_the_new_one),
		test(a_guest_may_know_more_files_than_there_are_descriptors),
		test(shares_have_the_descriptors_together),
		test(every_request_cut_short_is_refused),
		test(no_answer_is_longer_than_its_room),
		test(an_unknown_verb_and_an_old_guest_are_told),
		test(a_handle_is_for_its_own_kind),
		test(a_new_session_knows_nothing_of_the_old),
		test(mounts_below_have_numbers_of_their_own_and_proc_is_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
