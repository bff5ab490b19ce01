// The thread pool. With the kernel table and the cache of buffers it is all that the core keeps
// between calls.
#ifndef ML_POOL_H
#define ML_POOL_H

#include <stddef.h>

#include "error.h"

// Threads that a parallel region may use, the caller included. First use reads, in this order:
// MINILM_NUM_THREADS, OMP_NUM_THREADS, the affinity mask and the container's quota.
size_t ml_get_threads(void);

// Threads that a region started now could get: 1 where another one runs.
size_t ml_usable_threads(void);

// Sets that number (1 to 256). Waits for a region that is running.
int ml_set_threads(size_t threads, ml_error *err);

// Runs task(ctx, 0) ... task(ctx, tasks - 1), each once, in any order, on any thread.
// The caller cuts the work by the shape of its problem, never by the number of threads, and sums
// what tasks leave behind in the order of their index: so the bits do not depend on threads.
void ml_parallel_for(size_t tasks, void (*task)(void *ctx, size_t index), void *ctx);

// The same over the ranges [0, grain), [grain, 2 grain) ... of `count` items.
void ml_parallel_ranges(size_t count, size_t grain,
                        void (*range)(void *ctx, size_t begin, size_t end), void *ctx);

// A team runs one function on all its threads at once; they meet at barriers.
typedef struct ml_team ml_team;
typedef void (*ml_team_fn)(void *ctx, ml_team *team, size_t rank, size_t size);

// Runs fn with 1 <= size <= wanted. A region inside a region, or beside one of another thread,
// gets a team of one rather than waiting.
void ml_parallel_team(size_t wanted, ml_team_fn fn, void *ctx);

// Returns when all of the team have called it; what they wrote before is seen by all.
void ml_team_barrier(ml_team *team);

#endif
