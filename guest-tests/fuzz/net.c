/* devices/virtio/net*.c: frames both ways, over rings of every kind and a backend that fails at times. */
#include "guest-tests/fuzz/card.h"

void fuzz_one(struct fuzz *f)
{
	struct fuzz_card c;

	fuzz_card_create(&c, f);
	while (f->left) {
		switch (fuzz_below(f, 16)) {
		case 0 ... 4:
			fuzz_card_frame(&c, f);
			break;
		case 5:
			fuzz_card_drain(&c);
			break;
		case 6:
			fuzz_card_fault(&c, f);
			break;
		case 7 ... 8:
			fuzz_turn();
			break;
		default:
			fuzz_driver_act(&c.driver, f);
			break;
		}
	}
	fuzz_card_destroy(&c);
}
