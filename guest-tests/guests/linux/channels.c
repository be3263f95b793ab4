/*
 * The queue pairs of a network card, as ethtool -l, -L and -X have them: `channels IF` prints how many are in use and how
 * many there are, `channels IF N` has N used, `channels IF rss Q` has all that RSS hashes come to queue Q, and with
 * "default" in its place to all of them again.
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The table's entries are all @queue, or the kernel's own; the key stays as it is. */
static int steer(int fd, struct ifreq *ifr, const char *queue)
{
	struct {
		struct ethtool_rxfh head;
		__u32 config[1024];
	} rss = { .head.cmd = ETHTOOL_GRSSH };

	ifr->ifr_data = (void *)&rss;
	if (ioctl(fd, SIOCETHTOOL, ifr) < 0 || !rss.head.indir_size ||
	    rss.head.indir_size + rss.head.key_size / 4 > sizeof(rss.config) / 4) {
		perror("channels: ETHTOOL_GRSSH");
		return 1;
	}
	rss.head.cmd = ETHTOOL_SRSSH;
	rss.head.key_size = 0;
	for (unsigned int i = 0; i < rss.head.indir_size; i++)
		rss.head.rss_config[i] = (__u32)strtoul(queue, NULL, 10);
	if (!strcmp(queue, "default"))
		rss.head.indir_size = 0;
	if (ioctl(fd, SIOCETHTOOL, ifr) < 0) {
		perror("channels: ETHTOOL_SRSSH");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (void *)&channels };
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc < 2 || argc > 4 || (argc == 4 && strcmp(argv[2], "rss"))) {
		fprintf(stderr, "usage: channels IF [N | rss QUEUE|default]\n");
		return 2;
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[1]);
	if (argc == 4)
		return steer(fd, &ifr, argv[3]);
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
