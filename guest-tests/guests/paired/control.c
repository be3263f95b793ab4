/* How a test asks the guest for its counters and for its end: datagrams to UDP port 4. */
#include "guest-tests/guests/paired/cmdline.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/services.h"

static int quit_status = -1;

static bool begins_with(const struct udp_datagram *datagram, const char *word)
{
	size_t length = strlen(word);

	return datagram->length >= length && memcmp(datagram->data, word, length) == 0;
}

static void control(const struct udp_datagram *datagram)
{
	if (begins_with(datagram, "counters")) {
		static char text[UDP_ANSWER_MAX];

		counters.rx_missed = net_missed();
		udp_answer(datagram, text, counters_text(text, sizeof(text)));
	} else if (begins_with(datagram, "quit")) {
		const char *at = (const char *)datagram->data + 4;
		const char *end = (const char *)datagram->data + datagram->length;
		uint64_t status = 0;

		while (at < end && *at == ' ')
			at++;
		if (at < end && (!cmdline_number(&at, end, &status) || status > 255))
			status = 0;
		udp_answer(datagram, "bye\n", 4);
		quit_status = (int)status;
	}
}

bool control_start(void)
{
	return udp_listen(PORT_CONTROL, control);
}

int control_quit(void)
{
	return quit_status;
}
