/* The virtio core: status, features, queue configuration and config space, for all transports. */
#include "devices/virtio/core.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/log.h"

#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

/* The legal steps of initialisation (3.1.1): in state @from the driver may add @step. */
static const struct {
	uint8_t from, step;
} status_steps[] = {
	{ 0, VIRTIO_CONFIG_S_ACKNOWLEDGE },
	{ VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER },
	{ VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_FEATURES_OK },
	{ VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK,
	  VIRTIO_CONFIG_S_DRIVER_OK },
};

static const struct counter_desc device_counter_desc[] = {
	COUNTER_TIME(struct virtio_counters, first_touch),
	COUNTER_TIME(struct virtio_counters, driver_ok),
	COUNTER(struct virtio_counters, resets),
	COUNTER(struct virtio_counters, needs_resets),
	COUNTER_END,
};

static void add_counters(struct virtio_dev *dev, struct counters *counters)
{
	counters_add(counters, &dev->group, device_counter_desc, &dev->counters, "%s.device",
		     dev->name);
	for (unsigned int i = 0; i < dev->nr_vqs; i++)
		counters_add(counters, &dev->vq[i].group, virtq_counter_desc, &dev->vq[i].counters,
			     "%s.queue%u", dev->name, i);
	if (dev->own.desc)
		counters_add(counters, &dev->own, dev->own.desc, dev->own.base, "%s", dev->name);
}

int virtio_init(struct virtio_dev *dev, const struct device_env *env)
{
	int ret = 0;

	dev->name = env->name;
	dev->mem = env->mem;
	pthread_mutex_init(&dev->lock, NULL);
	pthread_mutex_init(&dev->config_lock, NULL);
	dev->device_features |= BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) |
				BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC);
	for (unsigned int i = 0; i < dev->nr_vqs; i++)
		dev->vq[i].kick_fd = -1;
	for (unsigned int i = 0; !ret && i < dev->nr_vqs; i++)
		ret = virtq_init(&dev->vq[i], dev->vq[i].size_max);
	if (ret)
		log_error("cannot create the queues of %s: %s", dev->name, strerror(-ret));
	add_counters(dev, env->counters);
	return ret;
}

void virtio_attach(struct virtio_dev *dev, const struct virtio_transport_ops *ops, void *transport)
{
	dev->transport_ops = ops;
	dev->transport = transport;
}

void virtio_detach(struct virtio_dev *dev)
{
	if (dev->transport_ops && dev->transport_ops->destroy)
		dev->transport_ops->destroy(dev->transport);
	dev->transport_ops = NULL;
}

/* Status is read and NEEDS_RESET is set by threads that do not hold the mutex. */
static uint8_t status(const struct virtio_dev *dev)
{
	return __atomic_load_n(&dev->status, __ATOMIC_ACQUIRE);
}

static void add_status(struct virtio_dev *dev, uint8_t bits)
{
	__atomic_fetch_or(&dev->status, bits, __ATOMIC_ACQ_REL);
}

/* End the device's activity, if there is any. Under the mutex. */
static bool deactivate(struct virtio_dev *dev)
{
	const bool active = dev->active;

	if (active)
		dev->ops->reset(dev);
	dev->active = false;
	return active;
}

static void stop(struct virtio_dev *dev)
{
	hold(&dev->lock);
	deactivate(dev);
}

static void reset(struct virtio_dev *dev)
{
	dev->counters.resets += deactivate(dev);
	for (unsigned int i = 0; i < dev->nr_vqs; i++)
		virtq_reset(&dev->vq[i]);
	dev->features = 0;
	dev->wants_more = false;
	__atomic_store_n(&dev->status, 0, __ATOMIC_RELEASE);
}

void virtio_destroy(struct virtio_dev *dev)
{
	stop(dev);
	pthread_mutex_destroy(&dev->config_lock);
	pthread_mutex_destroy(&dev->lock);
	counters_remove(&dev->own);
	for (unsigned int i = 0; i < dev->nr_vqs; i++) {
		counters_remove(&dev->vq[i].group);
		virtq_destroy(&dev->vq[i]);
	}
	counters_remove(&dev->group);
}

/* ---- as a device of the machine ---- */

static void stop_device(struct device *device)
{
	struct virtio_dev *dev = container_of(device, struct virtio_dev, device);

	stop(dev);
	if (dev->ops->finish)
		dev->ops->finish(dev);
}

static void destroy_device(struct device *device)
{
	struct virtio_dev *dev = container_of(device, struct virtio_dev, device);

	stop(dev); /* while it works it may interrupt */
	virtio_detach(dev);
	dev->ops->destroy(dev);
}

int virtio_plug(struct device **out, struct virtio_dev *dev, const struct device_env *env,
		const struct virtio_options *options, int error)
{
	static const struct device_ops ops = { .stop = stop_device, .destroy = destroy_device };
	int ret = error;

	dev->device.ops = &ops;
	dev->device.name = dev->name;
	if (options->packed)
		dev->device_features |= BIT_ULL(VIRTIO_F_RING_PACKED);
	if (!ret)
		ret = env->plug(env->arg, dev, options->transport);
	if (ret)
		destroy_device(&dev->device);
	else
		*out = &dev->device;
	return ret;
}

