/*
 * Messages to the user: one line each, on stderr, prefixed "minivmm: ".
 *
 * The line says what was tried, on what, why it failed and, where known, what would help. Library
 * code logs where the cause is known and returns -errno; callers above pass the error on silently.
 * Safe from any thread; a line is one write(2), so lines never interleave. While the console is a
 * raw terminal the line ends in CR LF.
 */
#ifndef VMM_BASE_LOG_H
#define VMM_BASE_LOG_H

#include <stdbool.h>

/* The user's request cannot be met, or the machine has a fault that ends or harms it. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Something was contained or fell back, and the user may want to know. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Said only with --verbose. */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Set once at start-up: whether log_info() speaks. */
void log_set_verbose(bool verbose);

/* The console tells whether the terminal is raw (a line then needs its own carriage return). */
void log_set_raw_terminal(bool raw);

#endif
