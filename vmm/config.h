/*
 * What the user asked for: the command line and configuration files, parsed and checked.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/util.h"

#define CONFIG_MAX_NETS	 8u
#define CONFIG_MAX_DISKS 8u

enum config_transport { TRANSPORT_DEFAULT, TRANSPORT_MMIO, TRANSPORT_PCI };

struct config_net {
	const char *tap;	 /* name of a tap, existing or to be made; or NULL */
	const char *bridge;	 /* bridge to enslave a tap of our own to, or NULL */
	int fd;			 /* an open tap, or -1 */
	uint8_t mac[6];		 /* all 0: one derived from the tap's name */
	unsigned int mtu;	 /* 0: what the tap has */
	unsigned int queue_size; /* descriptors in each ring */
	unsigned int poll_us;	 /* how long to busy-poll after work, at most */
	bool offload;		 /* checksum and segmentation offload, both ways */
	bool mergeable;		 /* mergeable receive buffers */
	enum config_transport transport;
};

struct config_disk {
	const char *path;
	bool readonly;
	enum config_transport transport;
};

struct config {
	const char *kernel, *initrd, *append;
	uint64_t mem; /* bytes */
	unsigned int cpus;
	struct config_net net[CONFIG_MAX_NETS];
	unsigned int nr_nets;
	struct config_disk disk[CONFIG_MAX_DISKS];
	unsigned int nr_disks;
	bool rng;
	enum config_transport transport; /* for devices that do not choose */
	const char *console;		 /* NULL: stdio; "none"; or a file */
	const char *stats;		 /* NULL, "-" or a file */
	uint64_t timeout_ms;		 /* 0: none */
	bool expect_status;
	bool verbose;
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION };

/*
 * Parse the command line, and the files that it names with --config first, so that it wins.
 * -EINVAL (or a file's error) with a message. Strings live as long as the process.
 */
int must_check config_parse(struct config *config, int argc, char **argv,
			    enum config_action *action);

/* The text of --help. */
extern const char config_help[];

#endif
