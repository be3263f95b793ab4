/* Memory for TCP's data. */
#include <stddef.h>

#include "guest-tests/guests/paired/chunk.h"
#include "guest-tests/guests/paired/machine.h"

static struct chunk *fresh, *freed; /* never used so far; given back */
static uint32_t fresh_count, freed_count, total;

bool chunk_start(uint64_t bytes)
{
	fresh = machine_alloc(bytes);
	if (fresh == NULL)
		return false;
	total = fresh_count = (uint32_t)(bytes / sizeof(struct chunk));
	return total > 0;
}

struct chunk *chunk_get(void)
{
	struct chunk *chunk = freed;

	if (chunk != NULL) {
		freed = chunk->next;
		freed_count--;
	} else if (fresh_count > 0) {
		fresh_count--;
		chunk = fresh++; /* memory is touched only when it is needed */
	} else {
		return NULL;
	}
	chunk->next = NULL;
	chunk->length = 0;
	return chunk;
}

struct chunk *chunk_put(struct chunk *chunk)
{
	struct chunk *next = chunk->next;

	chunk->next = freed;
	freed = chunk;
	freed_count++;
	return next;
}

uint32_t chunk_free_count(void)
{
	return fresh_count + freed_count;
}

uint32_t chunk_total(void)
{
	return total;
}
