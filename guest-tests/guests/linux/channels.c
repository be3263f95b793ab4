/*
 * The queue pairs of a network card, as ethtool -l, -L and -X have them: `channels IF` prints how many are in use and how
 * many there are, `channels IF N` has N used, `channels IF rss Q` has all that RSS hashes come to queue Q, and with
 * "default" in its place to all of them again. `channels IF hash` has the card tell no hash, and then one, of TCP segments that
 * come meanwhile.
 */
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

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

/* Whether TCP over IPv4 comes in of which the kernel was told a hash, or (@hash false) none; in good time. */
static bool comes_with(const char *name, bool hash)
{
	struct sock_filter code[] = {
		{ BPF_LD | BPF_H | BPF_ABS, 0, 0, 12 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 7, ETH_P_IP },
		{ BPF_LD | BPF_B | BPF_ABS, 0, 0, 23 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 5, IPPROTO_TCP },
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, SKF_AD_OFF + SKF_AD_PKTTYPE },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 3, PACKET_HOST },
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, SKF_AD_OFF + SKF_AD_RXHASH },
		{ BPF_JMP | BPF_JEQ | BPF_K, hash, !hash, 0 },
		{ BPF_RET | BPF_K, 0, 0, 64 },
		{ BPF_RET | BPF_K, 0, 0, 0 },
	};
	const struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };
	const struct timeval patience = { .tv_sec = 30 };
	const struct sockaddr_ll here = { .sll_family = AF_PACKET,
					  .sll_protocol = htons(ETH_P_ALL),
					  .sll_ifindex = (int)if_nametoindex(name) };
	const int fd = socket(AF_PACKET, SOCK_RAW,
			      0); /* of no protocol: nothing comes before the filter */
	char frame[64];

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    bind(fd, (const struct sockaddr *)&here, sizeof(here)) < 0 ||
	    recv(fd, frame, sizeof(frame), 0) < 0) {
		fprintf(stderr, "channels: TCP with%s hash: %m\n", hash ? " a" : "out");
		return false;
	}
	close(fd);
	return true;
}

static int report_hash(int fd, struct ifreq ifr)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };

	ifr.ifr_data = (void *)&flags;
	for (unsigned int on = 0; on < 2; on++) {
		flags.cmd = ETHTOOL_GFLAGS;
		if (ioctl(fd, SIOCETHTOOL, &ifr) < 0) {
			perror("channels: ETHTOOL_GFLAGS");
			return 1;
		}
		flags.cmd = ETHTOOL_SFLAGS;
		flags.data = on ? flags.data | ETH_FLAG_RXHASH : flags.data & ~ETH_FLAG_RXHASH;
		if (ioctl(fd, SIOCETHTOOL, &ifr) < 0) {
			perror("channels: ETHTOOL_SFLAGS");
			return 1;
		}
		if (!comes_with(ifr.ifr_name, on))
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
		fprintf(stderr, "usage: channels IF [N | rss QUEUE|default | hash]\n");
		return 2;
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[1]);
	if (argc == 4)
		return steer(fd, &ifr, argv[3]);
	if (argc == 3 && !strcmp(argv[2], "hash"))
		return report_hash(fd, ifr);
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
