/* Which driver has a card here. */
#include "guest-tests/guests/paired/card.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"

struct net net;
const struct card_driver *card;

bool card_start(bool interrupts)
{
	static const struct card_driver *const drivers[] = { &virtio_net_driver, &rtl8139_driver };

	for (uint32_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (drivers[i]->start(interrupts)) {
			card = drivers[i];
			return true;
		}
	console_print("net: no network device that works in \"%s\" or on PCI\n", machine.cmdline);
	return false;
}

uint32_t card_pairs(void)
{
	return card->pairs != NULL ? card->pairs() : 1;
}

bool card_open(void)
{
	return card->open == NULL || card->open();
}

uint8_t *net_frame_buffer(uint32_t length)
{
	return card->frame_buffer(length);
}

bool net_has_room(void)
{
	return card->has_room();
}

uint32_t net_missed(void)
{
	return card->missed != NULL ? card->missed() : 0;
}

void net_send(uint32_t length, const struct net_offload *offload)
{
	card->send(length, offload);
}
