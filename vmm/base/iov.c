/* Scattered buffers. */
#include "vmm/base/iov.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vmm/base/util.h"

static size_t iov_copy(const struct iovec *iov, unsigned int n, size_t offset, uint8_t *buf,
		       size_t len, bool to_buf)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		const size_t part = MIN(iov[i].iov_len - offset, len - done);
		uint8_t *guest = (uint8_t *)iov[i].iov_base + offset;

		if (to_buf)
			memcpy(buf + done, guest, part);
		else
			memcpy(guest, buf + done, part);
		done += part;
		offset = 0;
	}
	return done;
}

size_t iov_to_buf(const struct iovec *iov, unsigned int n, size_t offset, void *dst, size_t len)
{
	return iov_copy(iov, n, offset, dst, len, true);
}

size_t iov_from_buf(const struct iovec *iov, unsigned int n, size_t offset, const void *src,
		    size_t len)
{
	return iov_copy(iov, n, offset, (uint8_t *)src, len, false);
}

void iov_skip(struct iovec **iov, unsigned int *n, size_t len)
{
	for (; *n && len >= (*iov)->iov_len; (*iov)++, (*n)--)
		len -= (*iov)->iov_len;
	if (*n) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + len;
		(*iov)->iov_len -= len;
	}
}

size_t iov_size(const struct iovec *iov, unsigned int n)
{
	size_t size = 0;

	for (unsigned int i = 0; i < n; i++)
		size += iov[i].iov_len;
	return size;
}
