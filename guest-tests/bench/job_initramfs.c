/*
 * job_initramfs FILE KEY=VALUE...: the initramfs of a job (vmm/base/jobproto.h) for a kernel with all built in, for who
 * starts it with another VMM.
 */
#include <stdio.h>
#include <string.h>

#include "boot/boot.h"
#include "vmm/base/log.h"

int main(int argc, char **argv)
{
	char *job = NULL;
	size_t job_len = 0, len = 0;
	const void *data = NULL;
	FILE *f = open_memstream(&job, &job_len);

	if (argc < 3 || !f) {
		fprintf(stderr, "usage: job_initramfs FILE KEY=VALUE...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		fwrite(argv[i], strlen(argv[i]) + 1, 1, f);
	fclose(f);
	if (boot_agent_initramfs(&data, &len, NULL, false, job, job_len)) {
		log_flush(1000);
		return 1;
	}
	f = fopen(argv[1], "we");
	return f && fwrite(data, len, 1, f) == 1 && !fclose(f) ? 0 : 1;
}
