/* RSS of a tap by a BPF program: the Toeplitz hash, and the table of queues. */
#include "devices/net/steering.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_INSNS 128u

/* What the program reads: one of two rules, so that it never sees half of one. */
struct rule {
	uint32_t mask, unclassified;
	struct rxhash hash;
	uint16_t table[STEERING_TABLE_MAX];
};

struct shared {
	_Atomic uint32_t current; /* 0 or 1 */
	struct rule rule[2];
};

struct steering {
	struct shared *shared;
	int program;
	bool applied;
};

/* ---- the program ---- */

struct code {
	struct bpf_insn insn[MAX_INSNS];
	unsigned int length;
};

/* Registers: those from 6 on outlast a load from the frame. */
enum { R0, R1, R2, R3, R4, FRAME = 6, RULE, HASH, AT, STACK };
/* On the stack: the window that comes next, where the ports are or 0, where the addresses end. */
enum { WINDOW = -8, PORTS = -16, END = -24 };

/* A rule's types, of one IP version, those of IPv6 shifted down to those of IPv4. */
enum { TYPE_IP = 1, TYPE_TCP = 2, TYPE_UDP = 4, IPV6_SHIFT = 3 };
_Static_assert(VIRTIO_NET_RSS_HASH_TYPE_TCPv4 == TYPE_TCP &&
		       VIRTIO_NET_RSS_HASH_TYPE_UDPv4 == TYPE_UDP &&
		       VIRTIO_NET_RSS_HASH_TYPE_UDPv6 == TYPE_UDP << IPV6_SHIFT,
	       "types of both versions in the same order");

static unsigned int emit(struct code *c, int op, unsigned int dst, unsigned int src, long off,
			 int imm)
{
	c->insn[c->length] = (struct bpf_insn){ .code = (uint8_t)op,
						.dst_reg = dst & 0xf,
						.src_reg = src & 0xf,
						.off = (int16_t)off,
						.imm = imm };
	return c->length++;
}

#define SET(dst, imm)		  emit(c, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define ALU_IMM(op, dst, imm)	  emit(c, BPF_ALU64 | (op) | BPF_K, dst, 0, 0, imm)
#define ALU32_IMM(op, dst, imm)	  emit(c, BPF_ALU | (op) | BPF_K, dst, 0, 0, imm)
#define ALU(op, dst, src)	  emit(c, BPF_ALU64 | (op) | BPF_X, dst, src, 0, 0)
#define LOAD(size, dst, src, off) emit(c, BPF_LDX | BPF_MEM | (size), dst, src, off, 0)
#define OF_RULE(dst, field)	  LOAD(BPF_W, dst, RULE, offsetof(struct rule, field))
#define UNSTACK(dst, place)	  LOAD(BPF_DW, dst, STACK, place)
#define STACK_UP(place, src)	  emit(c, BPF_STX | BPF_MEM | BPF_DW, STACK, src, place, 0)
#define STACK_IMM(place, imm)	  emit(c, BPF_ST | BPF_MEM | BPF_DW, STACK, 0, place, imm)
/* Into R0, in this host's order; of a frame that ends before it the queue is 0. */
#define FRAME_WORD(size, place)	  emit(c, BPF_LD | BPF_ABS | (size), 0, 0, 0, place)
#define FRAME_AT()		  emit(c, BPF_LD | BPF_IND | BPF_W, 0, AT, 0, 0)
/* Where it stands, for land() or back(). */
#define JUMP_IF(op, reg, imm)	  emit(c, BPF_JMP | (op) | BPF_K, reg, 0, 0, imm)
#define JUMP()			  emit(c, BPF_JMP | BPF_JA, 0, 0, 0, 0)
#define EXIT()			  emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static void land(struct code *c, unsigned int jump)
{
	c->insn[jump].off = (int16_t)(c->length - jump - 1);
}

static void back(struct code *c, unsigned int jump, unsigned int to)
{
	c->insn[jump].off = (int16_t)((int)to - (int)jump - 1);
}

