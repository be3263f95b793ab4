/* The initramfs of a job: the agent, the modules that it loads, the job. */
#include <stdio.h>
#include <string.h>

#include "boot/boot.h"
#include "boot/initramfs.h"
#include "boot/modules.h"
#include "vmm/base/jobproto.h"
#include "vmm/base/log.h"

/* The agent's program, which agent_program.S carries. */
extern const uint8_t agent_program[], agent_program_end[];

/* Both transports: which one it is, is the user's affair. */
const char *const boot_agent_modules[] = { "virtio_pci", "virtio_mmio", "virtio_console",
					   "virtiofs",	 "overlay",	NULL };
const char *const boot_agent_net_modules[] = { "virtio_net", NULL };

int boot_module_check(const char *dir, const char *name)
{
	const char *const names[] = { name, NULL };
	struct modules m;
	const int ret = modules_pick(&m, dir, names);

	if (!ret)
		modules_free(&m);
	return ret;
}

static int add_modules(struct initramfs *fs, const char *dir, bool net)
{
	const char *names[ARRAY_SIZE(boot_agent_modules) + ARRAY_SIZE(boot_agent_net_modules)];
	unsigned int nr = 0;
	struct modules m;
	int ret;

	for (const char *const *name = boot_agent_modules; *name; name++)
		names[nr++] = *name;
	for (const char *const *name = boot_agent_net_modules; net && *name; name++)
		names[nr++] = *name;
	names[nr] = NULL;
	ret = modules_pick(&m, dir, names);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < m.nr; i++) {
		char path[128];

		snprintf(path, sizeof(path), "modules/%02u-%s.ko", i, m.module[i].name);
		initramfs_file(fs, path, 0600, m.module[i].data, m.module[i].len);
	}
	modules_free(&m);
	return 0;
}

int boot_agent_initramfs(const void **out, size_t *len, const char *modules, bool net,
			 const void *job, size_t job_len)
{
	struct initramfs fs;
	int ret = 0;

	initramfs_init(&fs);
	initramfs_dir(&fs, "dev");
	initramfs_device(&fs, "dev/console", 5, 1);
	initramfs_file(&fs, "init", 0755, agent_program,
		       (size_t)(agent_program_end - agent_program));
	initramfs_file(&fs, JOB_FILE, 0600, job, job_len);
	initramfs_dir(&fs, "modules");
	if (modules)
		ret = add_modules(&fs, modules, net);
	if (ret) {
		initramfs_destroy(&fs);
		return ret;
	}
	ret = initramfs_finish(&fs);
	if (ret) {
		log_error("cannot make the initramfs of the job: %s", strerror(-ret));
		initramfs_destroy(&fs);
		return ret;
	}
	*out = fs.data;
	*len = fs.len;
	return 0;
}
