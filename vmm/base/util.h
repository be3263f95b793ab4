/* Small macros that every part uses. */
#ifndef VMM_BASE_UTIL_H
#define VMM_BASE_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a)		      (sizeof(a) / sizeof((a)[0]))
#define BIT(n)			      (1u << (n))
#define BIT_ULL(n)		      (1ull << (n))
#define ALIGN_UP(x, a)		      (((x) + (a)-1) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a)	      ((x) & ~((__typeof__(x))(a)-1))
#define IS_POWER_OF_2(x)	      ((x) != 0 && ((x) & ((x)-1)) == 0)
#define likely(x)		      __builtin_expect(!!(x), 1)
#define unlikely(x)		      __builtin_expect(!!(x), 0)
#define must_check		      __attribute__((warn_unused_result))
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

#define MIN(a, b)                       \
	({                              \
		__typeof__(a) a_ = (a); \
		__typeof__(b) b_ = (b); \
		a_ < b_ ? a_ : b_;      \
	})
#define MAX(a, b)                       \
	({                              \
		__typeof__(a) a_ = (a); \
		__typeof__(b) b_ = (b); \
		a_ > b_ ? a_ : b_;      \
	})

/* Nanoseconds of the monotonic clock. */
static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* Unless it is none: negative. */
static inline void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/*
 * Is @fd open since before us, and nobody's yet? What we open is close-on-exec, and so is what an option gave from when its
 * user has it: a number that the user only believes to be open may be that of a descriptor of ours. EBADF if not.
 */
static inline bool is_inherited(int fd)
{
	const int flags = fcntl(fd, F_GETFD);

	if (flags >= 0 && !(flags & FD_CLOEXEC))
		return true;
	errno = EBADF;
	return false;
}

/* Holds @mutex until the block ends, wherever that is left. */
#define hold(mutex)                                                                         \
	__attribute__((cleanup(release_held))) pthread_mutex_t *const held_mutex = (mutex); \
	pthread_mutex_lock(held_mutex)

static inline void release_held(pthread_mutex_t *const *held)
{
	pthread_mutex_unlock(*held);
}

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

#endif
