#include "devices/virtio/test/fuse_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"

const void *body(const struct fixture *f)
{
	return f->reply + sizeof(struct fuse_out_header);
}

int raw(struct fixture *f, const void *in, size_t in_len, size_t room)
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

int call_with(struct fixture *f, uint32_t opcode, uint64_t node, const void *arg, size_t arg_len,
	      const char *name, const char *second, const void *data, size_t data_len)
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

int init(struct fixture *f, uint32_t flags)
{
	const struct fuse_init_in in = {
		.major = 7, .minor = 36, .max_readahead = 1 << 20, .flags = flags
	};

	return call(f, FUSE_INIT, 0, &in, NULL);
}

int lookup(struct fixture *f, uint64_t dir, const char *name, struct fuse_entry_out *e)
{
	const int ret = call_with(f, FUSE_LOOKUP, dir, NULL, 0, name, NULL, NULL, 0);

	memset(e, 0, sizeof(*e));
	if (!ret)
		memcpy(e, body(f), sizeof(*e));
	return ret;
}

uint64_t node(struct fixture *f, uint64_t dir, const char *name)
{
	struct fuse_entry_out e;

	assert_int_equal(lookup(f, dir, name, &e), 0);
	assert_true(e.nodeid);
	return e.nodeid;
}

int open_file(struct fixture *f, uint64_t id, uint32_t flags, uint64_t *fh)
{
	const struct fuse_open_in in = { .flags = flags };
	const int ret = call(f, FUSE_OPEN, id, &in, NULL);

	*fh = ret ? 0 : ((const struct fuse_open_out *)body(f))->fh;
	return ret;
}

int create_file(struct fixture *f, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
		uint64_t *fh)
{
	const struct fuse_create_in in = { .flags = flags, .mode = S_IFREG | mode };
	const int ret = call(f, FUSE_CREATE, dir, &in, name);

	*fh = ret ? 0
		  : ((const struct fuse_open_out *)((const struct fuse_entry_out *)body(f) + 1))
			      ->fh;
	return ret;
}

int write_at(struct fixture *f, uint64_t fh, uint64_t offset, const void *data, size_t len)
{
	const struct fuse_write_in in = { .fh = fh, .offset = offset, .size = (uint32_t)len };

	return call_with(f, FUSE_WRITE, 0, &in, sizeof(in), NULL, NULL, data, len);
}

int read_at(struct fixture *f, uint64_t fh, uint64_t offset, uint32_t len)
{
	const struct fuse_read_in in = { .fh = fh, .offset = offset, .size = len };

	return call(f, FUSE_READ, 0, &in, NULL);
}

int release(struct fixture *f, uint32_t opcode, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return call(f, opcode, 0, &in, NULL);
}

int getattr(struct fixture *f, uint64_t id, struct fuse_attr *attr)
{
	const struct fuse_getattr_in in = { 0 };
	const int ret = call(f, FUSE_GETATTR, id, &in, NULL);

	if (!ret)
		*attr = ((const struct fuse_attr_out *)body(f))->attr;
	return ret;
}

void put_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "we");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

void start_share(struct fixture *f, enum fuse_access access)
{
	fuse_destroy(f->fuse);
	assert_int_equal(fuse_create(&f->fuse, ".", access), 0);
	assert_int_equal(init(f, 0), 0);
}

unsigned int open_descriptors(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

void few_descriptors(void)
{
	const rlim_t most = open_descriptors() + FEW_DESCRIPTORS;

	need_descriptors((unsigned int)most);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ most, most }), 0);
}

int fuse_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	umask(022); /* not what the guest's modes shall feel */
	f->cwd = open(".", O_PATH | O_DIRECTORY);
	strcpy(f->dir, "/tmp/test_fuse.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chdir(f->dir), 0);
	f->buffer = malloc(fuse_buffer_size);
	start_share(f, FUSE_READ_WRITE);
	return 0;
}

int fuse_teardown(void **state)
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
