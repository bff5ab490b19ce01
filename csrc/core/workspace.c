#include "workspace.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform.h"

// ---- the cache of buffers ---------------------------------------------------------------------

// Sizes are rounded up to one of eight steps between powers of two: at most an eighth is wasted,
// and requests that vary a little share buffers.
enum { STEPS = 8, CLASSES = 64 * STEPS };

// What stands in front of each buffer, a cache line long so that the buffer stays aligned.
typedef struct header {
    struct header *next; // in the list of its class, while kept
    size_t class;
    char padding[64 - sizeof(struct header *) - sizeof(size_t)];
} header;

static struct {
    ml_mutex lock;
    int watches_fork;
    header *kept[CLASSES];
    ml_buffer_stats stats;
} cache = {.lock = ML_MUTEX_INIT};

// A child of fork may inherit the lock as another thread of the parent held it.
static void forget_lock(void)
{
    if (!ml_mutex_trylock(&cache.lock)) { // a thread that is gone was changing the lists
        memset(cache.kept, 0, sizeof cache.kept);
        cache.stats.kept = 0;
    }
    cache.lock = (ml_mutex)ML_MUTEX_INIT;
}

// The class of a size, and the bytes of that class.
static size_t class_of(size_t bytes, size_t *rounded)
{
    size_t power = 512, exponent = 0; // the smallest class: half a kilobyte
    while (power < bytes / 2 + 1) {
        power *= 2;
        exponent++;
    }
    size_t step = power / STEPS;
    size_t steps = bytes > power ? (bytes - power + step - 1) / step : 0;
    *rounded = power + steps * step;
    return exponent * STEPS + steps;
}

void *ml_buffer_acquire(size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    size_t rounded, class = class_of(bytes, &rounded);
    ml_mutex_lock(&cache.lock);
    if (!cache.watches_fork) {
        cache.watches_fork = 1;
        ml_on_fork(forget_lock);
    }
    header *found = cache.kept[class];
    if (found != NULL) {
        cache.kept[class] = found->next;
        cache.stats.kept -= rounded;
    } else {
        cache.stats.misses++;
    }
    cache.stats.used += rounded;
    cache.stats.requests++;
    ml_mutex_unlock(&cache.lock);

    if (found == NULL) {
        found = ml_aligned_alloc(sizeof *found + rounded);
        if (found == NULL && ml_buffer_trim() > 0)
            found = ml_aligned_alloc(sizeof *found + rounded);
    }
    if (found == NULL) {
        ml_mutex_lock(&cache.lock);
        cache.stats.used -= rounded;
        ml_mutex_unlock(&cache.lock);
        return NULL;
    }
    found->class = class;
    return found + 1;
}

static size_t bytes_of(size_t class)
{
    size_t power = (size_t)512 << class / STEPS;
    return power + class % STEPS * (power / STEPS);
}

void ml_buffer_release(void *buffer)
{
    if (buffer == NULL)
        return;
    header *h = (header *)buffer - 1;
    size_t rounded = bytes_of(h->class);
    ml_mutex_lock(&cache.lock);
    h->next = cache.kept[h->class];
    cache.kept[h->class] = h;
    cache.stats.used -= rounded;
    cache.stats.kept += rounded;
    // A program that went on to smaller work must not hold the memory of its largest for ever.
    int hoards = cache.stats.kept / 4 > cache.stats.used && cache.stats.kept > ((size_t)1 << 28);
    ml_mutex_unlock(&cache.lock);
    if (hoards)
        ml_buffer_trim();
}

size_t ml_buffer_trim(void)
{
    ml_mutex_lock(&cache.lock);
    header *all = NULL;
    for (size_t i = 0; i < CLASSES; i++)
        while (cache.kept[i] != NULL) {
            header *h = cache.kept[i];
            cache.kept[i] = h->next;
            h->next = all;
            all = h;
        }
    size_t bytes = cache.stats.kept;
    cache.stats.kept = 0;
    ml_mutex_unlock(&cache.lock);
    while (all != NULL) {
        header *next = all->next;
        ml_aligned_free(all);
        all = next;
    }
    return bytes;
}

ml_buffer_stats ml_buffer_get_stats(void)
{
    ml_mutex_lock(&cache.lock);
    ml_buffer_stats stats = cache.stats;
    ml_mutex_unlock(&cache.lock);
    return stats;
}

// ---- the arena --------------------------------------------------------------------------------

ml_real *ml_arena_reals(ml_arena *arena, size_t count)
{
    const size_t limit = SIZE_MAX / 4 / 64 * 64; // used is a multiple of 64, so it never passes it
    if (count > (limit - arena->used) / sizeof(ml_real)) {
        arena->overflow = 1;
        return NULL;
    }
    ml_real *p = arena->base != NULL ? (ml_real *)(void *)(arena->base + arena->used) : NULL;
    arena->used += (count * sizeof(ml_real) + 63) / 64 * 64;
    return p;
}

// a b, or SIZE_MAX where that is more than a size can hold
static size_t product(size_t a, size_t b) { return b > 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b; }

ml_real *ml_arena_array(ml_arena *arena, size_t a, size_t b, size_t c)
{
    // Once too large, always too large: unless a later factor is 0, and then there is no array.
    size_t count = a == 0 || b == 0 || c == 0 ? 0 : product(product(a, b), c);
    return ml_arena_reals(arena, count);
}
