/* A network card on a socketpair, for the targets that drive it. */
#ifndef GUEST_TESTS_FUZZ_CARD_H
#define GUEST_TESTS_FUZZ_CARD_H

#include "devices/net/test/netbe_pair.h"
#include "guest-tests/fuzz/fuzz.h"

struct fuzz_card {
	struct fuzz_driver driver;
	struct netbe_pair backend;
	uint64_t sent; /* frames handed to the backend for the guest */
	uint64_t got;  /* and from the guest */
};

/* The control queue, whose place the driver's features decide. */
unsigned int fuzz_card_ctrl(const struct fuzz_card *c);

/* The input chooses what the card offers; the driver has started. */
void fuzz_card_create(struct fuzz_card *c, struct fuzz *f);

/* Nothing was lost that was not counted. */
void fuzz_card_destroy(struct fuzz_card *c);

/* A frame for the guest; frames from the guest; faults of the backend. */
void fuzz_card_frame(struct fuzz_card *c, struct fuzz *f);
void fuzz_card_drain(struct fuzz_card *c);
void fuzz_card_fault(struct fuzz_card *c, struct fuzz *f);

#endif
