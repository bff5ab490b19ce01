// Witten-Bell estimates against numbers worked out by hand, texts taken in pieces, and what happens
// when memory runs out: the model is compiled in here a second time, with an allocator that can be
// told to fail.
#include <stdint.h>
#include <stdlib.h>

#include "check.h"

static size_t allocations_left = SIZE_MAX;

static int may_allocate(void) { return allocations_left > 0 && allocations_left--; }

static void *scarce_calloc(size_t n, size_t size)
{
    return may_allocate() ? calloc(n, size) : NULL;
}

static void *scarce_realloc(void *block, size_t size)
{
    return may_allocate() ? realloc(block, size) : NULL;
}

#define calloc scarce_calloc
#define realloc scarce_realloc
#define ml_ngram_new scarce_ngram_new
#define ml_ngram_free scarce_ngram_free
#define ml_ngram_count scarce_ngram_count
#define ml_ngram_log_prob scarce_ngram_log_prob
#define ml_ngram_distribution scarce_ngram_distribution
#include "../core/ngram.c"

// a b a b a c
static const int64_t text[6] = {0, 1, 0, 1, 0, 2};

static ml_ngram *counted(size_t order, size_t vocab, const int64_t *ids, size_t n)
{
    ml_error err = {0};
    ml_ngram *m = NULL;
    if (ml_ngram_new(&m, order, vocab, &err) != ML_OK ||
        ml_ngram_count(m, ids, 0, n, &err) != ML_OK) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    return m;
}

static void test_by_hand(void)
{
    ml_ngram *m = counted(2, 4, text, 6);
    ml_error err = {0};
    double p[4];
    // Empty context: 6 tokens of 3 types. p(a) = (3 + 3/4) / 9, b: 2, c: 1, d: 0
    CHECK(ml_ngram_distribution(m, text, 0, p, &err) == ML_OK);
    CHECK_CLOSE(p[0], 3.75 / 9, 1e-15);
    CHECK_CLOSE(p[1], 2.75 / 9, 1e-15);
    CHECK_CLOSE(p[2], 1.75 / 9, 1e-15);
    CHECK_CLOSE(p[3], 0.75 / 9, 1e-15);
    // After a: b b c, 3 tokens of 2 types
    CHECK(ml_ngram_distribution(m, text, 1, p, &err) == ML_OK);
    CHECK_CLOSE(p[1], (2 + 2 * 2.75 / 9) / 5, 1e-15);
    CHECK_CLOSE(p[3], (2 * 0.75 / 9) / 5, 1e-15);
    // After c, which ends the text and was followed by nothing: as without context
    CHECK(ml_ngram_distribution(m, text, 6, p, &err) == ML_OK);
    CHECK_CLOSE(p[0], 3.75 / 9, 1e-15);
    ml_ngram_free(m);
}

static void test_before_counting_all_tokens_are_equal(void)
{
    ml_error err = {0};
    ml_ngram *m = NULL;
    double p[3];
    CHECK(ml_ngram_new(&m, 3, 3, &err) == ML_OK);
    CHECK(ml_ngram_distribution(m, text, 2, p, &err) == ML_OK);
    CHECK(p[0] == 1.0 / 3 && p[1] == p[0] && p[2] == p[0]);
    ml_ngram_free(m);
}

// A text long enough for the table to grow several times.
enum { LENGTH = 20000, VOCAB = 37 };

static int64_t *long_text(void)
{
    int64_t *ids = malloc(LENGTH * sizeof *ids);
    if (ids == NULL)
        abort();
    uint32_t state = 1;
    for (size_t i = 0; i < LENGTH; i++) {
        state = state * 1664525u + 1013904223u;
        ids[i] = (int64_t)((state >> 16) % VOCAB * (state >> 24) % VOCAB);
    }
    return ids;
}

static void test_distribution_agrees_with_log_prob(void)
{
    int64_t *ids = long_text();
    ml_error err = {0};
    for (size_t order = 1; order <= 5; order++) {
        ml_ngram *m = counted(order, VOCAB, ids, LENGTH / 2);
        double log_probs[200], p[VOCAB];
        size_t begin = LENGTH / 2 - 100;
        CHECK(ml_ngram_log_prob(m, ids, begin, begin + 200, log_probs, &err) == ML_OK);
        for (size_t i = 0; i < 200; i += 7) {
            CHECK(ml_ngram_distribution(m, ids, begin + i, p, &err) == ML_OK);
            CHECK_CLOSE(log(p[ids[begin + i]]), log_probs[i], 1e-12);
            double sum = 0;
            for (size_t w = 0; w < VOCAB; w++)
                sum += p[w];
            CHECK_CLOSE(sum, 1, 1e-12);
        }
        ml_ngram_free(m);
    }
    free(ids);
}

