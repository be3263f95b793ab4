/*
 * passt (https://passt.top): the guest's traffic is carried on by sockets of an ordinary program, so a network takes
 * neither rights nor a tap. It is a child of ours, reached over a stream socket, and ends when our end is closed, however
 * this process ends. Signals to our process group pass it by: a command that ends in good order may need its network.
 */
#ifndef VMM_PASST_H
#define VMM_PASST_H

#include <sys/types.h>

#include "vmm/base/util.h"

/* What the guest has behind it. IPv4; names are resolved by whatever resolves them for the host. */
#define PASST_ADDRESS  "10.0.2.15"
#define PASST_PREFIX   "24"
#define PASST_GATEWAY  "10.0.2.2"
#define PASST_RESOLVER "10.0.2.3"
#define PASST_MTU      "65520"

struct passt {
	int socket; /* for netbe_stream, which closes it; or -1 */
	int words;  /* a pipe: what it says, and its end */
	pid_t pid;
};

/* Start it; it gets ready meanwhile. -errno with a message that says what to install. */
int must_check passt_start(struct passt *p);

/* Wait until it carries frames. Else -errno, with a message: what it said, and what would help. */
int must_check passt_ready(struct passt *p);

/*
 * Behind the machine's end: close the socket where nobody has, wait until it is gone, for a second at most. Nothing where
 * it was not started.
 */
void passt_end(struct passt *p);

#endif
