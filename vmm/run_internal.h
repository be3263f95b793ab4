/* The parts of `minivmm run`; inside them only, and for the doctor. */
#ifndef VMM_RUN_INTERNAL_H
#define VMM_RUN_INTERNAL_H

#include <stdio.h>

#include "vmm/config.h"

/* One string of the job's file, with its 0. */
void run_put(FILE *job, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* -EINVAL with a message where @net, of the option, is passt or none with keys. */
int must_check run_net_check(const char *net);

/* The network @net of the option: a card, or none, and what the job's file says of it. -errno with a message. */
int must_check run_net_add(struct config *config, const struct option_group *const *devices,
			   const char *net, FILE *job);

#define RUN_SEARCH_MAX 256

/* The domains of a resolv.conf(5) in which names are looked for, parted by blanks; "": none. */
void run_net_search(FILE *resolv_conf, char domains[RUN_SEARCH_MAX]);

/* Wait until what was started for it carries frames. -errno with a message. */
int must_check run_net_ready(void);

#endif
