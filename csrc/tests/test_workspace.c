// The cache of buffers, and the arena.
#include "minilm.h"

#include <pthread.h>
#include <stdint.h>

#include "check.h"

static int aligned(const void *p) { return (uintptr_t)p % 64 == 0; }

// ---- buffers -------------------------------------------------------------------------------------

// Takes, fills and gives back a buffer. A sanitizer sees if it is shorter than asked for.
static void use(size_t bytes)
{
    void *buffer = ml_buffer_acquire(bytes);
    if (!CHECK(buffer != NULL && aligned(buffer)))
        return;
    memset(buffer, 0xa5, bytes);
    ml_buffer_release(buffer);
}

static void test_buffers_are_aligned_and_large_enough(void)
{
    for (size_t bytes = 0; bytes < 3000; bytes++)
        use(bytes);
    // Round each step of the size classes, once with an empty cache and once with what came before:
    // a buffer of the class below must not be taken for one that is larger.
    for (int pass = 0; pass < 2; pass++)
        for (size_t power = 512; power <= (size_t)1 << 22; power *= 2)
            for (size_t step = 0; step < 8; step++)
                for (size_t off = 0; off < 3; off++) {
                    if (pass == 0)
                        ml_buffer_trim();
                    use(power + step * power / 8 + off - 1);
                }
    ml_buffer_trim();
}

static void test_buffers_are_used_again(void)
{
    ml_buffer_trim();
    void *first = ml_buffer_acquire(10000), *second = ml_buffer_acquire(10000);
    CHECK(first != second);
    ml_buffer_release(second);
    size_t misses = ml_buffer_get_stats().misses;
    for (int i = 0; i < 100; i++) {
        void *again = ml_buffer_acquire(10000);
        CHECK(again == second);
        ml_buffer_release(again);
    }
    CHECK(ml_buffer_get_stats().misses == misses);
    ml_buffer_release(first);
    ml_buffer_trim();
}

static void test_statistics(void)
{
    ml_buffer_trim();
    ml_buffer_stats before = ml_buffer_get_stats();
    CHECK(before.kept == 0);
    void *buffer = ml_buffer_acquire(12345);
    ml_buffer_stats lent = ml_buffer_get_stats();
    size_t size = lent.used - before.used;
    CHECK(size >= 12345 && size <= 12345 + 12345 / 8 + 64);
    CHECK(lent.kept == 0);
    CHECK(lent.requests == before.requests + 1 && lent.misses == before.misses + 1);
    ml_buffer_release(buffer);
    ml_buffer_stats kept = ml_buffer_get_stats();
    CHECK(kept.used == before.used && kept.kept == size);
    CHECK(ml_buffer_trim() == size);
    CHECK(ml_buffer_get_stats().kept == 0);
    CHECK(ml_buffer_trim() == 0);
    ml_buffer_release(NULL);
}

static void test_impossible_sizes_are_refused(void)
{
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX / 2, SIZE_MAX / 4, SIZE_MAX / 8};
    size_t used = ml_buffer_get_stats().used;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK(ml_buffer_acquire(sizes[i]) == NULL);
    CHECK(ml_buffer_get_stats().used == used);
    use(100); // and all goes on
}

static void test_a_hoard_is_given_back(void)
{
    ml_buffer_trim();
    void *large = ml_buffer_acquire((size_t)1 << 29); // never touched: address space, no memory
    if (!CHECK(large != NULL))
        return;
    ml_buffer_release(large);
    CHECK(ml_buffer_get_stats().kept == 0);
}

enum { THREADS = 4, ROUNDS = 2000, HELD = 8 };

// Holds some buffers at a time, each filled with a number that nobody else may change.
static void *hold_and_check(void *arg)
{
    unsigned char *held[HELD] = {NULL}, mark = *(unsigned char *)arg;
    size_t size[HELD] = {0}, wrong = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t k = i % HELD;
        for (size_t b = 0; held[k] != NULL && b < size[k]; b += 97)
            wrong += held[k][b] != mark;
        ml_buffer_release(held[k]);
        size[k] = 1 + i * 7919 % 20000;
        held[k] = ml_buffer_acquire(size[k]);
        if (held[k] != NULL)
            memset(held[k], mark, size[k]);
    }
    for (size_t k = 0; k < HELD; k++)
        ml_buffer_release(held[k]);
    return wrong == 0 ? NULL : arg;
}

static void test_threads_share_the_cache(void)
{
    pthread_t thread[THREADS];
    unsigned char mark[THREADS];
    size_t used = ml_buffer_get_stats().used;
    for (size_t i = 0; i < THREADS; i++) {
        mark[i] = (unsigned char)(i + 1);
        CHECK(pthread_create(&thread[i], NULL, hold_and_check, &mark[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(thread[i], &failed);
        CHECK(failed == NULL);
    }
    CHECK(ml_buffer_get_stats().used == used);
    ml_buffer_trim();
}

// ---- the arena -----------------------------------------------------------------------------------

static void test_an_arena_counts_what_it_hands_out(void)
{
    const size_t sizes[] = {1, 0, 16, 17, 1000};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    ml_arena counting = {0};
    for (size_t i = 0; i < SIZES; i++)
        CHECK(ml_arena_reals(&counting, sizes[i]) == NULL);
    CHECK(!counting.overflow);

    char *memory = ml_buffer_acquire(counting.used);
    ml_arena arena = {.base = memory};
    const char *end = memory;
    for (size_t i = 0; i < SIZES; i++) {
        ml_real *x = ml_arena_reals(&arena, sizes[i]);
        CHECK(aligned(x) && (char *)x >= end);
        memset(x, 0, sizes[i] * sizeof *x);
        end = (char *)(x + sizes[i]);
    }
    CHECK(arena.used == counting.used && end <= memory + counting.used);
    ml_buffer_release(memory);
}

static void test_an_arena_notices_sizes_that_do_not_fit(void)
{
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX / sizeof(ml_real),
                            SIZE_MAX / sizeof(ml_real) / 4 + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ml_arena arena = {0};
        CHECK(ml_arena_reals(&arena, sizes[i]) == NULL);
        CHECK(arena.overflow);
    }
    ml_arena arena = {0}; // each fits, all together do not
    for (int i = 0; i < 20; i++)
        ml_arena_reals(&arena, SIZE_MAX / sizeof(ml_real) / 16);
    CHECK(arena.overflow);
}

static void test_an_arena_notices_products_that_wrap(void)
{
    const size_t big = (size_t)1 << (sizeof(size_t) * 4); // its square is 0 in a size
    ml_arena arena = {0};
    CHECK(ml_arena_array(&arena, big, big, 1) == NULL);
    CHECK(arena.overflow);
    ml_arena empty = {0};
    ml_arena_array(&empty, big, big, 0);
    CHECK(!empty.overflow && empty.used == 0);
}

int main(void)
{
    RUN(test_buffers_are_aligned_and_large_enough);
    RUN(test_buffers_are_used_again);
    RUN(test_statistics);
    RUN(test_impossible_sizes_are_refused);
    RUN(test_a_hoard_is_given_back);
    RUN(test_threads_share_the_cache);
    RUN(test_an_arena_counts_what_it_hands_out);
    RUN(test_an_arena_notices_sizes_that_do_not_fit);
    RUN(test_an_arena_notices_products_that_wrap);
    return check_report();
}
