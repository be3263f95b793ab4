/* TCP connections: their table, their life, their services. */
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/tcp_internal.h"

#define SERVICES	1100u /* each of netperf's sessions has a port */
#define CONNS_MAX	65536u
#define CONNS_MIN	64u
#define HALF_OPEN_MAX	8192u /* beyond it, cookies: they cost options */
#define HASH_BUCKETS	16384u
#define LOW_MEMORY_ROOM (2u * CHUNK_DATA) /* what each may queue when chunks are scarce */

static struct {
	uint16_t port;
	const struct tcp_service *service;
} services[SERVICES];
static uint32_t services_used; /* the first of them have been in use */

static struct tcp_conn *fresh, *freed;
static uint32_t fresh_count, conns_total, half_open;
static struct tcp_conn **buckets;
static struct tcp_conn *output_first, **output_last = &output_first;
static struct tcp_conn *wait_first, *wait_last; /* TIME_WAIT, oldest first */
static uint64_t secret;

bool tcp_make_table(void)
{
	uint64_t memory = machine_available();
	uint64_t count = memory / 4 / sizeof(struct tcp_conn);

	if (count > CONNS_MAX)
		count = CONNS_MAX;
	fresh = machine_alloc(count * sizeof(struct tcp_conn));
	buckets = machine_alloc(HASH_BUCKETS * sizeof(*buckets));
	if (count < CONNS_MIN || fresh == NULL || buckets == NULL || !chunk_start(memory / 2))
		return false;
	conns_total = fresh_count = (uint32_t)count;
	memset(buckets, 0, HASH_BUCKETS * sizeof(*buckets));
	secret = cpu_tsc();
	secret = tcp_hash(secret, (uint64_t)clock_tsc_hz());
	return true;
}

/*
 * Mixes well enough that a peer that does not know the secret cannot aim at buckets or guess
 * sequence numbers.
 */
uint64_t tcp_hash(uint64_t a, uint64_t b)
{
	uint64_t h = secret ^ a;

	for (int round = 0; round < 2; round++) {
		h ^= h >> 32;
		h *= 0xd6e8feb86659fd93ull;
		h ^= h >> 32;
		h *= 0xd6e8feb86659fd93ull;
		h ^= h >> 32;
		h += b ^ secret << 1;
	}
	return h ^ h >> 29;
}

uint32_t tcp_now_ms(void)
{
	return (uint32_t)(clock_us() / 1000);
}

static uint64_t ports(uint16_t peer_port, uint16_t port)
{
	return (uint64_t)peer_port << 16 | port;
}

static struct tcp_conn **bucket(uint32_t address, uint16_t peer_port, uint16_t port)
{
	return &buckets[tcp_hash(address, ports(peer_port, port)) % HASH_BUCKETS];
}

struct tcp_conn *tcp_find(uint32_t address, uint16_t peer_port, uint16_t port)
{
	struct tcp_conn *conn = *bucket(address, peer_port, port);

	while (conn != NULL && (conn->peer.address != address || conn->peer_port != peer_port ||
				conn->port != port))
		conn = conn->hash_next;
	return conn;
}

/*
 * RFC 6528: a clock of 4 microseconds plus a secret of the connection, so that successors never
 * overlap.
 */
uint32_t tcp_initial_seq(uint32_t address, uint16_t peer_port, uint16_t port)
{
	return (uint32_t)(clock_us() / 4) +
	       (uint32_t)(tcp_hash(~(uint64_t)address, ports(peer_port, port)) >> 32);
}

bool tcp_listen(uint16_t port, const struct tcp_service *service)
{
	uint32_t slot = services_used;

	for (uint32_t i = 0; i < services_used; i++) {
		if (services[i].service != NULL && services[i].port == port)
			slot = i;
		else if (services[i].service == NULL && slot == services_used)
			slot = i;
	}
	if (slot == SERVICES)
		return false;
	services_used = max_u32(services_used, slot + 1);
	services[slot].port = port;
	services[slot].service = service;
	return true;
}

const struct tcp_service *tcp_service_on(uint16_t port)
{
	for (uint32_t i = 0; i < services_used; i++)
		if (services[i].service != NULL && services[i].port == port)
			return services[i].service;
	return NULL;
}

