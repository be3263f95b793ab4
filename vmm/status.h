/*
 * Exit statuses; README has the table for users.
 */
#ifndef VMM_STATUS_H
#define VMM_STATUS_H

#include <string.h>

enum {
	STATUS_ENDED = 0,	/* the guest powered off or reset */
	STATUS_GUEST_MAX = 123, /* the guest reported 1 to 123 */
	STATUS_TIMEOUT = 124,
	STATUS_CANNOT = 125, /* minivmm could not do what was asked */
	STATUS_CRASHED = 126,
	STATUS_SIGNAL = 128,  /* plus the signal's number */
	STATUS_NO_WORD = 134, /* of a job: the guest ended without saying how the command did */
};

/* Of a machine: the ends that are told apart. */
#define OUTCOME_SIGNAL	"signal"
#define OUTCOME_TIMEOUT "timeout"

/*
 * How long output may wait for its reader at the end, in milliseconds: not where the user wants an end now. By the
 * @outcome (NULL: there was no machine), as a job's status may be any.
 */
static inline unsigned int status_patience(const char *outcome)
{
	return outcome && (!strcmp(outcome, OUTCOME_SIGNAL) || !strcmp(outcome, OUTCOME_TIMEOUT))
		       ? 50
		       : 1000;
}

#endif
