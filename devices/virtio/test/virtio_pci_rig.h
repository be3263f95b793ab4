/* A device that does nothing behind the virtio PCI transport, and what a driver does with it. */
#ifndef DEVICES_VIRTIO_TEST_VIRTIO_PCI_RIG_H
#define DEVICES_VIRTIO_TEST_VIRTIO_PCI_RIG_H

#include <pthread.h>
#include <stdatomic.h>

#include "devices/test/pci_machine.h"
#include "devices/virtio/pci.h"

#define NR_VQS	   3u
#define QUEUE_SIZE 16u
#define SLOT	   1u
#define STATUS_RUN                                                                            \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK)

/* A device that does nothing but notice what is asked of it. */
struct fake {
	struct virtio_dev dev;
	struct virtq vq[NR_VQS];
	uint8_t config[12];
	unsigned int activated, resets, pauses, resumes, moves;
	bool busy; /* between activate and reset a worker raises interrupts without end */
	pthread_t worker;
	atomic_bool stop;
};

struct fixture {
	struct pci_machine m;
	struct guestmem mem;
	struct fake fake;
	struct pci_func *func;
	uint64_t common, isr, device, notify; /* addresses */
	bool in_memory;			      /* the driver cannot use I/O ports */
	struct bus *notify_bus;
	uint32_t notify_mult;
};

uint64_t common_get(struct fixture *x, unsigned int field, unsigned int size);
void common_put(struct fixture *x, unsigned int field, unsigned int size, uint64_t value);
uint8_t get_status(struct fixture *x);
void set_status(struct fixture *x, uint8_t status);
void select_queue(struct fixture *x, unsigned int queue);

/* The first capability with @type, or 0. */
unsigned int find_virtio_cap(struct fixture *x, uint8_t type);

/* Find the structures in the BARs, wherever these are now. */
void locate(struct fixture *x);

/* Vector v of queue v, the last for configuration changes; all of them unmasked. */
void use_msix(struct fixture *x);

void negotiate(struct fixture *x);
uint64_t ring_address(unsigned int queue, unsigned int part);
void start_driver(struct fixture *x);
void queue_interrupt(struct fixture *x, unsigned int queue);
void config_interrupt(struct fixture *x);
uint64_t kicks(struct fixture *x, unsigned int queue);
uint64_t interrupts(struct fixture *x, unsigned int vector);
int virtio_pci_setup(void **state);
int virtio_pci_setup_memory(void **state); /* the driver cannot use I/O ports */
int virtio_pci_setup_shared(void **state); /* one vector for all queues */
int virtio_pci_teardown(void **state);
void window(struct fixture *x, unsigned int bar, uint32_t offset, uint32_t len);
uint32_t window_get(struct fixture *x, unsigned int size);
void window_put(struct fixture *x, unsigned int size, uint32_t value);

#define TEST(f) cmocka_unit_test_setup_teardown(f, virtio_pci_setup, virtio_pci_teardown)

#endif
