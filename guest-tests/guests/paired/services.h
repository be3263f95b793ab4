/* What the guest serves, one file each. */
#ifndef SERVICES_H
#define SERVICES_H

#include <stdbool.h>

#include "guest-tests/guests/paired/tcp.h"
#include "guest-tests/guests/paired/udp.h"

#define PORT_ECHO    7
#define PORT_DISCARD 9
#define PORT_CHARGEN 19
#define PORT_HTTP    80
#define PORT_CONTROL 4
#define PORT_ONCE    5001
#define PORT_NETPERF 12865

/*
 * echo.c: echo (RFC 862), discard (RFC 863), chargen (RFC 864), over TCP and UDP; and one echo,
 * then close, over TCP.
 */
bool echo_start(void);

/* http.c: one fixed answer for every request, keep-alive. */
bool http_start(void);

/* netperf.c: netperf's control connection and its tests. */
bool netperf_start(void);

/*
 * control.c: datagrams to UDP port 4. "counters" is answered with the counters; "quit N" ends the
 * machine with status N (default 0), after the counters were printed on the console.
 */
bool control_start(void);

/* The status that a "quit" asked for, or -1. */
int control_quit(void);

/* A piece of text that tests and streams send again and again. */
#define PATTERN_SIZE 65536
const uint8_t *pattern_bytes(void);

#endif