static void emit_rule(struct code *c, int map)
{
	ALU(BPF_MOV, FRAME, R1);
	emit(c, BPF_LD | BPF_IMM | BPF_DW, RULE, BPF_PSEUDO_MAP_VALUE, 0, map);
	emit(c, 0, 0, 0, 0, 0);
	LOAD(BPF_W, R1, RULE, offsetof(struct shared, current));
	ALU_IMM(BPF_AND, R1, 1);
	ALU_IMM(BPF_MUL, R1, sizeof(struct rule));
	ALU(BPF_ADD, RULE, R1);
	ALU_IMM(BPF_ADD, RULE, offsetof(struct shared, rule));
	ALU(BPF_MOV, R1, RULE);
	ALU_IMM(BPF_ADD, R1, offsetof(struct rule, hash.window));
	STACK_UP(WINDOW, R1);
	SET(HASH, 0);
}

/* The next 32 bits of the input, which are R0: the hash gets the window of each that is set. */
static void emit_hash(struct code *c)
{
	unsigned int again;

	UNSTACK(R1, WINDOW);
	SET(R2, 32);
	again = c->length;
	ALU(BPF_MOV, R3, R0);
	ALU32_IMM(BPF_ARSH, R3, 31);
	LOAD(BPF_W, R4, R1, 0);
	ALU(BPF_AND, R4, R3);
	ALU(BPF_XOR, HASH, R4);
	ALU32_IMM(BPF_LSH, R0, 1);
	ALU_IMM(BPF_ADD, R1, 4);
	ALU_IMM(BPF_SUB, R2, 1);
	back(c, JUMP_IF(BPF_JNE, R2, 0), again);
	STACK_UP(WINDOW, R1);
}

/* Where things are in the frame, its protocol in R0 and the types of its IP version in R1; the jump where it is no IP. */
static unsigned int emit_parse(struct code *c)
{
	unsigned int not_ipv4, whole, typed, parsed, no_ip;

	FRAME_WORD(BPF_H, FRAME_ETHERTYPE);
	not_ipv4 = JUMP_IF(BPF_JNE, R0, 0x0800);
	SET(AT, FRAME_IPV4_SOURCE);
	STACK_IMM(END, FRAME_IPV4_END);
	FRAME_WORD(BPF_B, FRAME_IP);
	ALU_IMM(BPF_AND, R0, 0xf);
	ALU_IMM(BPF_LSH, R0, 2);
	ALU_IMM(BPF_ADD, R0, FRAME_IP);
	STACK_UP(PORTS, R0);
	FRAME_WORD(BPF_H, FRAME_IPV4_FRAGMENT);
	ALU_IMM(BPF_AND, R0, FRAME_MORE_OR_OFFSET);
	whole = JUMP_IF(BPF_JEQ, R0, 0);
	SET(R0, 0); /* its ports are not there, or not for all of it */
	typed = JUMP();
	land(c, whole);
	FRAME_WORD(BPF_B, FRAME_IPV4_PROTOCOL);
	land(c, typed);
	OF_RULE(R1, hash.types);
	parsed = JUMP();

	land(c, not_ipv4);
	no_ip = JUMP_IF(BPF_JNE, R0, 0x86dd);
	SET(AT, FRAME_IPV6_SOURCE);
	STACK_IMM(END, FRAME_IPV6_END);
	STACK_IMM(PORTS, FRAME_IPV6_END);
	FRAME_WORD(BPF_B, FRAME_IPV6_NEXT_HEADER);
	OF_RULE(R1, hash.types);
	ALU_IMM(BPF_RSH, R1, IPV6_SHIFT);
	land(c, parsed);
	return no_ip;
}

