/*
 * Accounts: all registered counters, the boot by phases and the outcome, as one JSON object.
 *
 *   {"uptime_us":N, "outcome":"...", "status":N,
 *    "boot_us":{"memory":N, ...},         when each phase was over, since the process began
 *    "vcpu0":{"pio":N, ...}, "net0.rx":{...}, ...}     one member a counter group
 *
 * Time stamps are microseconds since the process began, null for what has not come to pass.
 */
#ifndef VMM_STATS_H
#define VMM_STATS_H

#include <stdint.h>

#include "vmm/base/util.h"

struct stats;

/* Phases of start-up that the machine reports, in their order. */
enum stats_phase { PHASE_MEMORY, PHASE_KVM, PHASE_DEVICES, PHASE_LOAD, PHASE_VCPUS, PHASE_NR };

/* @start_ns: when the process began, by now_ns(). @path: "-" for standard error; opened now.
 * -errno with a message. */
int must_check stats_create(struct stats **out, const char *path, uint64_t start_ns);
void stats_destroy(struct stats *stats);

/* A phase is over. Safe on NULL. */
void stats_phase(struct stats *stats, enum stats_phase phase);

/* Write all there is, in place of what was written before; @outcome "running" or how it ended.
 * Safe on NULL. A failure is reported, and harms nothing else. */
void stats_write(struct stats *stats, const char *outcome, int status);

#endif
