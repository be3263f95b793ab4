/*
 * What the user asked for: the machine's own options, and the devices with theirs.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/base/options.h"
#include "vmm/base/util.h"
#include "vmm/console.h"
#include "vmm/pin.h"

#define CONFIG_MAX_DEVICES 64
#define CONFIG_MAX_FILES   16

/* A device in the order in which they were given; @options is a struct of the group's. */
struct config_device {
	const struct option_group *group;
	void *options;
};

struct config {
	const char *kernel, *initrd, *append;
	uint64_t mem; /* bytes */
	unsigned int cpus;
	struct pins pins;	/* as they were given */
	unsigned int transport; /* enum device_transport, for devices that do not choose */
	struct console_options console;
	const char *stats;		      /* NULL, "-" or a file */
	const char *config[CONFIG_MAX_FILES]; /* what was read */
	unsigned int nr_configs;
	uint64_t timeout_ms;  /* 0: none */
	int kvm_fd;	      /* an open /dev/kvm, or -1 */
	unsigned int sandbox; /* enum sandbox_mode */
	bool expect_status;
	bool verbose;
	struct config_job *job; /* or NULL */
	struct config_device device[CONFIG_MAX_DEVICES];
	unsigned int nr_devices;
};

struct junit;

/* A job that the machine is for (vmm/run.c): its streams, and the initramfs that runs it. */
struct config_job {
	int in, out, err;
	bool tty;		/* if @in is a terminal, its keys are the command's */
	uint64_t kill_after_ms; /* between SIGTERM and the end of the machine */
	struct junit *junit;	/* its report, or NULL */
	const char *log;	/* all that the kernel says, or NULL */
	const void *initramfs;
	size_t initramfs_len;
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION };

/*
 * Parse the command line, and the files that it names with --config first, so that it wins. @devices are the kinds
 * of devices that there are, NULL at the end. -EINVAL (or a file's error) with a message. Strings and options live as
 * long as the process.
 */
int must_check config_parse(struct config *config, const struct option_group *const *devices,
			    int argc, char **argv, enum config_action *action);

/* A machine with all options at their defaults. */
void config_init(struct config *config);

/* Add a device, as `--name text` does. -EINVAL with a message. */
int must_check config_add_device(struct config *config, const struct option_group *const *devices,
				 const char *name, const char *text);

/* The machine's own options, and what its exit statuses mean. */
extern const struct option_group config_options;
extern const char config_exit_status[];

/* Whether a device of it is to be behind virtio-mmio. */
bool config_wants_mmio(const struct config *config);

/* The text of --help. */
void config_help(FILE *f, const struct option_group *const *devices);

#endif