/* ---- for devices ---- */

static void changed(struct virtio_dev *dev)
{
	if (dev->transport_ops && dev->transport_ops->changed)
		dev->transport_ops->changed(dev->transport);
}

void virtio_interrupt(struct virtio_dev *dev, unsigned int queue)
{
	if (dev->transport_ops)
		dev->transport_ops->queue_interrupt(dev->transport, queue);
}

int virtio_queue_event(const struct virtio_dev *dev, unsigned int queue)
{
	return dev->transport_ops && dev->transport_ops->queue_event
		       ? dev->transport_ops->queue_event(dev->transport, queue)
		       : -ENOTSUP;
}

void virtio_publish(struct virtio_dev *dev, unsigned int queue)
{
	if (virtq_publish(&dev->vq[queue]))
		virtio_interrupt(dev, queue);
}

void virtio_fail(struct virtio_dev *dev, const char *why)
{
	if (__atomic_fetch_or(&dev->status, NEEDS_RESET, __ATOMIC_ACQ_REL) & NEEDS_RESET)
		return;
	if (log_due(&dev->counters.needs_resets))
		log_warn("%s: %s; the device waits for its driver to reset it", dev->name, why);
	changed(dev);
	if (status(dev) & VIRTIO_CONFIG_S_DRIVER_OK && dev->transport_ops)
		dev->transport_ops->config_interrupt(dev->transport);
}

void virtio_config_set(struct virtio_dev *dev, uint32_t offset, const void *src, uint32_t len)
{
	pthread_mutex_lock(&dev->config_lock);
	memcpy((uint8_t *)dev->config + offset, src, len);
	__atomic_fetch_add(&dev->config_generation, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&dev->config_lock);
	changed(dev);
}

void virtio_config_update(struct virtio_dev *dev, uint32_t offset, const void *src, uint32_t len)
{
	virtio_config_set(dev, offset, src, len);
	if (status(dev) & VIRTIO_CONFIG_S_DRIVER_OK && dev->transport_ops)
		dev->transport_ops->config_interrupt(dev->transport);
}

uint32_t virtio_get_device_features(struct virtio_dev *dev, uint32_t sel)
{
	return sel < 2 ? (uint32_t)(dev->device_features >> (32 * sel)) : 0;
}

uint32_t virtio_get_driver_features(struct virtio_dev *dev, uint32_t sel)
{
	hold(&dev->lock);
	return sel < 2 ? (uint32_t)(dev->features >> (32 * sel)) : 0;
}

