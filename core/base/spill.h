/* spill.h - the allocator while a budget is set; private to core/base. */
#ifndef MOON_BASE_SPILL_H
#define MOON_BASE_SPILL_H

#include "base/base.h"

typedef enum moon_block { MOON_BLOCK_PLAIN, MOON_BLOCK_ZEROED, MOON_BLOCK_ALIGNED /* 64 bytes, and zeroed */ } moon_block;

bool moon_spill_active(void); /* a budget is set, or blocks from the time of one are left */
void *moon_spill_alloc(size_t bytes, moon_block kind);
void *moon_spill_realloc(void *memory, size_t bytes);
void moon_spill_free(void *memory);
/* Why the budget refused an allocation of this thread, once: "" where it refused none since this was asked. */
void moon_spill_reason(char *out, size_t size);

#endif
