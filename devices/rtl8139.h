/*
 * RTL8139: the network card that virtual machines had before virtio (Realtek RTL8139C+; registers have the
 * names that its datasheet gives them). A PCI function, 10ec:8139, with all registers in BAR 0 (I/O) and BAR 1 (memory), 256 bytes each,
 * and INTA. model=rtl8139 is the 8139C+ (revision 0x20; Linux: 8139cp), model=rtl8139c the chip before it (revision 0x10;
 * 8139too), which has the old mode only.
 *
 * Registers, by offset: any access of 1 to 8 bytes is taken apart into those of four (rtl8139_regs.c). Each one is an exit that
 * minivmm serves, and there are several for each frame: that is what this card costs.
 *
 *   00 IDR   08 MAR   10 TSD / DTCCR   20 TSAD / TNPDS, THPDS   30 RBSTART   37 CR   38 CAPR   3a CBR   3c IMR   3e ISR
 *   40 TCR   44 RCR   48 TCTR   4c MPC   50 9346CR   52 CONFIG1   54 TimerInt   58 MSR   59 CONFIG3   60 TSADS
 *   62 BMCR  64 BMSR  66 ANAR   68 ANLPAR  6a ANER  74 CSCR   d8 CONFIG5   d9 TPPoll   e0 CPCR   e4 RDSAR
 *
 * Two ways of moving frames, each direction by itself:
 *   old (rtl8139_old.c)      four transmit descriptors in registers; a receive ring of bytes, 8 to 64 KiB
 *   C+ (rtl8139_cplus.c)     rings of up to 64 descriptors in memory, with own, end of ring, first and last segment; two
 *                            for transmission. IP, TCP and UDP checksums, large send, VLAN tags
 *
 * A wire cannot be told to wait: a frame that comes while the guest has no room is missed (drop_missed), counted in MPC
 * and the tally counters, and said by ISR. While the receiver is off or the function may not be a bus master, the backend
 * is left alone and its own queue fills. When the backend takes no more, the frame stays in the guest's ring (blocked).
 * What the backend is able to do it does: checksums and segmentation are asked of it where it has them, else done here.
 * Frames have no frame check sequence here: the four bytes that the chip counts as part of a received frame are zero.
 * Received ones shorter than 60 bytes are padded, as on a wire.
 *
 * Threads: one moves the frames of both directions; vCPUs access the registers, which are the data path too, so that both
 * take the card's lock, the thread for each frame. Not while it is in the backend's hands, which takes longest.
 *
 * What a guest can do wrong ends where it is: a descriptor that is no frame is given back and counted (drop_malformed), a
 * ring that is not in memory stops that direction until the driver turns it on again (ISR's SERR, "ring_faults").
 */
#ifndef DEVICES_RTL8139_H
#define DEVICES_RTL8139_H

#include "devices/virtio/net.h"

/* --net model=rtl8139 and model=rtl8139c. */
extern const struct device_kind rtl8139_kind;

/*
 * Create the card, named env->name, on @be, which becomes its own (also where this fails). -errno with a message.
 */
int must_check rtl8139_create(struct device **out, const struct device_env *env, struct netbe *be,
			      const struct virtio_net_options *options);

#endif
