#include "pool.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "platform.h"

enum {
    MAX_THREADS = 256,
    // Microseconds before a waiting thread goes to sleep. At a barrier: the length of a few time steps
    // of a recurrent layer. Without a job: the Python between two layers, for waking a sleeper can
    // cost as much as the layer. Only cores that nobody else was given spin.
    BARRIER_SPIN = 100,
    IDLE_SPIN = 300,
    SPINS = 32, // pauses between two looks at the clock
};

// Where threads sleep that wait for the same kind of event. Workers without a job sleep apart from a
// team at its barrier: else every barrier would wake those, too.
typedef struct bedroom {
    ml_mutex lock;
    ml_cond wake;
    atomic_uint sleepers;
} bedroom;

struct ml_team {
    size_t size;
    unsigned spin;         // microseconds before sleeping
    atomic_size_t arrived; // at the barrier
    atomic_uint phase;     // barriers passed
    atomic_size_t running; // workers that have not finished
    atomic_uint finished;  // becomes 1 with the last of them
    ml_team_fn fn;
    void *ctx;
};

typedef struct worker {
    ml_thread thread;
    size_t rank;
    atomic_uint jobs;  // jobs given so far: a change wakes the worker
    atomic_uint taken; // the last one that somebody took: the worker, or the caller back again
    ml_team *team;     // the job; NULL asks the worker to end
    bedroom bed;       // for waiting for a job
    char padding[64];  // no two workers spin on one cache line
} worker;

static struct {
    ml_mutex region;   // held while a region runs
    bedroom team_bed;  // barriers and ends of the team that runs; outlives every team
    size_t threads;    // wanted, caller included; 0 until first use
    size_t quota;      // cores that the container allows
    int oversubscribe; // tests: more threads than cores
    size_t workers;    // running
    worker *worker[MAX_THREADS];
} pool = {.region = ML_MUTEX_INIT, .team_bed = {.lock = ML_MUTEX_INIT, .wake = ML_COND_INIT}};

// ---- events: wait for a word to change, spinning first ----------------------------------------

// 1 where the word changed within so many microseconds.
static int spin_until_changed(atomic_uint *word, unsigned old, unsigned spin)
{
    for (uint64_t end = 0;;) {
        for (int i = 0; i < SPINS; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != old)
                return 1;
            ml_spin_pause();
        }
        const uint64_t now = ml_clock_us();
        if (end == 0)
            end = now + spin;
        if (now >= end)
            return 0;
    }
}

// A waiter announces itself before it looks at the word for the last time, a setter changes the
// word before it looks for waiters, both in sequentially consistent order: one sees the other.
static void event_wait(atomic_uint *word, unsigned old, unsigned spin, bedroom *bed)
{
    if (spin_until_changed(word, old, spin))
        return;
    ml_mutex_lock(&bed->lock);
    atomic_fetch_add(&bed->sleepers, 1);
    while (atomic_load(word) == old)
        ml_cond_wait(&bed->wake, &bed->lock);
    atomic_fetch_sub(&bed->sleepers, 1);
    ml_mutex_unlock(&bed->lock);
}

// `word` may be gone once it has changed: what is touched after that is the bed alone.
static void event_set(atomic_uint *word, bedroom *bed)
{
    atomic_fetch_add(word, 1);
    if (atomic_load(&bed->sleepers) > 0) {
        ml_mutex_lock(&bed->lock);
        ml_cond_broadcast(&bed->wake);
        ml_mutex_unlock(&bed->lock);
    }
}

void ml_team_barrier(ml_team *team)
{
    if (team->size == 1)
        return;
    unsigned phase = atomic_load_explicit(&team->phase, memory_order_relaxed);
    if (atomic_fetch_add(&team->arrived, 1) + 1 == team->size) {
        atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
        event_set(&team->phase, &pool.team_bed);
    } else {
        event_wait(&team->phase, phase, team->spin, &pool.team_bed);
    }
}

// ---- workers ----------------------------------------------------------------------------------

