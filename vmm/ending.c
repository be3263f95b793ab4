#include "vmm/ending.h"

#include "vmm/base/log.h"
#include "vmm/base/util.h"
#include "vmm/status.h"
#include "vmm/supervisor.h"

void ending_say(struct ending *e, const char *outcome, int status)
{
	hold(&e->lock);
	if (!e->outcome) {
		e->outcome = outcome;
		e->status = status;
		e->over(e->arg);
	}
}

void ending_unreported(struct ending *e, const char *outcome)
{
	if (e->supervisor) {
		ending_say(e, outcome, supervisor_no_word(e->supervisor, outcome));
	} else if (e->expect_status) {
		log_error("the guest ended (%s) without reporting a status", outcome);
		ending_say(e, outcome, STATUS_CRASHED);
	} else {
		ending_say(e, outcome, STATUS_ENDED);
	}
}

void ending_reported(struct ending *e, uint8_t status)
{
	if (e->supervisor) {
		ending_say(e, "status", supervisor_reported(e->supervisor, status));
		return;
	}
	if (status > STATUS_GUEST_MAX)
		log_warn("the guest reported status %u; given as %d", status, STATUS_GUEST_MAX);
	ending_say(e, "status", MIN(status, STATUS_GUEST_MAX));
}

void ending_crashed(struct ending *e)
{
	ending_say(e, "crash",
		   e->supervisor ? supervisor_no_word(e->supervisor, "crash") : STATUS_CRASHED);
}
