/* A network card in front of fake kernels with vhost, for unit tests. */
#include "devices/virtio/test/vhost_rig.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

struct fake_vhost kernel[NETBE_MAX_PAIRS];
struct virtio_net_options options;
unsigned int nr_pairs, machine_transport;
bool no_tap;

void vhost_begin(unsigned int pairs)
{
	nr_pairs = pairs;
	machine_transport = TRANSPORT_DEFAULT;
	no_tap = false;
	options = (struct virtio_net_options){ .queue_size = 64, .vhost.fds.nr = pairs };
	memcpy(options.mac, mac, sizeof(mac));
	for (unsigned int i = 0; i < pairs; i++)
		options.vhost.fds.fd[i] = fake_vhost_new(&kernel[i]);
}

int vhost_try(void)
{
	vdriver_init(&d, 64 * MIB);
	netbe_pair_init_queues(&pair, nr_pairs);
	pair.be.features = OFFLOADS | (options.rss ? F(RSS) | F(HASH_REPORT) : 0);
	pair.be.mtu = 1400;
	d.env.name = "net0";
	d.env.transport = machine_transport;
	pair.be.is_tap = !no_tap;
	return virtio_net_create(&d.device, &d.env, &pair.be, &options);
}

void vhost_create(void)
{
	messages_begin();
	assert_int_equal(vhost_try(), 0);
	assert_string_equal(messages_end(), "");
	dev = d.dev;
}

void vhost_end(void)
{
	if (d.device) {
		d.device->ops->stop(d.device);
		netbe_pair_check_ledger(&d.counters);
	}
	vdriver_destroy(&d);
	netbe_pair_destroy(&pair);
	for (unsigned int i = 0; i < nr_pairs; i++)
		if (is_inherited(kernel[i].fd)) /* never taken: still the parent's */
			close(kernel[i].fd);
		else
			assert_true(fake_vhost_is_closed(&kernel[i]));
	fake_vhost_forget();
	use_pair(0);
}

void wait_given(unsigned int i, uint64_t times)
{
	char group[16] = "vhost";

	if (nr_pairs > 1)
		snprintf(group, sizeof(group), "vhost%u", i);
	wait_counter(group, "given", times);
	wait_counter(group, "active",
		     1); /* they may have been taken back, and be given once more */
	pthread_mutex_lock(&kernel[i].lock); /* what it was given is to be looked at */
	pthread_mutex_unlock(&kernel[i].lock);
}

void vhost_start_card(uint64_t features)
{
	vhost_create();
	start(features);
	wait_given(0, 1);
}

/* The kernel's worker until it has moved a frame. */
static void work_one(unsigned int i)
{
	for (unsigned int ms = 0; !fake_vhost_work(&kernel[i], &pair); ms++) {
		assert_true(ms < VDRIVER_TIMEOUT_MS);
		usleep(1000);
	}
}

void frame_each_way(unsigned int i, uint32_t seed)
{
	size_t len = make_frame(100, seed);

	use_pair(i);
	transmit_plain(len);
	vdriver_force_kick(&d, 2 * i + 1);
	work_one(i);
	vdriver_wait(&d, 2 * i + 1);
	assert_got(peer_recv(), len);
	len = make_frame(200, seed);
	post_plain(2048);
	peer_send(len);
	work_one(i);
	assert_got(collect(), len);
	use_pair(0);
}
