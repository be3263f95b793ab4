/*
 * Accounts: all counters of the machine, the boot by phases and the outcome, as one JSON object.
 *
 *   {"uptime_us":N, "outcome":"...", "status":N,
 *    "boot_us":{"memory":N, ...},         when each phase was over, since the process began
 *    "vcpu0":{"pio":N, ...}, "net0.rx":{...}, ...}     one member a counter group
 *
 * A file's contents are replaced each time. What a pipe or terminal does not take at once is kept for the
 * next time and the end; meanwhile whole objects are left out and counted ("stats":{"skipped":N}), so
 * that none is torn. A FIFO need not have a reader yet.
 *
 * Time stamps are microseconds since the process began, null for what has not come to pass.
 */
#ifndef VMM_STATS_H
#define VMM_STATS_H

#include <stdint.h>

#include "vmm/base/counters.h"
#include "vmm/base/util.h"

struct output;
struct stats;

/* Phases of start-up that the machine reports, in their order. */
enum stats_phase { PHASE_MEMORY, PHASE_KVM, PHASE_DEVICES, PHASE_LOAD, PHASE_VCPUS, PHASE_NR };

/* @start_ns: when the process began, by now_ns(). @path: "-" for standard error; it lives as long as
 * the accounts. -errno. */
int must_check stats_create(struct stats **out, struct counters *counters, const char *path,
			    uint64_t start_ns);

/* Where they go; a file is the machine's to open. */
struct output *stats_output(struct stats *stats);
void stats_destroy(struct stats *stats);

/* A phase is over. Safe on NULL. */
void stats_phase(struct stats *stats, enum stats_phase phase);

/* Write all there is, in place of what was written before, within @ms milliseconds; @outcome "running"
 * or how it ended. Safe on NULL. A failure is reported, and harms nothing else. */
void stats_write(struct stats *stats, const char *outcome, int status, unsigned int ms);

/* The last has been written: say what was lost. Safe on NULL. */
void stats_finish(struct stats *stats);

#endif
