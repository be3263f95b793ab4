/*
 * Packet capture at a card's ring: what the guest is given and what it sends, as a pcapng file
 * (draft-ietf-opsawg-pcapng), which tcpdump and Wireshark read. Each packet has its time in nanoseconds, its direction
 * (epb_flags: inbound goes to the guest) and its queue pair (epb_queue). A checksum that the guest leaves to the host, or
 * the host to the guest, is not in it yet.
 *
 * The thread that moves a frame copies it into a ring in memory and goes on, whatever becomes of the file; a thread of
 * its own writes. Where that cannot keep up, or the file takes no more, frames are missing in it, and counted ("lost" in
 * the accounts); what is there is whole.
 */
#ifndef DEVICES_NET_PCAP_H
#define DEVICES_NET_PCAP_H

#include <stddef.h>
#include <sys/uio.h>

#include "vmm/base/device.h"
#include "vmm/base/thread.h"
#include "vmm/base/util.h"

struct pcap;

enum pcap_way { PCAP_TO_GUEST = 1, PCAP_FROM_GUEST = 2 }; /* as in epb_flags */

#define PCAP_WHOLE 262144u /* more than any frame has */

/*
 * Of the card env->name with @pairs queue pairs, into the file @path, of each frame at most @snap bytes. The file is the
 * machine's to open: pcap_output(). -errno. @path lives longer.
 */
int must_check pcap_create(struct pcap **out, const struct device_env *env, const char *path,
			   unsigned int pairs, unsigned int snap);

/* Safe on NULL, which gives NULL. */
struct output *pcap_output(struct pcap *pcap);

/* A frame without its virtio header, @len bytes from @skip on in @iov. From the pair's thread. */
void pcap_add(struct pcap *pcap, unsigned int pair, enum pcap_way way, const struct iovec *iov,
	      unsigned int nr, size_t skip, size_t len);

static inline void pcap_frame(struct pcap *pcap, unsigned int pair, enum pcap_way way,
			      const struct iovec *iov, unsigned int nr, size_t skip, size_t len)
{
	if (unlikely(pcap))
		pcap_add(pcap, pair, way, iov, nr, skip, len);
}

/* No frames come any more: what there is is written, for as long as the reader takes it. Safe on NULL, and twice. */
void pcap_finish(struct pcap *pcap);

/* After it was finished, or never began. Safe on NULL. */
void pcap_destroy(struct pcap *pcap);

#endif
