/*
 * HTTP/1.1 with one fixed answer, enough for load generators: GET and HEAD of /health,
 * keep-alive, pipelining.
 */
#include "guest-tests/guests/paired/chunk.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/services.h"

#define BODY "OK\n"

struct http_request {
	bool get, head, health, keep_alive;
};

static bool begins_with(const uint8_t *text, const uint8_t *end, const char *with)
{
	for (; *with != '\0'; text++, with++) {
		if (text == end)
			return false;
		uint8_t c = *text >= 'A' && *text <= 'Z' && *with >= 'a' ? *text + 32 : *text;

		if (c != (uint8_t)*with)
			return false;
	}
	return true;
}

/* Behind the next line end, or NULL. */
static const uint8_t *next_line(const uint8_t *text, const uint8_t *end)
{
	for (; end - text >= 2; text++)
		if (text[0] == '\r' && text[1] == '\n')
			return text + 2;
	return NULL;
}

/*
 * Takes one request's head apart; returns what lies behind it, or NULL while its blank line has not
 * come.
 */
static const uint8_t *parse(const uint8_t *text, const uint8_t *end, struct http_request *request)
{
	const uint8_t *line_end = next_line(text, end);

	if (line_end == NULL)
		return NULL;
	request->get = begins_with(text, line_end, "GET ");
	request->head = begins_with(text, line_end, "HEAD ");
	const uint8_t *path = text + (request->get ? 4 : 5);

	request->health =
		begins_with(path, line_end, "/health ") || begins_with(path, line_end, "/health?");
	request->keep_alive =
		line_end - text >= 11 && memcmp(line_end - 10, "HTTP/1.1\r\n", 10) == 0;
	while (!begins_with(line_end, end, "\r\n")) {
		text = line_end;
		line_end = next_line(text, end);
		if (line_end == NULL)
			return NULL;
		if (begins_with(text, line_end, "connection: close"))
			request->keep_alive = false;
		if (begins_with(text, line_end, "connection: keep-alive"))
			request->keep_alive = true;
	}
	return line_end + 2;
}

static void say(struct tcp_conn *conn, const char *text)
{
	tcp_send(conn, text, (uint32_t)strlen(text));
}

/* Answers a request, and closes behind it unless the connection is to be kept. */
static void answer(struct tcp_conn *conn, const struct http_request *request)
{
	if (!request->get && !request->head)
		say(conn,
		    "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\n");
	else if (!request->health)
		say(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n");
	else
		say(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n");
	/* A method with a body would have it taken for the next request. */
	bool keep = request->keep_alive && (request->get || request->head);

	say(conn, keep ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
	if (request->health && request->get)
		say(conn, BODY);
	if (!keep)
		tcp_close(conn);
}

/* words.pointer: a chunk with the beginning of a request that came in pieces */
static void forget(struct tcp_conn *conn)
{
	struct tcp_words *words = tcp_words(conn);

	if (words->pointer != NULL)
		chunk_put(words->pointer);
	words->pointer = NULL;
}

static uint32_t http_received(struct tcp_conn *conn, const uint8_t *data, uint32_t length)
{
	struct tcp_words *words = tcp_words(conn);
	struct chunk *kept = words->pointer;
	const uint8_t *at = data, *end = data + length, *next;
	struct http_request request;

	if (kept != NULL) {
		/* What is kept holds no whole request, so at most one ends in what is added. */
		uint32_t before = kept->length;
		uint32_t n = min_u32(length, CHUNK_DATA - before);

		memcpy(kept->data + before, data, n);
		next = parse(kept->data, kept->data + before + n, &request);
		if (next == NULL && n < length) {
			forget(conn);
			tcp_abort(conn); /* a head longer than any load generator's */
			return length;
		}
		kept->length += (uint16_t)n;
		if (next == NULL)
			return length;
		at = data + (next - kept->data - before);
		forget(conn);
		answer(conn, &request);
	}
	/* Whoever pipelines more than can be answered is not served further than that. */
	while (at < end && !tcp_closing(conn) && tcp_send_room(conn) > 512 &&
	       (next = parse(at, end, &request)) != NULL) {
		answer(conn, &request);
		at = next;
	}
	if (tcp_closing(conn) || at == end)
		return length;
	kept = chunk_get();
	if (kept == NULL || end - at > CHUNK_DATA) {
		if (kept != NULL)
			chunk_put(kept);
		tcp_abort(conn);
		return length;
	}
	kept->length = (uint16_t)(end - at);
	memcpy(kept->data, at, kept->length);
	words->pointer = kept;
	return length;
}

static const struct tcp_service http = {
	.received = http_received,
	.ended = tcp_close,
	.gone = forget,
};

bool http_start(void)
{
	return tcp_listen(PORT_HTTP, &http);
}
