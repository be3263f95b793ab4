/* devices/virtio/console.c: the port and its control queues, with a machine that takes and gives as the input says. */
#include "guest-tests/fuzz/fuzz.h"

#include <linux/virtio_console.h>
#include <string.h>

#include "devices/virtio/console.h"
#include "vmm/base/iov.h"

static struct {
	size_t room, given; /* bytes that are taken and given before the next refusal */
} machine;

static size_t output(void *arg, const struct iovec *iov, unsigned int n)
{
	const size_t len = MIN(iov_size(iov, n), machine.room);

	machine.room -= len;
	return len;
}

static size_t input(void *arg, void *buf, size_t len)
{
	len = MIN(len, machine.given);
	memset(buf, 'i', len);
	machine.given -= len;
	return len;
}

static const struct virtio_console_ops ops = { .output = output, .input = input };

static void control(struct fuzz_driver *d, struct fuzz *f)
{
	const struct virtio_console_control c = { .id = fuzz_below(f, 2),
						  .event = (uint16_t)fuzz_below(f, 9),
						  .value = (uint16_t)fuzz_below(f, 2) };

	fuzz_driver_request(d, 3, &c, sizeof(c), 0, 0);
}

void fuzz_one(struct fuzz *f)
{
	struct virtio_dev *dev;
	struct fuzz_driver d;
	struct loop *loop;

	machine.room = machine.given = 0;
	fuzz_driver_init(&d, "job");
	fuzz_check(!loop_create(&loop, "main"));
	fuzz_check(
		!virtio_console_create(&d.device, &dev, &d.env, loop, "minivmm.job", &ops, NULL));
	fuzz_driver_start(&d, f);
	while (f->left) {
		switch (fuzz_below(f, 6)) {
		case 0:
			control(&d, f);
			break;
		case 1:
			machine.room = fuzz_int(f, 2);
			virtio_console_ready(dev);
			break;
		case 2:
			machine.given = fuzz_int(f, 2);
			virtio_console_ready(dev);
			break;
		case 3:
			fuzz_driver_request(&d, fuzz_below(f, 4), "bytes of some length",
					    fuzz_below(f, 20), (uint32_t)fuzz_int(f, 1), 0);
			break;
		default:
			fuzz_driver_act(&d, f);
		}
		fuzz_turn();
	}
	fuzz_driver_destroy(&d);
	loop_destroy(loop);
}
