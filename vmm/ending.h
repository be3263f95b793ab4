/*
 * How a machine ends. Whoever has a reason says so, from any thread, and the first word is the one that counts. What the
 * guest did becomes an outcome, for the accounts, and an exit status; where there is a job, by its supervisor.
 */
#ifndef VMM_ENDING_H
#define VMM_ENDING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct supervisor;

struct ending {
	bool expect_status;	       /* a guest that reports none has crashed */
	struct supervisor *supervisor; /* NULL without a job */
	void (*over)(void *arg); /* called once, by who said the first word, with the lock held */
	void *arg;

	pthread_mutex_t lock;
	const char *outcome; /* NULL while the machine runs */
	int status;
};

/* It ends as @outcome (a literal) with this exit status; nothing happens if it has ended already. */
void ending_say(struct ending *e, const char *outcome, int status);

/* The guest ended by itself without a word of how it did; it reported @status; it crashed. */
void ending_unreported(struct ending *e, const char *outcome);
void ending_reported(struct ending *e, uint8_t status);
void ending_crashed(struct ending *e);

#endif
