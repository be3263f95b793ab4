/*
 * The virtio core (virtio 1.2, chapters 2 and 3): what every device and every transport share.
 *
 * A device describes itself by struct virtio_ops and never names its transport. A transport (mmio,
 * PCI) decodes registers, calls the functions below and supplies a way to interrupt. All register
 * state lives here, host-side: status steps, feature negotiation, queue configuration, bounds of the
 * config space. Every function below takes the device's mutex itself, unless it says otherwise.
 *
 * Life: at DRIVER_OK the core resolves the queues and calls ->activate(); on reset it calls
 * ->reset(), which joins the device's workers, and only then forgets the queues. A device (or its
 * worker) that meets a fault calls virtio_fail(): the driver sees DEVICE_NEEDS_RESET, once.
 */
#ifndef DEVICES_VIRTIO_CORE_H
#define DEVICES_VIRTIO_CORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "devices/virtio/virtq.h"
#include "vmm/base/device.h"
#include "vmm/base/guestmem.h"

struct virtio_dev;

struct virtio_ops {
	/* The driver wrote to config space; optional (the write is dropped without it). Within
	 * bounds, under the mutex. */
	void (*config_write)(struct virtio_dev *dev, uint32_t offset, const void *src,
			     uint32_t len);

	/* DRIVER_OK: queues that the driver made ready are live; dev->features are final. Start
	 * working. -errno (with a message) leaves the device in DEVICE_NEEDS_RESET. Under the mutex. */
	int (*activate)(struct virtio_dev *dev);

	/* Stop all workers and let go of the queues; called under the mutex only after a
	 * successful activate(). A worker therefore never waits for the mutex except in virtio_fail(),
	 * which does not take it. */
	void (*reset)(struct virtio_dev *dev);

	/* Between activate() and reset(): hold still, touching no memory and forgetting nothing, and go on (-errno
	 * with a message), but not with what came from a queue that is no longer live. May come twice, and pause()
	 * before reset(). Under the mutex. */
	void (*pause)(struct virtio_dev *dev);
	int (*resume)(struct virtio_dev *dev);

	/* What virtio_queue_event() says may be another; optional. After activate(), under the mutex. */
	void (*interrupts_moved)(struct virtio_dev *dev);

	/* The machine ends: after a reset(), if there was an activate(), and never to be activated again. Optional. */
	void (*finish)(struct virtio_dev *dev);

	/* Free the device, after its transport: end its threads, then virtio_destroy(). */
	void (*destroy)(struct virtio_dev *dev);
};

/* How the transport interrupts the driver; callable from any thread without the mutex. */
struct virtio_transport_ops {
	void (*queue_interrupt)(void *transport, unsigned int queue);
	void (*config_interrupt)(void *transport);

	/* The status or the config space is another than before, not by the transport's doing. From any thread; optional. */
	void (*changed)(void *transport);

	/* See virtio_queue_event(); optional. */
	int (*queue_event)(void *transport, unsigned int queue);

	/* The guest no longer runs and the device is quiet, but not destroyed yet; optional. */
	void (*destroy)(void *transport);
};

/* Added as "NAME.device"; queue N's struct virtq_counters as "NAME.queueN". */
struct virtio_counters {
	uint64_t first_touch;  /* when the driver acknowledged it */
	uint64_t driver_ok;    /* when it was first ready */
	uint64_t resets;       /* by the driver, while active */
	uint64_t needs_resets; /* times that virtio_fail() had an effect */
};

struct virtio_dev {
	struct device device;
	const struct virtio_ops *ops;
	const char *name;   /* "net0" */
	uint32_t device_id; /* VIRTIO_ID_* */
	uint32_t pci_class; /* class, subclass and interface, where it sits on PCI */
	uint64_t device_features;
	uint64_t
		features; /* as the driver wrote them; from FEATURES_OK on a valid subset of device_features */
	bool wants_more;  /* and it wrote bits above 63, of which there are none */
	struct virtq *vq; /* nr_vqs of them, owned by the device */
	unsigned int nr_vqs;
	void *config; /* the device-specific config space, owned by the device; see virtio_config_set() */
	uint32_t config_len;
	const struct guestmem *mem;

	pthread_mutex_t lock;
	uint8_t status; /* written under the lock; DEVICE_NEEDS_RESET also without (atomic) */
	bool active;	/* between a successful activate() and reset() */
	bool no_dma;	/* see virtio_set_dma() */
	pthread_mutex_t config_lock; /* of config and its generation; nothing is taken under it */
	uint32_t config_generation;
	const struct virtio_transport_ops *transport_ops;
	void *transport;
	struct virtio_counters counters;
	struct counter_group group;
	struct counter_group own; /* the device's own, added under its name if there are any */
};

/*
 * Fill in the rest, and create the queues, after the device has set ops, device_id, device_features, vq with the
 * size_max of each, nr_vqs, config, config_len and own. VIRTIO_F_VERSION_1, RING_EVENT_IDX and INDIRECT_DESC are
 * added to its features: the queues implement them. -errno with a message; virtio_destroy() follows also then.
 */
int must_check virtio_init(struct virtio_dev *dev, const struct device_env *env);

/* The device is quiet or can be made so, and its transport no longer calls it: give back what virtio_init() took. */
void virtio_destroy(struct virtio_dev *dev);