bool tcp_too_many_half_open(void)
{
	return half_open >= min_u32(HALF_OPEN_MAX, conns_total / 4);
}

static struct tcp_conn *take_conn(void)
{
	/* The oldest in TIME_WAIT gives way. */
	if (freed == NULL && fresh_count == 0 && wait_first != NULL) {
		counters.tcp_time_wait_reused++;
		tcp_drop(wait_first);
	}
	struct tcp_conn *conn = freed;

	if (conn != NULL) {
		freed = conn->hash_next;
	} else if (fresh_count > 0) {
		fresh_count--;
		conn = fresh++;
	} else {
		counters.tcp_no_memory++;
	}
	return conn;
}

struct tcp_conn *tcp_new(const struct ip_peer *peer, const struct tcp_segment *syn,
			 const struct tcp_service *service, uint32_t initial_seq)
{
	struct tcp_conn *conn = take_conn();
	const struct tcp_options *options = &syn->options;

	if (conn == NULL)
		return NULL;
	struct tcp_conn **head = bucket(peer->address, syn->from_port, syn->port);

	*conn = (struct tcp_conn){
		.hash_next = *head,
		.service = service,
		.peer = *peer,
		.peer_port = syn->from_port,
		.port = syn->port,
		.state = TCP_SYN_RECEIVED,
		.stamps = options->has_stamp,
		.sack_ok = options->sack_ok,
		.stamp_recent = options->stamp,
		.send_scale = options->has_scale ? options->scale : 0,
		.receive_scale = options->has_scale ? TCP_SCALE : 0,
		.snd_una = initial_seq,
		.snd_nxt = initial_seq + 1,
		.snd_max = initial_seq + 1,
		.snd_end = initial_seq + 1,
		.rcv_nxt = syn->seq + 1,
		.snd_wl1 = syn->seq,
		.rto = TCP_RTO_INITIAL,
		.ssthresh = UINT32_MAX,
	};
	conn->mss = (uint16_t)min_u32(options->mss, TCP_MSS);
	if (conn->stamps)
		conn->mss -= TCP_STAMP_SIZE;
	conn->cwnd = TCP_INITIAL_CWND * conn->mss;
	conn->rcv_edge = conn->rcv_nxt;
	*head = conn;
	half_open++;
	return conn;
}

void tcp_leave_half_open(struct tcp_conn *conn)
{
	if (conn->state == TCP_SYN_RECEIVED)
		half_open--;
}

static void free_data(struct tcp_conn *conn)
{
	while (conn->send_first != NULL)
		conn->send_first = chunk_put(conn->send_first);
	while (conn->ahead != NULL)
		conn->ahead = chunk_put(conn->ahead);
	conn->send_last = conn->send_at = NULL;
}

void tcp_establish(struct tcp_conn *conn, uint32_t window)
{
	tcp_leave_half_open(conn);
	conn->state = TCP_ESTABLISHED;
	conn->retries = 0;
	conn->snd_una = conn->snd_nxt;
	conn->snd_wnd = conn->max_wnd = window;
	tcp_timer_set(&conn->timer, 0);
	counters.tcp_accepted++;
	if (conn->service->opened != NULL)
		conn->service->opened(conn);
}

static void leave_wait_list(struct tcp_conn *conn)
{
	if (conn->wait_prev != NULL)
		conn->wait_prev->wait_next = conn->wait_next;
	else
		wait_first = conn->wait_next;
	if (conn->wait_next != NULL)
		conn->wait_next->wait_prev = conn->wait_prev;
	else
		wait_last = conn->wait_prev;
}

static void tell_gone(struct tcp_conn *conn)
{
	if (conn->service->gone != NULL)
		conn->service->gone(conn);
}

void tcp_drop(struct tcp_conn *conn)
{
	struct tcp_conn **at = bucket(conn->peer.address, conn->peer_port, conn->port);

	if (conn->state == TCP_TIME_WAIT_STATE)
		leave_wait_list(conn);
	else if (conn->state != TCP_SYN_RECEIVED && !conn->aborted)
		tell_gone(conn);
	tcp_leave_half_open(conn);
	conn->state = TCP_FREE;
	tcp_timer_remove(&conn->timer);
	tcp_leave_output(conn);
	free_data(conn);
	while (*at != conn)
		at = &(*at)->hash_next;
	*at = conn->hash_next;
	conn->hash_next = freed;
	freed = conn;
}