// 1 for the one of two who asks first. The next job is given when this one is taken and done.
static int take_job(worker *w, unsigned job)
{
    unsigned before = job - 1;
    return atomic_compare_exchange_strong(&w->taken, &before, job);
}

static void worker_run(void *arg)
{
    worker *self = arg;
    (void)ml_flush_begin(); // for the life of the thread: it runs nothing but kernels
    for (unsigned job = 0;;) {
        event_wait(&self->jobs, job, IDLE_SPIN, &self->bed);
        job = atomic_load(&self->jobs);
        if (!take_job(self, job))
            continue;
        ml_team *team = self->team;
        if (team == NULL)
            return;
        team->fn(team->ctx, team, self->rank, team->size);
        if (atomic_fetch_sub(&team->running, 1) == 1)
            event_set(&team->finished, &pool.team_bed);
    }
}

// Starts workers until there are `count`; fewer where the system refuses.
static void start_workers(size_t count)
{
    while (pool.workers < count) {
        worker *w = calloc(1, sizeof *w);
        if (w == NULL)
            return;
        w->rank = pool.workers + 1;
        w->bed.lock = (ml_mutex)ML_MUTEX_INIT;
        w->bed.wake = (ml_cond)ML_COND_INIT;
        if (ml_thread_start(&w->thread, worker_run, w) != 0) {
            free(w);
            return;
        }
        pool.worker[pool.workers++] = w;
    }
}

static void stop_workers(void)
{
    for (size_t i = 0; i < pool.workers; i++) {
        worker *w = pool.worker[i];
        w->team = NULL;
        event_set(&w->jobs, &w->bed);
        ml_thread_join(w->thread);
        free(w);
    }
    pool.workers = 0;
}

// A child of fork has none of the parent's threads, and locks as they happened to be.
static void forget_workers(void)
{
    pool.region = (ml_mutex)ML_MUTEX_INIT;
    pool.team_bed.lock = (ml_mutex)ML_MUTEX_INIT;
    pool.team_bed.wake = (ml_cond)ML_COND_INIT;
    atomic_store(&pool.team_bed.sleepers, 0);
    pool.workers = 0;
}

// ---- how many ---------------------------------------------------------------------------------

// A positive number in an environment variable, or 0.
static size_t threads_from(const char *variable)
{
    const char *text = getenv(variable);
    long value = text != NULL ? strtol(text, NULL, 10) : 0;
    return value > 0 ? (size_t)value : 0;
}

static size_t at_most(size_t value, size_t limit) { return value < limit ? value : limit; }

// Reads the environment once; with pool.region held.
static void pool_init(void)
{
    if (pool.threads > 0)
        return;
    ml_on_fork(forget_workers);
    pool.quota = ml_quota_cores();
    pool.oversubscribe = threads_from("MINILM_OVERSUBSCRIBE") > 0;
    size_t threads = threads_from("MINILM_NUM_THREADS");
    if (threads == 0)
        threads = threads_from("OMP_NUM_THREADS");
    if (threads == 0)
        threads = at_most(ml_available_cores(), pool.quota);
    pool.threads = at_most(threads, MAX_THREADS);
}

size_t ml_get_threads(void)
{
    ml_mutex_lock(&pool.region);
    pool_init();
    size_t threads = pool.threads;
    ml_mutex_unlock(&pool.region);
    return threads;
}

int ml_set_threads(size_t threads, ml_error *err)
{
    if (threads < 1 || threads > MAX_THREADS)
        return ml_fail(err, ML_ERR_VALUE, "threads: expected 1 to %d, got %zu", MAX_THREADS,
                       threads);
    ml_mutex_lock(&pool.region);
    pool_init();
    if (threads - 1 < pool.workers)
        stop_workers();
    pool.threads = threads;
    ml_mutex_unlock(&pool.region);
    return ML_OK;
}

// ---- regions ----------------------------------------------------------------------------------

// More threads than cores only take turns: a team is never larger than the cores that are free to
// it. The bits are the same whatever its size.
static size_t free_threads(void)
{
    if (pool.threads == 1 || pool.oversubscribe)
        return pool.threads;
    return at_most(pool.threads, at_most(ml_available_cores(), pool.quota));
}

