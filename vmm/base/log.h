/*
 * Messages to the user: one line each, on stderr, prefixed "minivmm: ".
 *
 * The line says what was tried, on what, why it failed and, where known, what would help. Library
 * code logs where the cause is known and returns -errno; callers above pass the error on silently.
 * Safe from any thread, also under locks: a message never waits for its reader. What stderr does not
 * take is queued until the next message or log_flush(); when the queue is full, or stderr takes nothing
 * any more, messages are lost, counted, and their number is said when it can be. Lines never interleave. Control
 * characters, as a name or a guest's words may have them, come out as spaces and question marks.
 * While the console is a raw terminal the line ends in CR LF.
 */
#ifndef VMM_BASE_LOG_H
#define VMM_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/counters.h"
#include "vmm/base/util.h"

/* The user's request cannot be met, or the machine has a fault that ends or harms it. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, as the end of a function: its value is @err. */
#define log_fail(err, ...) (log_error(__VA_ARGS__), (err))

/* An error too, unless one was said: who passes on what has its cause deeper says it only where nobody did. */
void log_otherwise(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Something was contained or fell back, and the user may want to know. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Said only with --verbose. */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Whether to say what a guest can bring about as often as it likes: true the 1st, 2nd, 4th, 8th ... time;
 * @times counts, for several threads at once.
 */
static inline bool log_due(uint64_t *times)
{
	const uint64_t n = __atomic_add_fetch(times, 1, __ATOMIC_RELAXED);

	return IS_POWER_OF_2(n);
}

/* Set once at start-up: whether log_info() speaks. */
void log_set_verbose(bool verbose);

/* Once, early: find out how stderr is written to without waiting. */
void log_open(void);

/*
 * Each message, the line without "minivmm: ", goes to @hook first, on its thread and under a lock (so @hook says nothing
 * itself); false: it is not to be written. @error: it came by log_error(). NULL: to nobody.
 */
void log_set_hook(bool (*hook)(void *arg, const char *text, bool error), void *arg);

/* Behind each message: where the user has written what is wrong. NULL: nowhere. While there is one thread. */
void log_set_place(const char *text);

/* Give what is queued @ms milliseconds to be taken. */
void log_flush(unsigned int ms);

struct log_counters {
	uint64_t lost; /* messages */
};
extern const struct counter_desc log_counter_desc[];
const struct log_counters *log_get_counters(void);

/* The console tells whether the terminal is raw (a line then needs its own carriage return). */
void log_set_raw_terminal(bool raw);

/* What helps where open() of a device node says EPERM: a cgroup forbids it. That its rights do is EACCES. */
#define LOG_GIVE_NODE(node) "a container has to be given it: docker run --device " node

/* And where it says EACCES, of the node at @path, in @before and @after: to be of its group, if that may open it. */
#define LOG_OPEN_NODE(path, node, before, after)                                            \
	(log_node_has_group(path)                                                           \
		 ? before "join the group of the node: sudo usermod -aG $(stat -c %G " node \
			  ") $USER, then log in again" after                                \
		 : before "its node is not yours to open: sudo chmod 0666 " node after)
bool log_node_has_group(const char *path);

#endif