void tcp_enter_time_wait(struct tcp_conn *conn)
{
	counters.tcp_closed++;
	tell_gone(conn);
	free_data(conn);
	conn->state = TCP_TIME_WAIT_STATE;
	conn->wait_next = NULL;
	conn->wait_prev = wait_last;
	if (wait_last != NULL)
		wait_last->wait_next = conn;
	else
		wait_first = conn;
	wait_last = conn;
	tcp_timer_set(&conn->timer, TCP_TIME_WAIT);
}

void tcp_want_output(struct tcp_conn *conn)
{
	if (conn->on_output)
		return;
	conn->on_output = true;
	conn->output_next = NULL;
	*output_last = conn;
	output_last = &conn->output_next;
}

void tcp_want_ack(struct tcp_conn *conn)
{
	conn->ack_now = true;
	tcp_want_output(conn);
}

struct tcp_conn *tcp_next_output(void)
{
	return output_first;
}

void tcp_leave_output(struct tcp_conn *conn)
{
	struct tcp_conn **at = &output_first;

	if (!conn->on_output)
		return;
	while (*at != conn)
		at = &(*at)->output_next;
	*at = conn->output_next;
	if (output_last == &conn->output_next)
		output_last = at;
	conn->on_output = false;
}

uint32_t tcp_send_room(const struct tcp_conn *conn)
{
	uint32_t queued = conn->snd_end - conn->snd_una, limit = TCP_SEND_QUEUE;
	uint32_t memory = chunk_free_count();

	if (memory < chunk_total() / 4)
		limit = memory > chunk_total() / 16 ? LOW_MEMORY_ROOM : 0;
	return queued < limit ? limit - queued : 0;
}

uint32_t tcp_send(struct tcp_conn *conn, const void *data, uint32_t length)
{
	const uint8_t *from = data;
	uint32_t room = tcp_send_room(conn), taken = 0;

	if (conn->fin_wanted || conn->aborted)
		return 0;
	while (taken < length && taken < room) {
		struct chunk *chunk = conn->send_last;

		if (chunk == NULL || chunk->length == CHUNK_DATA) {
			chunk = chunk_get();
			if (chunk == NULL)
				break;
			chunk->seq = conn->snd_end;
			if (conn->send_last != NULL)
				conn->send_last->next = chunk;
			else
				conn->send_first = chunk;
			conn->send_last = chunk;
		}
		uint32_t n = min_u32(min_u32(length, room) - taken, CHUNK_DATA - chunk->length);

		memcpy(chunk->data + chunk->length, from + taken, n);
		chunk->length += (uint16_t)n;
		conn->snd_end += n;
		taken += n;
	}
	if (taken < length) {
		conn->wants_room = true;
		if (conn->snd_end == conn->snd_una) /* no acknowledgement will come to tell */
			tcp_timer_set(&conn->timer, TCP_MEMORY_RETRY);
	}
	tcp_want_output(conn);
	return taken;
}

void tcp_close(struct tcp_conn *conn)
{
	if (conn->fin_wanted || conn->aborted)
		return;
	conn->fin_wanted = true;
	conn->wants_room = false;
	if (conn->state == TCP_ESTABLISHED)
		conn->state = TCP_FIN_WAIT_1;
	else if (conn->state == TCP_CLOSE_WAIT)
		conn->state = TCP_LAST_ACK;
	tcp_want_output(conn);
}

void tcp_abort(struct tcp_conn *conn)
{
	conn->aborted = true; /* the callback that this may be called from has returned by then */
	counters.tcp_aborted++;
	tcp_want_output(conn);
}

bool tcp_closing(const struct tcp_conn *conn)
{
	return conn->fin_wanted;
}

uint32_t tcp_receive_room(struct tcp_conn *conn)
{
	if (conn->state != TCP_SYN_RECEIVED && conn->state != TCP_TIME_WAIT_STATE &&
	    !conn->aborted && conn->service->room != NULL)
		return min_u32(conn->service->room(conn), TCP_WINDOW);
	return TCP_WINDOW;
}

struct tcp_words *tcp_words(struct tcp_conn *conn)
{
	return &conn->words;
}

uint16_t tcp_port(const struct tcp_conn *conn)
{
	return conn->port;
}
