// The thread pool. More threads than cores are asked for (MINILM_OVERSUBSCRIBE), so that orders come
// up that a small machine would not show.
#include "minilm.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "platform.h"

#include "check.h"

enum { MAX_TASKS = 1000 };

static const size_t thread_counts[] = {1, 2, 3, 8};
#define FOR_THREADS(i) for (size_t i = 0; i < sizeof thread_counts / sizeof *thread_counts; i++)

static void set_threads(size_t threads)
{
    ml_error err;
    CHECK(ml_set_threads(threads, &err) == ML_OK);
    CHECK(ml_get_threads() == threads);
}

// ---- first use -----------------------------------------------------------------------------------

// Runs a check in a process of its own, which has used no pool or an inherited one; 1 when it holds.
// A child that hangs is ended by its alarm.
static int in_child(int (*holds)(void))
{
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(holds() ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static int minilm_comes_first(void)
{
    setenv("MINILM_NUM_THREADS", "3", 1);
    setenv("OMP_NUM_THREADS", "5", 1);
    return ml_get_threads() == 3;
}

static int omp_comes_second(void)
{
    unsetenv("MINILM_NUM_THREADS");
    setenv("OMP_NUM_THREADS", "5,2", 1); // a list: one number for each level of nesting
    return ml_get_threads() == 5;
}

static int nonsense_counts_for_nothing(void)
{
    setenv("MINILM_NUM_THREADS", "many", 1);
    setenv("OMP_NUM_THREADS", "-4", 1);
    size_t threads = ml_get_threads();
    return threads >= 1 && threads <= ml_available_cores();
}

static int not_above_the_limit(void)
{
    setenv("MINILM_NUM_THREADS", "100000", 1);
    return ml_get_threads() == 256;
}

static void test_first_use_reads_the_environment(void)
{
    CHECK(in_child(minilm_comes_first));
    CHECK(in_child(omp_comes_second));
    CHECK(in_child(nonsense_counts_for_nothing));
    CHECK(in_child(not_above_the_limit));
}

static void test_set_threads(void)
{
    const size_t wrong[] = {0, 257, SIZE_MAX};
    set_threads(2);
    for (size_t i = 0; i < 3; i++) {
        ml_error err = {0};
        CHECK(ml_set_threads(wrong[i], &err) == ML_ERR_VALUE);
        CHECK(strstr(err.message, "expected 1 to 256") != NULL);
    }
    CHECK(ml_get_threads() == 2);
}

// ---- loops ---------------------------------------------------------------------------------------

static void count_task(void *ctx, size_t index)
{
    atomic_uint *seen = ctx;
    atomic_fetch_add(&seen[index], 1);
}

// 1 when a loop over `tasks` tasks runs each of them once and no other.
static int covers(size_t tasks)
{
    static _Thread_local atomic_uint seen[MAX_TASKS + 1];
    for (size_t i = 0; i <= MAX_TASKS; i++)
        atomic_store(&seen[i], 0);
    ml_parallel_for(tasks, count_task, seen);
    for (size_t i = 0; i <= MAX_TASKS; i++)
        if (atomic_load(&seen[i]) != (i < tasks))
            return 0;
    return 1;
}

static void test_each_task_runs_once(void)
{
    const size_t counts[] = {0, 1, 2, 7, 64, MAX_TASKS};
    FOR_THREADS(t)
    {
        set_threads(thread_counts[t]);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            for (int again = 0; again < 20; again++)
                CHECK(covers(counts[i]));
    }
}

typedef struct ranges {
    unsigned char seen[MAX_TASKS];
    size_t grain;
    atomic_int ragged; // ranges that are not `grain` long
} ranges;

static void mark_range(void *ctx, size_t begin, size_t end)
{
    ranges *r = ctx;
    if (end - begin != r->grain || begin % r->grain != 0)
        atomic_fetch_add(&r->ragged, 1);
    for (size_t i = begin; i < end; i++)
        r->seen[i]++; // ranges do not overlap: no lock
}

static void test_ranges_cover_all_without_overlap(void)
{
    const size_t counts[] = {0, 1, 99, 100, 101, MAX_TASKS}, grains[] = {1, 3, 100, 5000};
    set_threads(3);
    for (size_t c = 0; c < 6; c++)
        for (size_t g = 0; g < 4; g++) {
            ranges r = {.grain = grains[g]};
            ml_parallel_ranges(counts[c], grains[g], mark_range, &r);
            size_t once = 0;
            for (size_t i = 0; i < MAX_TASKS; i++)
                once += r.seen[i] == (i < counts[c]);
            CHECK(once == MAX_TASKS);
            CHECK(atomic_load(&r.ragged) == (counts[c] % grains[g] != 0));
        }
}

// What tasks wrote is there when the loop returns, with no atomic in between.
static void write_index(void *ctx, size_t index) { ((size_t *)ctx)[index] = index; }

static void test_results_are_seen_after_the_loop(void)
{
    static size_t result[MAX_TASKS];
    FOR_THREADS(t)
    {
        set_threads(thread_counts[t]);
        memset(result, 0, sizeof result);
        ml_parallel_for(MAX_TASKS, write_index, result);
        size_t right = 0;
        for (size_t i = 0; i < MAX_TASKS; i++)
            right += result[i] == i;
        CHECK(right == MAX_TASKS);
    }
}

// A handler that does not return holds the only thread that does not block its signal: the worker.
static atomic_int held, released;

static void hold(int signal)
{
    (void)signal;
    atomic_store(&held, 1);
    while (!atomic_load(&released))
        usleep(100);
}

static int a_held_worker_is_not_waited_for(void)
{
    sigset_t ours;
    set_threads(2);
    int right = covers(100); // starts the worker
    sigemptyset(&ours);
    sigaddset(&ours, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &ours, NULL);
    signal(SIGUSR1, hold);
    kill(getpid(), SIGUSR1);
    while (!atomic_load(&held))
        usleep(100);
    for (size_t tasks = 0; tasks < 50; tasks++)
        right &= covers(tasks);
    atomic_store(&released, 1);
    return right && covers(101) && covers(102);
}

// As where another program has its core: the caller does all the work.
static void test_a_loop_does_not_wait_for_who_does_not_come(void)
{
    CHECK(in_child(a_held_worker_is_not_waited_for));
}

// ---- teams ---------------------------------------------------------------------------------------

enum { ROUNDS = 300, MAX_TEAM = 8 };

typedef struct relay {
    atomic_uint ranks[MAX_TEAM]; // calls with each rank
    size_t size;
    size_t phase[MAX_TEAM]; // where each has got to, written before a barrier
    atomic_size_t late;     // members seen in another phase after it
} relay;

static void run_relay(void *ctx, ml_team *team, size_t rank, size_t size)
{
    relay *r = ctx;
    atomic_fetch_add(&r->ranks[rank], 1);
    if (rank == 0)
        r->size = size;
    for (size_t round = 1; round <= ROUNDS; round++) {
        r->phase[rank] = round;
        ml_team_barrier(team);
        for (size_t i = 0; i < size; i++)
            if (r->phase[i] != round)
                atomic_fetch_add(&r->late, 1);
        ml_team_barrier(team);
    }
}

static void test_a_team_meets_at_each_barrier(void)
{
    FOR_THREADS(t)
    {
        set_threads(thread_counts[t]);
        relay r = {.size = 0};
        ml_parallel_team(MAX_TEAM, run_relay, &r);
        CHECK(r.size == thread_counts[t]);
        for (size_t i = 0; i < MAX_TEAM; i++)
            CHECK(atomic_load(&r.ranks[i]) == (i < r.size));
        CHECK(atomic_load(&r.late) == 0);
    }
}

static void test_a_team_is_not_larger_than_wanted(void)
{
    set_threads(8);
    for (size_t wanted = 0; wanted < 5; wanted++) {
        relay r = {.size = 0};
        ml_parallel_team(wanted, run_relay, &r);
        CHECK(r.size == (wanted > 1 ? wanted : 1));
    }
}

static void note_size(void *ctx, ml_team *team, size_t rank, size_t size)
{
    (void)team, (void)rank;
    atomic_store((atomic_size_t *)ctx, size);
}

#if defined(__linux__)
static void note_cores(void *ctx, ml_team *team, size_t rank, size_t size)
{
    (void)team, (void)size;
    ((size_t *)ctx)[rank] = ml_available_cores();
}

// A worker that slept may have any core but its caller's; the caller keeps them all.
static void test_a_worker_wakes_on_another_core(void)
{
    size_t all = ml_available_cores(), cores[2] = {0, 0};
    set_threads(2);
    ml_parallel_team(2, note_cores, cores); // starts it
    usleep(20000);
    ml_parallel_team(2, note_cores, cores);
    CHECK(cores[0] == all);
    CHECK(cores[1] == (all > 1 ? all - 1 : 1));
}
#endif

// Inside a region a loop runs on its own thread alone.
static void run_nested(void *ctx, size_t index)
{
    atomic_size_t size = 0;
    ml_parallel_team(4, note_size, &size);
    if (atomic_load(&size) != 1 || !covers(index % 50))
        atomic_fetch_add((atomic_int *)ctx, 1);
}

static void test_regions_inside_regions(void)
{
    FOR_THREADS(t)
    {
        set_threads(thread_counts[t]);
        atomic_int wrong = 0;
        ml_parallel_for(200, run_nested, &wrong);
        CHECK(atomic_load(&wrong) == 0);
    }
}

// ---- many callers --------------------------------------------------------------------------------

enum { CALLERS = 6, CALLS = 300 };

static void *call_often(void *arg)
{
    for (size_t i = 0; i < CALLS; i++)
        if (!covers(i % 70))
            return arg;
    return NULL;
}

static void run_callers(void (*meanwhile)(void))
{
    pthread_t caller[CALLERS];
    int mark;
    for (size_t i = 0; i < CALLERS; i++)
        CHECK(pthread_create(&caller[i], NULL, call_often, &mark) == 0);
    meanwhile();
    for (size_t i = 0; i < CALLERS; i++) {
        void *failed = NULL;
        pthread_join(caller[i], &failed);
        CHECK(failed == NULL);
    }
}

static void do_nothing(void) {}

static void change_threads(void)
{
    for (size_t i = 0; i < 100; i++)
        set_threads(thread_counts[i % 4]);
}

static void test_many_callers(void)
{
    set_threads(3);
    run_callers(do_nothing);
}

static void test_threads_change_while_others_call(void) { run_callers(change_threads); }

// ---- fork ----------------------------------------------------------------------------------------

static int pool_works(void) { return covers(200) && covers(201) && ml_get_threads() == 3; }

static void test_a_child_of_fork_has_a_pool_of_its_own(void)
{
    set_threads(3);
    CHECK(covers(100)); // its workers run
    CHECK(in_child(pool_works));
    CHECK(in_child(pool_works));
    CHECK(covers(100)); // and the parent's still do
}

// A layer's loops in the background, so that a fork meets them at any point, kernel table included.
static atomic_int stop_background;

static void soften(void *ctx, size_t index)
{
    ml_real *x = (ml_real *)ctx + index * 16;
    ml_kernels_get()->row_softmax(16, x, ml_kernels_get()->row_log_sum_exp(16, x));
}

static void *run_background(void *arg)
{
    static ml_real rows[64 * 16];
    while (!atomic_load(&stop_background))
        ml_parallel_for(64, soften, rows);
    return arg;
}

static int kernels_work(void)
{
    static ml_real rows[64 * 16];
    ml_parallel_for(64, soften, rows);
    return fabs((double)rows[0] - 1 / 16.) < 1e-6 && pool_works();
}

static void test_fork_while_another_thread_is_in_a_region(void)
{
    pthread_t background;
    set_threads(3);
    atomic_store(&stop_background, 0);
    CHECK(pthread_create(&background, NULL, run_background, NULL) == 0);
    for (int i = 0; i < 10; i++)
        CHECK(in_child(kernels_work));
    atomic_store(&stop_background, 1);
    pthread_join(background, NULL);
}

// ---- floating point ------------------------------------------------------------------------------

static ml_real tiny_product(void)
{
    volatile ml_real x = (ml_real)1e-30, y = (ml_real)1e-15;
    return x * y;
}

static void note_flushing(void *ctx, ml_team *team, size_t rank, size_t size)
{
    (void)team, (void)size;
    ((ml_real *)ctx)[rank] = tiny_product();
}

static void test_tiny_numbers_are_flushed_where_kernels_run(void)
{
    CHECK(tiny_product() > 0);
    unsigned state = ml_flush_begin();
    int flushes = tiny_product() == 0; // not on every platform
    ml_flush_end(state);
    CHECK(tiny_product() > 0); // the caller's state is back

    ml_real product[MAX_TEAM] = {1, 1, 1, 1, 1, 1, 1, 1};
    set_threads(3);
    ml_parallel_team(3, note_flushing, product);
    for (size_t i = 0; i < 3; i++) // also the caller's own: the bits must not depend on who works
        CHECK((product[i] == 0) == flushes);
    ml_parallel_team(1, note_flushing, product + 3);
    CHECK((product[3] == 0) == flushes);
    CHECK(tiny_product() > 0);
}

int main(void)
{
    setenv("MINILM_OVERSUBSCRIBE", "1", 1);
    RUN(test_first_use_reads_the_environment); // first: the children must have used no pool
    RUN(test_set_threads);
    RUN(test_each_task_runs_once);
    RUN(test_ranges_cover_all_without_overlap);
    RUN(test_results_are_seen_after_the_loop);
    RUN(test_a_loop_does_not_wait_for_who_does_not_come);
    RUN(test_a_team_meets_at_each_barrier);
    RUN(test_a_team_is_not_larger_than_wanted);
#if defined(__linux__)
    RUN(test_a_worker_wakes_on_another_core);
#endif
    RUN(test_regions_inside_regions);
    RUN(test_many_callers);
    RUN(test_threads_change_while_others_call);
    RUN(test_a_child_of_fork_has_a_pool_of_its_own);
    RUN(test_fork_while_another_thread_is_in_a_region);
    RUN(test_tiny_numbers_are_flushed_where_kernels_run);
    return check_report();
}