static size_t team_size(size_t wanted)
{
    size_t size = at_most(wanted, free_threads());
    if (size > 1) {
        start_workers(size - 1);
        size = at_most(size, pool.workers + 1);
    }
    return size;
}

size_t ml_usable_threads(void)
{
    if (!ml_mutex_trylock(&pool.region))
        return 1;
    pool_init();
    size_t threads = free_threads();
    ml_mutex_unlock(&pool.region);
    return threads;
}

static void run_alone(ml_team_fn fn, void *ctx)
{
    ml_team team = {.size = 1};
    fn(ctx, &team, 0, 1);
}

// Whether a region needs all its threads at once, or whoever comes in time.
typedef enum { TOGETHER, WHO_COMES } attendance;

static void run_team(size_t size, attendance need, ml_team_fn fn, void *ctx)
{
    ml_team team = {.size = size, .fn = fn, .ctx = ctx};
    team.spin = pool.oversubscribe ? 0 : BARRIER_SPIN;
    atomic_store(&team.running, size - 1);
    for (size_t i = 0; i + 1 < size; i++) {
        worker *w = pool.worker[i];
        w->team = &team;
        if (atomic_load(&w->bed.sleepers) > 0)
            ml_thread_keep_off_this_core(w->thread);
        event_set(&w->jobs, &w->bed);
    }
    fn(ctx, &team, 0, size);
    // A worker whose core another program has now is not waited for.
    size_t running = size - 1;
    for (size_t i = 0; need == WHO_COMES && i + 1 < size; i++)
        if (take_job(pool.worker[i], atomic_load(&pool.worker[i]->jobs)))
            running = atomic_fetch_sub(&team.running, 1) - 1;
    if (running > 0)
        event_wait(&team.finished, 0, team.spin, &pool.team_bed);
}

static void run_region(size_t wanted, attendance need, ml_team_fn fn, void *ctx)
{
    const unsigned state =
        ml_flush_begin(); // as the workers have it: the bits must not depend on who
    size_t size = 1;
    int ours = wanted > 1 && ml_mutex_trylock(&pool.region);
    if (ours) {
        pool_init();
        size = team_size(wanted);
    }
    if (size > 1)
        run_team(size, need, fn, ctx);
    if (ours)
        ml_mutex_unlock(&pool.region);
    if (size <= 1)
        run_alone(fn, ctx);
    ml_flush_end(state);
}

void ml_parallel_team(size_t wanted, ml_team_fn fn, void *ctx)
{
    run_region(wanted, TOGETHER, fn, ctx);
}

typedef struct for_loop {
    size_t tasks;
    atomic_size_t next;
    void (*task)(void *ctx, size_t index);
    void *ctx;
} for_loop;

static void for_loop_run(void *arg, ml_team *team, size_t rank, size_t size)
{
    (void)team, (void)rank, (void)size;
    for_loop *loop = arg;
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&loop->next, 1, memory_order_relaxed);
        if (index >= loop->tasks)
            return;
        loop->task(loop->ctx, index);
    }
}

void ml_parallel_for(size_t tasks, void (*task)(void *ctx, size_t index), void *ctx)
{
    for_loop loop = {.tasks = tasks, .task = task, .ctx = ctx};
    run_region(tasks, WHO_COMES, for_loop_run, &loop);
}

typedef struct range_loop {
    size_t count, grain;
    void (*range)(void *ctx, size_t begin, size_t end);
    void *ctx;
} range_loop;

static void range_loop_run(void *arg, size_t index)
{
    const range_loop *loop = arg;
    size_t begin = index * loop->grain;
    loop->range(loop->ctx, begin, at_most(begin + loop->grain, loop->count));
}

void ml_parallel_ranges(size_t count, size_t grain,
                        void (*range)(void *ctx, size_t begin, size_t end), void *ctx)
{
    range_loop loop = {count, grain, range, ctx};
    ml_parallel_for(count / grain + (count % grain != 0), range_loop_run, &loop);
}
