/* Memory for TCP's data: pieces of a byte stream, each knowing its sequence number. */
#ifndef CHUNK_H
#define CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#define CHUNK_DATA 2032

struct chunk {
	struct chunk *next;
	uint32_t seq; /* of data[0] */
	uint16_t length;
	uint8_t data[CHUNK_DATA];
};

/* Takes so much memory for chunks; false if there is not even a little. */
bool chunk_start(uint64_t bytes);

/* A chunk with nothing in it, or NULL. */
struct chunk *chunk_get(void);
/* Gives back a chunk, and returns the one behind it. */
struct chunk *chunk_put(struct chunk *chunk);

uint32_t chunk_free_count(void);
uint32_t chunk_total(void);

#endif