static void test_counts_are_exact(void)
{
    int64_t *ids = long_text();
    ml_ngram *m = counted(3, VOCAB, ids, LENGTH);
    for (size_t i = 0; i < 500; i++) {
        uint32_t a = (uint32_t)ids[i], b = (uint32_t)ids[i + 1], c = (uint32_t)ids[i + 2];
        size_t count = 0;
        for (size_t j = 0; j + 2 < LENGTH; j++)
            count += ids[j] == ids[i] && ids[j + 1] == ids[i + 1] && ids[j + 2] == ids[i + 2];
        uint32_t found = find_child(m, find_child(m, find_child(m, ROOT, a), b), c);
        if (CHECK(found != MISSING))
            CHECK(m->nodes[found].count == count);
    }
    ml_ngram_free(m);
    free(ids);
}

static void test_pieces_are_the_whole(void)
{
    int64_t *ids = long_text();
    ml_ngram *whole = counted(4, VOCAB, ids, LENGTH);
    ml_ngram *pieces = NULL;
    ml_error err = {0};
    double *expected = malloc(LENGTH * sizeof *expected), *got = malloc(LENGTH * sizeof *got);
    if (expected == NULL || got == NULL)
        abort();
    CHECK(ml_ngram_new(&pieces, 4, VOCAB, &err) == ML_OK);
    for (size_t at = 0, next; at < LENGTH; at = next) {
        next = at + 1 + at / 3 < LENGTH ? at + 1 + at / 3 : LENGTH;
        CHECK(ml_ngram_count(pieces, ids, at, next, &err) == ML_OK);
    }
    CHECK(ml_ngram_log_prob(whole, ids, 0, LENGTH, expected, &err) == ML_OK);
    for (size_t at = 0, next; at < LENGTH; at = next) {
        next = at + 7 < LENGTH ? at + 7 : LENGTH;
        CHECK(ml_ngram_log_prob(pieces, ids, at, next, got + at, &err) == ML_OK);
    }
    CHECK(memcmp(expected, got, LENGTH * sizeof *got) == 0);
    ml_ngram_free(whole);
    ml_ngram_free(pieces);
    free(expected);
    free(got);
    free(ids);
}

static void test_refusals(void)
{
    ml_error err = {0};
    ml_ngram *m = NULL;
    CHECK(ml_ngram_new(&m, 0, 4, &err) == ML_ERR_VALUE);
    CHECK(m == NULL && strstr(err.message, "order") != NULL);
    CHECK(ml_ngram_new(&m, 2, 0, &err) == ML_ERR_VALUE);
    CHECK(strstr(err.message, "vocab_size") != NULL);

    CHECK(ml_ngram_new(&m, 2, 3, &err) == ML_OK);
    const int64_t over[3] = {0, 3, 1}, under[3] = {0, 1, -1};
    CHECK(ml_ngram_count(m, over, 0, 3, &err) == ML_ERR_INDEX);
    CHECK(strstr(err.message, "ids[1] = 3: expected 0 to 2") != NULL);
    double log_probs[3];
    CHECK(ml_ngram_log_prob(m, under, 0, 3, log_probs, &err) == ML_ERR_INDEX);
    CHECK(strstr(err.message, "ids[2] = -1") != NULL);
    CHECK(ml_ngram_distribution(m, under, 3, log_probs, &err) == ML_ERR_INDEX);
    // Of the context, only the tokens that count are looked at.
    CHECK(ml_ngram_distribution(m, over, 3, log_probs, &err) == ML_OK);
    ml_ngram_free(m);
}

static void test_every_failed_allocation_is_reported(void)
{
    int64_t *ids = long_text();
    int code = ML_ERR_MEMORY;
    size_t allowed = 0;
    for (; code != ML_OK && allowed < 100; allowed++) {
        ml_error err = {0};
        ml_ngram *m = NULL;
        double p[VOCAB];
        allocations_left = allowed;
        code = ml_ngram_new(&m, 4, VOCAB, &err);
        if (code == ML_OK)
            code = ml_ngram_count(m, ids, 0, LENGTH, &err);
        if (code == ML_OK)
            code = ml_ngram_distribution(m, ids, LENGTH, p, &err);
        CHECK(code == ML_OK || code == ML_ERR_MEMORY);
        CHECK(code == ML_OK || strstr(err.message, "no memory") != NULL);
        ml_ngram_free(m);
    }
    allocations_left = SIZE_MAX;
    CHECK(code == ML_OK);
    CHECK(allowed > 10); // the table had to grow
    free(ids);
}

static void test_a_later_piece_alone_is_refused(void)
{
    const int64_t ids[] = {0, 1, 2, 0, 1, 2};
    ml_ngram *m = NULL;
    ml_error err = {0};
    CHECK(ml_ngram_new(&m, 3, 3, &err) == ML_OK);
    CHECK(ml_ngram_count(m, ids, 3, 6, &err) == ML_ERR_VALUE);
    CHECK(strstr(err.message, "before 3") != NULL);
    CHECK(ml_ngram_count(m, ids, 0, 6, &err) == ML_OK);
    ml_ngram_free(m);
}

int main(void)
{
    RUN(test_by_hand);
    RUN(test_before_counting_all_tokens_are_equal);
    RUN(test_distribution_agrees_with_log_prob);
    RUN(test_counts_are_exact);
    RUN(test_pieces_are_the_whole);
    RUN(test_refusals);
    RUN(test_a_later_piece_alone_is_refused);
    RUN(test_every_failed_allocation_is_reported);
    return check_report();
}