void virtio_set_driver_features(struct virtio_dev *dev, uint32_t sel, uint32_t value)
{
	hold(&dev->lock);
	const uint8_t s = status(dev);
	if (!(s & VIRTIO_CONFIG_S_DRIVER) || s & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	if (sel < 2)
		dev->features = (dev->features & ~(0xffffffffull << (32 * sel))) |
				(uint64_t)value << (32 * sel);
	else if (value)
		dev->wants_more = true;
}

uint8_t virtio_get_status(struct virtio_dev *dev)
{
	return status(dev);
}

static void activate(struct virtio_dev *dev)
{
	const bool event_idx = virtio_has_feature(dev, VIRTIO_RING_F_EVENT_IDX);
	const bool packed = virtio_has_feature(dev, VIRTIO_F_RING_PACKED);

	for (unsigned int i = 0; i < dev->nr_vqs; i++) {
		struct virtq *vq = &dev->vq[i];

		if (vq->ready && virtq_start(vq, dev->mem, event_idx, packed)) {
			virtio_fail(dev,
				    "a queue is of a wrong size, misaligned or outside memory");
			return;
		}
	}
	if (dev->ops->activate(dev)) {
		virtio_fail(dev, "it cannot start");
		return;
	}
	dev->active = true;
	if (!dev->counters.driver_ok)
		dev->counters.driver_ok = now_ns();
}

static bool features_are_valid(const struct virtio_dev *dev)
{
	return virtio_has_feature(dev, VIRTIO_F_VERSION_1) && !dev->wants_more &&
	       !(dev->features & ~dev->device_features);
}

void virtio_set_status(struct virtio_dev *dev, uint8_t value)
{
	hold(&dev->lock);
	if (!value) {
		reset(dev);
		return;
	}
	if (!dev->counters.first_touch)
		dev->counters.first_touch = now_ns();
	if (value & VIRTIO_CONFIG_S_FAILED)
		add_status(dev, VIRTIO_CONFIG_S_FAILED);
	/* A broken or given-up device stays so until reset; nothing else can be taken back. */
	if (status(dev) & (NEEDS_RESET | VIRTIO_CONFIG_S_FAILED) || status(dev) & ~value)
		return;
	/* Some firmware takes several steps in one write. */
	for (unsigned int i = 0; i < ARRAY_SIZE(status_steps); i++) {
		const uint8_t step = status_steps[i].step;

		if (status(dev) != status_steps[i].from || !(value & step))
			continue;
		if (step == VIRTIO_CONFIG_S_FEATURES_OK && !features_are_valid(dev))
			break;
		add_status(dev, step);
		if (step == VIRTIO_CONFIG_S_DRIVER_OK && !dev->no_dma)
			activate(dev);
	}
}

void virtio_set_dma(struct virtio_dev *dev, bool allowed)
{
	hold(&dev->lock);
	if (dev->no_dma != allowed)
		return;
	dev->no_dma = !allowed;
	const uint8_t s = status(dev);
	const bool live = s & VIRTIO_CONFIG_S_DRIVER_OK && !(s & NEEDS_RESET);
	if (!allowed && dev->active)
		dev->ops->pause(dev);
	else if (allowed && live && !dev->active)
		activate(dev);
	else if (allowed && live && dev->ops->resume(dev))
		virtio_fail(dev, "it cannot go on");
}

void virtio_interrupts_moved(struct virtio_dev *dev)
{
	hold(&dev->lock);
	if (dev->active && dev->ops->interrupts_moved)
		dev->ops->interrupts_moved(dev);
}

uint32_t virtio_get_config_generation(struct virtio_dev *dev)
{
	return __atomic_load_n(&dev->config_generation, __ATOMIC_ACQUIRE);
}

uint64_t virtio_read_config(struct virtio_dev *dev, uint64_t offset, uint32_t len)
{
	uint64_t v = 0;

	hold(&dev->config_lock);
	if (offset < dev->config_len)
		memcpy(&v, (uint8_t *)dev->config + offset,
		       MIN((uint64_t)len, dev->config_len - offset));
	return v;
}

void virtio_write_config(struct virtio_dev *dev, uint64_t offset, uint32_t len, uint64_t value)
{
	hold(&dev->lock);
	if (dev->ops->config_write && len <= sizeof(value) && offset < dev->config_len &&
	    len <= dev->config_len - offset)
		dev->ops->config_write(dev, (uint32_t)offset, &value, len);
}

/* The address that @reg is a half of, and which half: the shift of its bits; NULL for a register that is none. */
static uint64_t *ring_address(struct virtq *vq, enum virtio_queue_reg reg, unsigned int *shift)
{
	uint64_t *const address[] = { &vq->desc_addr, &vq->driver_addr, &vq->device_addr };
	const unsigned int half = reg - VIRTIO_QUEUE_DESC_LO;

	*shift = half % 2 * 32;
	return half < 2 * ARRAY_SIZE(address) ? address[half / 2] : NULL;
}

uint32_t virtio_get_queue(struct virtio_dev *dev, uint32_t queue, enum virtio_queue_reg reg)
{
	const uint64_t *address;
	unsigned int shift;
	if (queue >= dev->nr_vqs)
		return 0;
	hold(&dev->lock);
	struct virtq *vq = &dev->vq[queue];
	address = ring_address(vq, reg, &shift);
	if (address)
		return (uint32_t)(*address >> shift);
	if (reg == VIRTIO_QUEUE_SIZE_MAX)
		return vq->size_max;
	return reg == VIRTIO_QUEUE_SIZE ? vq->size : vq->ready;
}

static void set_queue(struct virtq *vq, enum virtio_queue_reg reg, uint32_t value)
{
	unsigned int shift;
	uint64_t *address = ring_address(vq, reg, &shift);

	if (address)
		*address = (*address & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
	else if (reg == VIRTIO_QUEUE_SIZE)
		vq->size = (uint16_t)MIN(value, 0xffffu); /* judged when it starts */
	else if (reg == VIRTIO_QUEUE_READY)
		vq->ready = value & 1;
}

/* It is the driver's again. Under the mutex. */
static void stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	const bool works = dev->active && !dev->no_dma;

	if (works)
		dev->ops->pause(dev);
	vq->ready = vq->live = false;
	if (works && dev->ops->resume(dev))
		virtio_fail(dev, "it cannot go on");
}

void virtio_set_queue(struct virtio_dev *dev, uint32_t queue, enum virtio_queue_reg reg,
		      uint32_t value)
{
	if (queue >= dev->nr_vqs)
		return;
	hold(&dev->lock);
	struct virtq *vq = &dev->vq[queue];
	const uint8_t s = status(dev);
	if (s & VIRTIO_CONFIG_S_DRIVER_OK && vq->ready && reg == VIRTIO_QUEUE_READY && !(value & 1))
		stop_queue(dev, vq);
	if (s & VIRTIO_CONFIG_S_FEATURES_OK && !(s & VIRTIO_CONFIG_S_DRIVER_OK) &&
	    (!vq->ready || reg == VIRTIO_QUEUE_READY))
		set_queue(vq, reg, value);
}