/* Of the rule's types the one that says most about the frame (5.1.6.4.3.1); where there is none, that is all. */
static void emit_choose(struct code *c, unsigned int no_ip)
{
	unsigned int no_tcp, no_udp, tcp, udp, ip;

	no_tcp = JUMP_IF(BPF_JNE, R0, 6);
	tcp = JUMP_IF(BPF_JSET, R1, TYPE_TCP);
	land(c, no_tcp);
	no_udp = JUMP_IF(BPF_JNE, R0, 17);
	udp = JUMP_IF(BPF_JSET, R1, TYPE_UDP);
	land(c, no_udp);
	STACK_IMM(PORTS, 0);
	ip = JUMP_IF(BPF_JSET, R1, TYPE_IP);
	land(c, no_ip);
	OF_RULE(R0, unclassified);
	EXIT();
	land(c, tcp);
	land(c, udp);
	land(c, ip);
}

static void emit_queue(struct code *c)
{
	const unsigned int again = c->length;
	unsigned int no_ports;

	FRAME_AT();
	emit_hash(c);
	ALU_IMM(BPF_ADD, AT, 4);
	UNSTACK(R1, END);
	back(c, emit(c, BPF_JMP | BPF_JNE | BPF_X, AT, R1, 0, 0), again);
	UNSTACK(AT, PORTS);
	no_ports = JUMP_IF(BPF_JEQ, AT, 0);
	FRAME_AT();
	emit_hash(c);
	land(c, no_ports);
	OF_RULE(R1, mask);
	ALU(BPF_AND, HASH, R1);
	ALU_IMM(BPF_AND, HASH,
		STEERING_TABLE_MAX - 1); /* for the kernel, which does not know the mask */
	ALU_IMM(BPF_LSH, HASH, 1);
	ALU(BPF_ADD, RULE, HASH);
	LOAD(BPF_H, R0, RULE, offsetof(struct rule, table));
	EXIT();
}

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	const long ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : (int)ret;
}

static int load_program(int map)
{
	struct code c = { .length = 0 };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
				.insns = (uintptr_t)c.insn,
				.license = (uintptr_t) "" };

	emit_rule(&c, map);
	emit_choose(&c, emit_parse(&c));
	emit_queue(&c);
	attr.insn_cnt = c.length;
	return bpf(BPF_PROG_LOAD, &attr);
}

/* ---- what is steered by ---- */

int steering_create(struct steering **out)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY,
				.key_size = sizeof(uint32_t),
				.value_size = sizeof(struct shared),
				.max_entries = 1,
				.map_flags = BPF_F_MMAPABLE };
	struct steering *s = calloc(1, sizeof(*s));
	const int map = s ? bpf(BPF_MAP_CREATE, &attr) : -ENOMEM;
	int ret = map;

	if (map < 0)
		goto fail;
	s->shared = mmap(NULL, sizeof(*s->shared), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	ret = s->shared == MAP_FAILED ? -errno : load_program(map);
	close(map);
	if (ret >= 0) {
		s->program = ret;
		*out = s;
		return 0;
	}
	if (s->shared != MAP_FAILED)
		munmap(s->shared, sizeof(*s->shared));
fail:
	free(s);
	return ret;
}

void steering_destroy(struct steering *s)
{
	if (!s)
		return;
	close(s->program);
	munmap(s->shared, sizeof(*s->shared));
	free(s);
}

static void write_rule(struct steering *s, const struct steering_rule *from)
{
	const uint32_t next = !atomic_load_explicit(&s->shared->current, memory_order_relaxed);
	struct rule *to = &s->shared->rule[next];

	to->mask = from->entries - 1;
	to->unclassified = from->unclassified;
	rxhash_init(&to->hash, from->types, from->key);
	memcpy(to->table, from->table, sizeof(to->table));
	atomic_store_explicit(&s->shared->current, next, memory_order_release);
}

static int attach(int fd, int program)
{
	return ioctl(fd, TUNSETSTEERINGEBPF, &program) < 0 ? -errno : 0;
}

int steering_probe(int fd)
{
	return attach(fd, -1);
}

int steering_apply(struct steering *s, int fd, const struct steering_rule *rule)
{
	int ret = 0;

	if (rule)
		write_rule(s, rule);
	if (s->applied != (rule != NULL))
		ret = attach(fd, rule ? s->program : -1);
	if (!ret)
		s->applied = rule != NULL;
	return ret;
}

int steering_program(const struct steering *s)
{
	return s->program;
}
