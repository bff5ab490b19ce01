// Memory: a cache of buffers between calls, and a way to lay out one buffer.
#ifndef ML_WORKSPACE_H
#define ML_WORKSPACE_H

#include <stddef.h>

#include "real.h"

// A buffer of at least `bytes`, aligned to 64, not cleared; NULL when there is no memory. Released
// buffers are kept for the next request of that size, so that a training step after the first few
// takes no page fault: on virtual machines fresh pages cost more than the arithmetic on them.
void *ml_buffer_acquire(size_t bytes);
void ml_buffer_release(void *buffer); // NULL is fine

// Gives what is kept back to the system; returns the bytes.
size_t ml_buffer_trim(void);

typedef struct ml_buffer_stats {
    size_t used, kept;       // bytes lent and bytes waiting
    size_t requests, misses; // calls of ml_buffer_acquire, and those that asked the system
} ml_buffer_stats;
ml_buffer_stats ml_buffer_get_stats(void);

// Lays arrays out one behind the other. With base NULL it only counts, so that one function both
// says how much it needs and takes it.
typedef struct ml_arena {
    char *base;
    size_t used;  // bytes
    int overflow; // 1 when the bytes do not fit size_t: `used` is then meaningless
} ml_arena;

// `count` numbers, aligned to 64 bytes, not cleared; NULL while counting.
ml_real *ml_arena_reals(ml_arena *arena, size_t count);

// The same for an array (a, b, c); a product that no size can hold counts as overflow.
ml_real *ml_arena_array(ml_arena *arena, size_t a, size_t b, size_t c);

#endif
