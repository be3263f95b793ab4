/*
 * The queue pairs of a network card, as ethtool -l and -L have them: `channels IF` prints how many are in use and how
 * many there are, `channels IF N` has N used.
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (void *)&channels };
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: channels IF [N]\n");
		return 2;
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[1]);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &ifr) < 0) {
		perror("channels: ETHTOOL_GCHANNELS");
		return 1;
	}
	if (argc == 2) {
		printf("%u of %u\n", channels.combined_count, channels.max_combined);
		return 0;
	}
	channels.cmd = ETHTOOL_SCHANNELS;
	channels.combined_count = (unsigned int)strtoul(argv[2], NULL, 10);
	if (ioctl(fd, SIOCETHTOOL, &ifr) < 0) {
		perror("channels: ETHTOOL_SCHANNELS");
		return 1;
	}
	return 0;
}
