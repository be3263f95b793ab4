/* The commands of RSS and of the hash report. */
#include "devices/virtio/net_rss.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/iov.h"

/* All is little-endian, and packed: le32, le16, le16, then the table; after that le16, u8, and the key. */
#define HEAD_LENGTH 8u
#define TAIL_LENGTH 3u

int net_rss_parse(struct steering_rule *rule, const struct iovec *iov, unsigned int nr,
		  unsigned int pairs)
{
	uint8_t data[HEAD_LENGTH + 2 * STEERING_TABLE_MAX + TAIL_LENGTH + STEERING_KEY_MAX] = { 0 };
	const size_t length = iov_to_buf(iov, nr, 0, data, sizeof(data));
	uint16_t mask, max_tx;
	unsigned int last;
	const uint8_t *tail;

	*rule = (struct steering_rule){ 0 };
	if (length < HEAD_LENGTH)
		return -EINVAL;
	memcpy(&rule->types, data, sizeof(rule->types));
	memcpy(&mask, data + 4, sizeof(mask));
	memcpy(&rule->unclassified, data + 6, sizeof(rule->unclassified));
	if (rule->types & ~STEERING_TYPES || mask >= STEERING_TABLE_MAX || mask & (mask + 1u))
		return -EINVAL;
	rule->entries = mask + 1u;
	memcpy(rule->table, data + HEAD_LENGTH, sizeof(rule->table[0]) * rule->entries);
	tail = data + HEAD_LENGTH + sizeof(rule->table[0]) * rule->entries;
	memcpy(&max_tx, tail, sizeof(max_tx));
	if (tail[2] > STEERING_KEY_MAX || length < (size_t)(tail - data) + TAIL_LENGTH + tail[2] ||
	    !max_tx || max_tx > pairs)
		return -EINVAL;
	memcpy(rule->key, tail + TAIL_LENGTH, tail[2]);
	last = rule->unclassified;
	for (unsigned int i = 0; i < rule->entries; i++)
		last = MAX(last, rule->table[i]);
	return last < pairs ? (int)last + 1 : -EINVAL;
}

/* le32, 8 reserved bytes, u8, and the key. */
#define HASH_HEAD 13u

int net_hash_parse(struct steering_rule *rule, const struct iovec *iov, unsigned int nr)
{
	uint8_t data[HASH_HEAD + STEERING_KEY_MAX] = { 0 };
	const size_t length = iov_to_buf(iov, nr, 0, data, sizeof(data));

	*rule = (struct steering_rule){ 0 };
	if (length < HASH_HEAD)
		return -EINVAL;
	memcpy(&rule->types, data, sizeof(rule->types));
	memcpy(rule->key, data + HASH_HEAD, sizeof(rule->key));
	return rule->types & ~STEERING_TYPES || length < HASH_HEAD + data[HASH_HEAD - 1] ? -EINVAL
											 : 0;
}
