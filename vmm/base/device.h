/*
 * The seam between the machine and its devices: the machine has a table of kinds, a kind makes devices from what
 * the user wrote, and a device can be stopped and destroyed.
 *
 * Life: create makes all that the device will ever need (threads, files, mappings), parked; then the guest runs.
 * stop ends all of its activity: nothing of it runs or touches memory afterwards, and it is no reset by the driver.
 * destroy follows, after stop or after a machine that was never started.
 */
#ifndef VMM_BASE_DEVICE_H
#define VMM_BASE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/options.h"
#include "vmm/base/sink.h"
#include "vmm/base/util.h"

struct counters;
struct device;
struct guestmem;
struct pci_func;
struct thread_guard;
struct virtio_dev;

struct device_ops {
	void (*stop)(struct device *device); /* optional */
	void (*destroy)(struct device *device);
};

struct device {
	const struct device_ops *ops;
	const char *name;      /* "net0", for messages and accounts; the machine's */
	struct output *output; /* or NULL */
};

/* What stands between a virtio device and the guest. */
enum device_transport { TRANSPORT_DEFAULT, TRANSPORT_MMIO, TRANSPORT_PCI };

/* The row of an option or key that chooses it, into an unsigned int; without @preset TRANSPORT_DEFAULT. */
#define DEVICE_TRANSPORT_OPTION(where, preset_word, help_text)                                    \
	{                                                                                         \
		.name = "transport", .type = OPTION_WORD, .offset = (where), .value = "mmio|pci", \
		.help = (help_text), .preset = (preset_word), .words = device_transports,         \
		.min = TRANSPORT_MMIO                                                             \
	}
extern const char *const device_transports[]; /* from TRANSPORT_MMIO on, NULL at the end */

/* What a device gets from its machine. */
struct device_env {
	const char *name; /* "net0"; lives longer than the device */
	const struct guestmem *mem;
	unsigned int cpus;		  /* vCPUs that the machine has */
	unsigned int transport;		  /* enum device_transport, of devices that do not say */
	const struct thread_guard *guard; /* for every thread that it makes */
	struct counters *counters;	  /* where it adds its groups */

	/* Put a virtio device behind a transport; -errno with a message. */
	int (*plug)(void *arg, struct virtio_dev *dev, enum device_transport wish);

	/* Add a PCI function to the host bridge; -errno with a message. */
	int (*plug_pci)(void *arg, struct pci_func *func);
	void *arg;
};

/* A file of the host that a device has: by its path, or where that is NULL by a descriptor. */
struct device_file {
	const char *path;
	int fd;
	bool written;
	bool directory; /* all that lies below it; by path only */
};

/* Zeroed memory for the device; NULL with a message. */
void *device_alloc(const struct device_env *env, size_t size);

/* Several kinds may have the same options, one of which says which of them makes the device. */
struct device_kind {
	const struct option_group *options;

	/* The file that @options name; optional. */
	struct device_file (*file)(const void *options);

	/* @options: a struct of the group's. *out stays NULL where the options ask for none. -errno with a message. */
	int (*create)(struct device **out, const struct device_env *env, const void *options);
};

#endif