/* The transport introduces itself; before the guest runs. */
void virtio_attach(struct virtio_dev *dev, const struct virtio_transport_ops *ops, void *transport);

/* The end of its transport: the guest no longer runs and the device is quiet, or can be made so without it. */
void virtio_detach(struct virtio_dev *dev);

/* ---- for devices ---- */

/* What the user may say of any virtio device, as part of its options; and the rows for it, the struct at @where. */
struct virtio_options {
	unsigned int transport; /* enum device_transport */
	bool packed;
};
#define VIRTIO_OPTIONS(where)                                                               \
	DEVICE_TRANSPORT_OPTION((where) + offsetof(struct virtio_options, transport), NULL, \
				"what stands between (--transport)"),                       \
	{                                                                                   \
		"packed", OPTION_SWITCH, (where) + offsetof(struct virtio_options, packed), \
			"on|off", "offer packed rings"                                      \
	}

/*
 * The last step of a kind's create: @dev becomes the machine's device *@out, behind the transport that @options say
 * or else @env chooses, and offers the rings that they say. Where that fails, or a step before it did with @error, @dev is destroyed. -errno with a message.
 */
int must_check virtio_plug(struct device **out, struct virtio_dev *dev,
			   const struct device_env *env, const struct virtio_options *options,
			   int error);

static inline bool virtio_has_feature(const struct virtio_dev *dev, unsigned int bit)
{
	return dev->features & BIT_ULL(bit);
}

/* virtq_publish(), and an interrupt if the driver wants one. From the queue's worker. */
void virtio_publish(struct virtio_dev *dev, unsigned int queue);

/*
 * The event (event.h) that interrupts for @queue when it is signalled, whoever does it; -1 where the driver wants none;
 * -ENOTSUP where it takes more than that: then virtio_interrupt().
 */
int virtio_queue_event(const struct virtio_dev *dev, unsigned int queue);
void virtio_interrupt(struct virtio_dev *dev, unsigned int queue);

/* The device is broken until reset; says so once, with @why ("tx ring is broken"). Any thread. */
void virtio_fail(struct virtio_dev *dev, const char *why);

/* Change config space: @src is copied to @offset of it, a new generation. Any thread, with the mutex or not. */
void virtio_config_set(struct virtio_dev *dev, uint32_t offset, const void *src, uint32_t len);

/* The same for what the driver does not know of as yet: a config interrupt, too. */
void virtio_config_update(struct virtio_dev *dev, uint32_t offset, const void *src, uint32_t len);

/* ---- for transports ---- */

/* Feature bits 0-31 (@sel 0) or 32-63 (@sel 1); others read 0 and ignore writes. Writes count only
 * between DRIVER and FEATURES_OK. */
uint32_t virtio_get_device_features(struct virtio_dev *dev, uint32_t sel);
uint32_t virtio_get_driver_features(struct virtio_dev *dev, uint32_t sel);
void virtio_set_driver_features(struct virtio_dev *dev, uint32_t sel, uint32_t value);

uint8_t virtio_get_status(struct virtio_dev *dev);

/*
 * The driver writes the status register: 0 resets, else one legal step (3.1.1) is taken; illegal
 * ones are ignored with the register unchanged. FEATURES_OK stays clear unless the driver accepted a
 * valid subset (2.2.2): VERSION_1 and nothing that was not offered; it may write others and try again. A
 * feature without one that it depends on is the device's to leave unused. When it returns after a reset, the device is quiet.
 */
void virtio_set_status(struct virtio_dev *dev, uint8_t value);

/*
 * Whether the device may touch memory; it may until a transport says otherwise (PCI's bus mastering). While it may
 * not, it holds still when this returns; a driver may set it up all the same, and it begins once it may.
 */
void virtio_set_dma(struct virtio_dev *dev, bool allowed);

/* Queues interrupt in another way from now on. Not from within virtio_ops. */
void virtio_interrupts_moved(struct virtio_dev *dev);

uint32_t virtio_get_config_generation(struct virtio_dev *dev);

/* Config space; what lies beyond it reads as 0 and swallows writes. @len 1, 2, 4 or 8. */
uint64_t virtio_read_config(struct virtio_dev *dev, uint64_t offset, uint32_t len);
void virtio_write_config(struct virtio_dev *dev, uint64_t offset, uint32_t len, uint64_t value);

/*
 * Queue registers. A queue that does not exist reads as 0 and ignores writes. Configuration counts
 * only while the queue is not ready and the status is FEATURES_OK without DRIVER_OK.
 */
enum virtio_queue_reg {
	VIRTIO_QUEUE_SIZE_MAX, /* read-only */
	VIRTIO_QUEUE_SIZE,
	VIRTIO_QUEUE_READY, /* 0 of a live one: it is let go of when this returns, until a reset */
	VIRTIO_QUEUE_DESC_LO,
	VIRTIO_QUEUE_DESC_HI,
	VIRTIO_QUEUE_DRIVER_LO,
	VIRTIO_QUEUE_DRIVER_HI,
	VIRTIO_QUEUE_DEVICE_LO,
	VIRTIO_QUEUE_DEVICE_HI,
};
uint32_t virtio_get_queue(struct virtio_dev *dev, uint32_t queue, enum virtio_queue_reg reg);
void virtio_set_queue(struct virtio_dev *dev, uint32_t queue, enum virtio_queue_reg reg,
		      uint32_t value);

#endif
