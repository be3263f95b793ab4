/* devices/virtio/fuse*.c: requests of every kind, for files that are there and files that are not. */
#include "guest-tests/fuzz/fuzz.h"

#include <linux/fuse.h>
#include <string.h>

#include "devices/virtio/fuse.h"

#define NR_KNOWN  8u
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

/*
 * What follows the header, by kind of request: a 64-bit word that is a handle, a node, a number or the protocol's
 * version; a name.
 */
static const char *const formats[64] = {
	[FUSE_LOOKUP] = "s",	     [FUSE_FORGET] = "x",	[FUSE_GETATTR] = "xh",
	[FUSE_SYMLINK] = "ss",	     [FUSE_MKNOD] = "xxs",	[FUSE_SETATTR] = "xhxxxxxxxxx",
	[FUSE_MKDIR] = "xs",	     [FUSE_UNLINK] = "s",	[FUSE_RMDIR] = "s",
	[FUSE_RENAME] = "nss",	     [FUSE_LINK] = "ns",	[FUSE_OPEN] = "x",
	[FUSE_READ] = "hxxxx",	     [FUSE_WRITE] = "hxxxx",	[FUSE_RELEASE] = "hxx",
	[FUSE_FSYNC] = "hx",	     [FUSE_SETXATTR] = "xs",	[FUSE_GETXATTR] = "xs",
	[FUSE_LISTXATTR] = "x",	     [FUSE_FLUSH] = "hxx",	[FUSE_INIT] = "vx",
	[FUSE_OPENDIR] = "x",	     [FUSE_READDIR] = "hxxxx",	[FUSE_RELEASEDIR] = "hxx",
	[FUSE_FSYNCDIR] = "hx",	     [FUSE_CREATE] = "xxs",	[FUSE_REMOVEXATTR] = "s",
	[FUSE_BATCH_FORGET] = "xnx", [FUSE_LSEEK] = "hxx",	[FUSE_READDIRPLUS] = "hxxxx",
	[FUSE_RENAME2] = "nxss",     [FUSE_FALLOCATE] = "hxxx", [FUSE_COPY_FILE_RANGE] = "hxnhxxx",
	[FUSE_SYNCFS] = "x",
};

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

static uint64_t number(struct fuzz *f, uint32_t opcode)
{
	static const uint8_t bytes[] = { 1, 2, 1, 8 };
	const uint64_t n = fuzz_int(f, bytes[fuzz_below(f, ARRAY_SIZE(bytes))]);

	return opcode == FUSE_FALLOCATE ? n & 0xfffff : n; /* what the host would really give */
}

static size_t put_body(struct guest *g, struct fuzz *f, uint32_t opcode, uint8_t *at)
{
	const uint8_t *const start = at;

	for (const char *c = formats[opcode] ? formats[opcode] : ""; *c; c++) {
		uint64_t word;

		if (*c == 's') {
			at += put_name(f, (char *)at);
			continue;
		}
		if (*c == 'h')
			word = pick(f, g->handle);
		else if (*c == 'n')
			word = pick(f, g->node);
		else
			word = number(f, opcode) ^ (*c == 'v' ? 7 | 36ull << 32 : 0);
		memcpy(at, &word, sizeof(word));
		at += sizeof(word);
	}
	return (size_t)(at - start);
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
	at += put_body(g, f, h->opcode, at);
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
	const uint32_t kind = fuzz_below(f, 8);

	fuzz_check(g.buffer && !fuse_create(&g.fuse, dir,
					    kind == 7  ? FUSE_READ_ONLY
					    : kind > 4 ? FUSE_FROZEN
						       : FUSE_READ_WRITE));
	while (f->left)
		request(&g, f);
	fuse_destroy(g.fuse);
	free(g.buffer);
	fuzz_share_remove();
}
