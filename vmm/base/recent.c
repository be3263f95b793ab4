/* The last bytes of a stream. */
#include "vmm/base/recent.h"

#include <string.h>

void recent_add(struct recent *r, const void *bytes, size_t len)
{
	const size_t more = len > RECENT_MAX ? len - RECENT_MAX : 0;
	const char *from = (const char *)bytes + more;

	for (len -= more; len;) {
		const size_t end = (r->first + r->len) % RECENT_MAX;
		const size_t part = MIN(len, RECENT_MAX - end);
		const size_t lost = r->len + part > RECENT_MAX ? r->len + part - RECENT_MAX : 0;

		memcpy(r->text + end, from, part);
		r->len += part - lost;
		r->first = (r->first + lost) % RECENT_MAX;
		from += part;
		len -= part;
	}
}

size_t recent_copy(const struct recent *r, char out[RECENT_MAX])
{
	const size_t part = MIN(r->len, RECENT_MAX - r->first);

	memcpy(out, r->text + r->first, part);
	memcpy(out + part, r->text, r->len - part);
	return r->len;
}
