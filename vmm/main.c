/* minivmm: command line in, exit status out. The only file that ends the process. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/config.h"
#include "vmm/base/log.h"
#include "vmm/machine.h"

/* Threads need little; the usual 8 MiB would cost a huge page each where the host gives those freely. */
static void limit_stacks(void)
{
	pthread_attr_t attr;

	if (pthread_attr_init(&attr))
		return;
	if (!pthread_attr_setstacksize(&attr, 256 * KIB))
		pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
}

int main(int argc, char **argv)
{
	const uint64_t start_ns = now_ns();
	struct config config;
	enum config_action action;

	limit_stacks();
	/* A reader that went away is an error of write(2), and a full file too, not our end. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (config_parse(&config, argc, argv, &action))
		return STATUS_CANNOT;
	switch (action) {
	case CONFIG_HELP:
		fputs(config_help, stdout);
		return EXIT_SUCCESS;
	case CONFIG_VERSION:
		puts("minivmm " MINIVMM_VERSION);
		return EXIT_SUCCESS;
	case CONFIG_RUN:
		break;
	}
	log_set_verbose(config.verbose);
	return machine_run(&config, start_ns);
}
