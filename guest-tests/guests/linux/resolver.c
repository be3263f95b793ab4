/* A resolver that knows one address: resolver BIND ADDRESS. It is the answer to every question for an A (RFC 1035). */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER 12

int main(int argc, char **argv)
{
	static const uint8_t a_in[] = { 0, 1, 0, 1 };
	/* A pointer to the question's name, A, IN, a minute, four bytes. */
	uint8_t record[16] = { 0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4 },
		packet[512 + sizeof(record)];
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(53) }, peer;
	const int s = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 3 || inet_pton(AF_INET, argv[1], &own.sin_addr) != 1 ||
	    inet_pton(AF_INET, argv[2], record + 12) != 1 ||
	    bind(s, (struct sockaddr *)&own, sizeof(own)) < 0) {
		perror("resolver BIND ADDRESS");
		return 1;
	}
	for (;;) {
		socklen_t peer_len = sizeof(peer);
		ssize_t len = recvfrom(s, packet, 512, 0, (struct sockaddr *)&peer, &peer_len),
			end = HEADER;

		while (end < len && packet[end])
			end += 1 + packet[end];
		end += 1 + (ssize_t)sizeof(a_in);
		if (end > len)
			continue;
		const int known = !memcmp(packet + end - sizeof(a_in), a_in, sizeof(a_in));

		/* A response; recursion was desired, and is available; one question, one answer or none, nothing more. */
		memcpy(packet + 2, (uint8_t[]){ 0x81, 0x80, 0, 1, 0, (uint8_t)known, 0, 0, 0, 0 },
		       10);
		memcpy(packet + end, record, sizeof(record));
		sendto(s, packet, (size_t)end + (known ? sizeof(record) : 0), 0,
		       (struct sockaddr *)&peer, peer_len);
	}
}
