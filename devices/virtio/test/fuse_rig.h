/* A share of a directory of the test's own, and the requests that a guest makes of it. */
#ifndef DEVICES_VIRTIO_TEST_FUSE_RIG_H
#define DEVICES_VIRTIO_TEST_FUSE_RIG_H

#include <linux/fuse.h>

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

const void *body(const struct fixture *f);

/* A request of @in's first @in_len bytes, whole; 0 or -errno as the guest is told, 1: no answer. */
int raw(struct fixture *f, const void *in, size_t in_len, size_t room);

/* The same from its parts: arguments, then up to two strings, then data. */
int call_with(struct fixture *f, uint32_t opcode, uint64_t node, const void *arg, size_t arg_len,
	      const char *name, const char *second, const void *data, size_t data_len);

#define call(f, opcode, node, arg, name) \
	call_with(f, opcode, node, arg, sizeof(*(arg)), name, NULL, NULL, 0)

int init(struct fixture *f, uint32_t flags);
int lookup(struct fixture *f, uint64_t dir, const char *name, struct fuse_entry_out *e);
uint64_t node(struct fixture *f, uint64_t dir, const char *name);
int open_file(struct fixture *f, uint64_t id, uint32_t flags, uint64_t *fh);
int create_file(struct fixture *f, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
		uint64_t *fh);
int write_at(struct fixture *f, uint64_t fh, uint64_t offset, const void *data, size_t len);
int read_at(struct fixture *f, uint64_t fh, uint64_t offset, uint32_t len);
int release(struct fixture *f, uint32_t opcode, uint64_t fh);
int getattr(struct fixture *f, uint64_t id, struct fuse_attr *attr);
void put_file(const char *name, const char *text);
void start_share(struct fixture *f, enum fuse_access access);

/* Of the first thousand. */
unsigned int open_descriptors(void);

#define FEW_DESCRIPTORS 96

/* From now on (who has no CAP_SYS_RESOURCE cannot take it back) so many besides those that the parent may have left. */
void few_descriptors(void);

int fuse_setup(void **state);
int fuse_teardown(void **state);

#define test(name) cmocka_unit_test_setup_teardown(name, fuse_setup, fuse_teardown)

#endif
