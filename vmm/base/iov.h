/* Scattered buffers: copies into and out of an iovec, and its size. */
#ifndef VMM_BASE_IOV_H
#define VMM_BASE_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/*
 * Copy between a buffer and an iovec, starting @offset bytes into the iovec. Return the bytes
 * copied, fewer than @len where the iovec ends first.
 */
size_t iov_to_buf(const struct iovec *iov, unsigned int n, size_t offset, void *dst, size_t len);
size_t iov_from_buf(const struct iovec *iov, unsigned int n, size_t offset, const void *src,
		    size_t len);

/* Drop the first @len bytes (or all) of an iovec, changing it. */
void iov_skip(struct iovec **iov, unsigned int *n, size_t len);

/* Bytes that an iovec spans. */
size_t iov_size(const struct iovec *iov, unsigned int n);

#endif
