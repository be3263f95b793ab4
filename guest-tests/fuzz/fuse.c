/* devices/virtio/fuse*.c: requests of every kind, for files that are there and files that are not. */
#include "guest-tests/fuzz/fuzz.h"

#include <linux/fuse.h>
#include <string.h>

#include "devices/virtio/fuse.h"

#define NR_KNOWN  8u
#define ARG_MAX_  128u
#define REPLY_MAX (64u * 1024)
#define UNIQUE	  0x1234567890ull

struct guest {
	struct fuse *fuse;
	struct fuse_buffer *buffer;
	uint64_t node[NR_KNOWN], handle[NR_KNOWN]; /* that answers have told */
	unsigned int nr_nodes, nr_handles;
};

static uint64_t pick(struct fuzz *f, const uint64_t known[NR_KNOWN])
{
	const unsigned int n = fuzz_below(f, NR_KNOWN + 2);

	if (n < NR_KNOWN)
		return known[n];
	return n == NR_KNOWN ? FUSE_ROOT_ID : fuzz_int(f, 8);
}

/* A name that is there, one that is new, one that is none. */
static size_t put_name(struct fuzz *f, char *at)
{
	static const char *const names[] = { "a",   "d", "up", "abs", "p",	"b",
					     "new", ".", "..", "d/b", "user.x", "" };
	const unsigned int n = fuzz_below(f, 16);
	const uint8_t *bytes;
	size_t len;

	if (n < ARRAY_SIZE(names)) {
		strcpy(at, names[n]);
		return strlen(names[n]) + 1;
	}
	bytes = fuzz_bytes(f, fuzz_below(f, 32), &len);
	memcpy(at, bytes, len);
	at[len] = 0;
	return len + (n != 15); /* without its end, once */
}

/* The fixed parts of requests are made of 64-bit words, the first of which is a handle or a node for many. */
static size_t put_arg(struct guest *g, struct fuzz *f, uint32_t opcode, uint64_t arg[ARG_MAX_ / 8])
{
	static const uint8_t words[64] = {
		[FUSE_FORGET] = 1,	 [FUSE_GETATTR] = 2,
		[FUSE_SETATTR] = 11,	 [FUSE_MKNOD] = 2,
		[FUSE_MKDIR] = 1,	 [FUSE_RENAME] = 1,
		[FUSE_LINK] = 1,	 [FUSE_OPEN] = 1,
		[FUSE_READ] = 5,	 [FUSE_WRITE] = 5,
		[FUSE_RELEASE] = 3,	 [FUSE_FSYNC] = 2,
		[FUSE_SETXATTR] = 1,	 [FUSE_GETXATTR] = 1,
		[FUSE_LISTXATTR] = 1,	 [FUSE_FLUSH] = 3,
		[FUSE_INIT] = 2,	 [FUSE_OPENDIR] = 1,
		[FUSE_READDIR] = 5,	 [FUSE_RELEASEDIR] = 3,
		[FUSE_FSYNCDIR] = 2,	 [FUSE_CREATE] = 2,
		[FUSE_BATCH_FORGET] = 1, [FUSE_FALLOCATE] = 4,
		[FUSE_READDIRPLUS] = 5,	 [FUSE_RENAME2] = 2,
		[FUSE_LSEEK] = 3,	 [FUSE_COPY_FILE_RANGE] = 7,
		[FUSE_SYNCFS] = 1,
	};
	const unsigned int n = words[opcode % 64];

	for (unsigned int i = 0; i < n; i++) {
		const unsigned int how = fuzz_below(f, 8);

		if (how == 0)
			arg[i] = pick(f, g->handle);
		else if (how == 1)
			arg[i] = pick(f, g->node);
		else
			arg[i] = fuzz_int(f, how) | (how == 2 ? fuzz_int(f, 2) << 32 : 0);
	}
	if (opcode == FUSE_FALLOCATE) /* what the host would really give */
		for (unsigned int i = 1; i < n; i++)
			arg[i] &= i < 3 ? 0xfffff : ~0ull;
	return 8 * n;
}

static void learn(struct guest *g, uint32_t opcode, const uint8_t *body, size_t len)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	if (opcode == FUSE_LOOKUP || opcode == FUSE_CREATE || opcode == FUSE_MKNOD ||
	    opcode == FUSE_MKDIR || opcode == FUSE_SYMLINK || opcode == FUSE_LINK) {
		fuzz_check(len >= sizeof(entry));
		memcpy(&entry, body, sizeof(entry));
		g->node[g->nr_nodes++ % NR_KNOWN] = entry.nodeid;
	}
	if (opcode == FUSE_OPEN || opcode == FUSE_OPENDIR || opcode == FUSE_CREATE) {
		fuzz_check(len >= sizeof(open));
		memcpy(&open, body + (opcode == FUSE_CREATE ? sizeof(entry) : 0), sizeof(open));
		g->handle[g->nr_handles++ % NR_KNOWN] = open.fh;
	}
}

/* Serve @len bytes, in two pieces each way. */
static void call(struct guest *g, struct fuzz *f, uint8_t *request, uint32_t len)
{
	static _Alignas(8) uint8_t reply[REPLY_MAX];
	const uint32_t room = fuzz_below(f, 4) ? REPLY_MAX : (uint32_t)fuzz_int(f, 1);
	const uint32_t cut = fuzz_below(f, len + 1), split = MIN(room, 16u);
	struct iovec in[] = { { request, cut }, { request + cut, len - cut } };
	struct iovec out[] = { { reply, split }, { reply + split, room - split } };
	const struct fuse_in_header *asked = (const void *)request;
	const struct fuse_out_header *told = (const void *)reply;
	struct fuse_result result;
	uint32_t n;

	n = fuse_serve(g->fuse, g->buffer, in, 2, out, 2, &result);
	fuzz_check(n <= room);
	if (!n)
		return;
	fuzz_check(n >= sizeof(*told) && told->len == n && told->unique == UNIQUE);
	fuzz_check(told->error == result.error && (!told->error || n == sizeof(*told)));
	if (!told->error)
		learn(g, asked->opcode, reply + sizeof(*told), n - sizeof(*told));
}

static void request(struct guest *g, struct fuzz *f)
{
	static _Alignas(8) uint8_t request[8192];
	struct fuse_in_header *h = (void *)request;
	uint8_t *at = request + sizeof(*h);
	const uint8_t *bytes;
	size_t len;

	*h = (struct fuse_in_header){ .opcode = (uint32_t)fuzz_below(f, 64), .unique = UNIQUE };
	h->nodeid = pick(f, g->node);
	at += put_arg(g, f, h->opcode, (uint64_t *)at);
	for (unsigned int i = fuzz_below(f, 3); i; i--)
		at += put_name(f, (char *)at);
	bytes = fuzz_bytes(f, fuzz_int(f, 1), &len);
	memcpy(at, bytes, len);
	at += len;
	h->len = (uint32_t)(at - request);
	if (fuzz_below(f, 16) == 15)
		h->len = (uint32_t)fuzz_int(f, 4);
	call(g, f, request, (uint32_t)(at - request));
}

void fuzz_one(struct fuzz *f)
{
	const char *dir = fuzz_share();
	struct guest g = { .buffer = calloc(1, fuse_buffer_size) };

	fuzz_check(g.buffer && !fuse_create(&g.fuse, dir, fuzz_below(f, 8) != 7));
	while (f->left)
		request(&g, f);
	fuse_destroy(g.fuse);
	free(g.buffer);
	fuzz_share_remove();
}
