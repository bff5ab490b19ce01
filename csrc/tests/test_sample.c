// What the filters keep, where draws fall, and what is refused.
#include "sample.h"

#include <stdlib.h>

#include "check.h"

#define MINUS_INF ((ml_real) - INFINITY)

static const ml_sampler all = {.temperature = 1, .top_k = 0, .top_p = 1};

// ln of 0.1 0.4 0.2 0.3: ranked 1, 3, 2, 0
static const ml_real four[4] = {-2.30258509f, -0.916290732f, -1.60943791f, -1.2039728f};

static void check_probs(const ml_real *logits, size_t n, ml_sampler sampler, const double *expected)
{
    double probs[8];
    ml_error err = {0};
    CHECK(ml_sample_probs(logits, n, &sampler, probs, &err) == ML_OK);
    for (size_t i = 0; i < n; i++)
        CHECK_CLOSE(probs[i], expected[i], 1e-6);
}

static void test_temperature(void)
{
    check_probs(four, 4, all, (double[]){0.1, 0.4, 0.2, 0.3});
    check_probs(four, 4, (ml_sampler){0.5, 0, 1}, (double[]){1 / 30., 16 / 30., 4 / 30., 9 / 30.});
    check_probs(four, 4, (ml_sampler){0, 0, 1}, (double[]){0, 1, 0, 0});
    check_probs(four, 4, (ml_sampler){1e-300, 0, 1}, (double[]){0, 1, 0, 0});
    check_probs(four, 4, (ml_sampler){1e300, 0, 1}, (double[]){0.25, 0.25, 0.25, 0.25});
}

static void test_top_k(void)
{
    check_probs(four, 4, (ml_sampler){1, 1, 1}, (double[]){0, 1, 0, 0});
    check_probs(four, 4, (ml_sampler){1, 2, 1}, (double[]){0, 4 / 7., 0, 3 / 7.});
    check_probs(four, 4, (ml_sampler){1, 4, 1}, (double[]){0.1, 0.4, 0.2, 0.3});
    check_probs(four, 4, (ml_sampler){1, 1000, 1}, (double[]){0.1, 0.4, 0.2, 0.3});
}

static void test_top_p(void)
{
    check_probs(four, 4, (ml_sampler){1, 0, 0}, (double[]){0, 1, 0, 0});
    check_probs(four, 4, (ml_sampler){1, 0, 0.39}, (double[]){0, 1, 0, 0});
    check_probs(four, 4, (ml_sampler){1, 0, 0.41}, (double[]){0, 4 / 7., 0, 3 / 7.});
    check_probs(four, 4, (ml_sampler){1, 0, 0.89}, (double[]){0, 4 / 9., 2 / 9., 3 / 9.});
    check_probs(four, 4, (ml_sampler){1, 0, 0.91}, (double[]){0.1, 0.4, 0.2, 0.3});
    // top_p is a part of what top_k leaves: 3 / 7 < 0.5
    check_probs(four, 4, (ml_sampler){1, 2, 0.5}, (double[]){0, 1, 0, 0});
}

static void test_equal_logits_go_by_id(void)
{
    const ml_real equal[5] = {1, 2, 2, 2, 1};
    check_probs(equal, 5, (ml_sampler){0, 0, 1}, (double[]){0, 1, 0, 0, 0});
    check_probs(equal, 5, (ml_sampler){1, 2, 1}, (double[]){0, 0.5, 0.5, 0, 0});
    const ml_real flat[4] = {0, 0, 0, 0};
    check_probs(flat, 4, (ml_sampler){1, 0, 0.5}, (double[]){0.5, 0.5, 0, 0});
    check_probs(flat, 4, (ml_sampler){1, 0, 0.51}, (double[]){1 / 3., 1 / 3., 1 / 3., 0});
}

static void test_masked_tokens_are_never_drawn(void)
{
    const ml_real masked[4] = {MINUS_INF, 0, MINUS_INF, 0};
    check_probs(masked, 4, all, (double[]){0, 0.5, 0, 0.5});
    check_probs(masked, 4, (ml_sampler){1, 3, 1}, (double[]){0, 0.5, 0, 0.5});
    ml_error err = {0};
    for (uint64_t offset = 0; offset < 200; offset++) {
        size_t token = 0;
        CHECK(ml_sample(masked, 4, &all, 1, offset, &token, &err) == ML_OK);
        CHECK(token == 1 || token == 3);
    }
}

static void test_large_logits_do_not_overflow(void)
{
    const ml_real large[3] = {3e38f, 3e38f, -3e38f};
    check_probs(large, 3, all, (double[]){0.5, 0.5, 0});
}

static void test_one_token(void)
{
    const ml_real one[1] = {-1000};
    check_probs(one, 1, (ml_sampler){0.7, 40, 0.9}, (double[]){1});
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

// Against a full sort, for a vocabulary where quickselect has work to do.
static void test_filters_of_many_tokens(void)
{
    enum { V = 50000, K = 1234 };
    ml_real *logits = malloc(V * sizeof *logits);
    double *probs = malloc(V * sizeof *probs), *sorted = malloc(V * sizeof *sorted);
    if (logits == NULL || probs == NULL || sorted == NULL)
        abort();
    for (size_t i = 0; i < V; i++)
        logits[i] = (ml_real)((i * 2654435761u) % 1048576) / 131072;
    ml_error err = {0};
    CHECK(ml_sample_probs(logits, V, &all, sorted, &err) == ML_OK);
    qsort(sorted, V, sizeof *sorted, by_size);

    size_t kept = 0;
    CHECK(ml_sample_probs(logits, V, &(ml_sampler){1, K, 1}, probs, &err) == ML_OK);
    for (size_t i = 0; i < V; i++)
        kept += probs[i] > 0;
    CHECK(kept == K);
    qsort(probs, V, sizeof *probs, by_size);
    CHECK_CLOSE(probs[0] / probs[K - 1], sorted[0] / sorted[K - 1], 1e-9);

    size_t expected = 0;
    for (double sum = 0; sum < 0.6; expected++)
        sum += sorted[expected];
    kept = 0;
    CHECK(ml_sample_probs(logits, V, &(ml_sampler){1, 0, 0.6}, probs, &err) == ML_OK);
    for (size_t i = 0; i < V; i++)
        kept += probs[i] > 0;
    CHECK(kept == expected);
    free(logits);
    free(probs);
    free(sorted);
}

static void test_draws_follow_the_probabilities(void)
{
    enum { DRAWS = 40000 };
    const double expected[4] = {0.1, 0.4, 0.2, 0.3};
    size_t drawn[4] = {0};
    ml_error err = {0};
    for (uint64_t offset = 0; offset < DRAWS; offset++) {
        size_t token = 4;
        if (ml_sample(four, 4, &all, 42, offset, &token, &err) == ML_OK && token < 4)
            drawn[token]++;
    }
    double chi_square = 0;
    for (size_t i = 0; i < 4; i++) {
        double difference = (double)drawn[i] - expected[i] * DRAWS;
        chi_square += difference * difference / (expected[i] * DRAWS);
    }
    CHECK(chi_square < 16.3); // 99.9 % of all runs, 3 degrees of freedom
}

static void test_draws_depend_on_seed_and_offset_alone(void)
{
    size_t same = 0, other_seed = 0, other_offset = 0;
    ml_error err = {0};
    for (uint64_t i = 0; i < 100; i++) {
        size_t a, b, c, d;
        CHECK(ml_sample(four, 4, &all, 1, i, &a, &err) == ML_OK);
        CHECK(ml_sample(four, 4, &all, 1, i, &b, &err) == ML_OK);
        CHECK(ml_sample(four, 4, &all, 2, i, &c, &err) == ML_OK);
        CHECK(ml_sample(four, 4, &all, 1, i + 1000, &d, &err) == ML_OK);
        same += a == b;
        other_seed += a == c;
        other_offset += a == d;
    }
    CHECK(same == 100);
    CHECK(other_seed < 60 && other_offset < 60); // 30 on average
}

static void check_refused(const ml_real *logits, size_t n, ml_sampler sampler, int code,
                          const char *says)
{
    double probs[8];
    size_t token;
    ml_error err = {0};
    CHECK(ml_sample_probs(logits, n, &sampler, probs, &err) == code);
    CHECK(strstr(err.message, says) != NULL);
    CHECK(ml_sample(logits, n, &sampler, 0, 0, &token, &err) == code);
}

static void test_refusals(void)
{
    const ml_real nan[3] = {0, 1, (ml_real)NAN}, inf[3] = {0, (ml_real)INFINITY, 0};
    const ml_real masked[3] = {MINUS_INF, MINUS_INF, MINUS_INF};
    check_refused(nan, 3, all, ML_ERR_VALUE, "logits[2]");
    check_refused(inf, 3, all, ML_ERR_VALUE, "logits[1]");
    check_refused(masked, 3, all, ML_ERR_VALUE, "all 3 are -inf");
    check_refused(four, 0, all, ML_ERR_SHAPE, "logits");
    check_refused(four, 4, (ml_sampler){-1, 0, 1}, ML_ERR_VALUE, "temperature");
    check_refused(four, 4, (ml_sampler){NAN, 0, 1}, ML_ERR_VALUE, "temperature");
    check_refused(four, 4, (ml_sampler){INFINITY, 0, 1}, ML_ERR_VALUE, "temperature");
    check_refused(four, 4, (ml_sampler){1, 0, 1.5}, ML_ERR_VALUE, "top_p");
    check_refused(four, 4, (ml_sampler){1, 0, NAN}, ML_ERR_VALUE, "top_p");
}

int main(void)
{
    RUN(test_temperature);
    RUN(test_top_k);
    RUN(test_top_p);
    RUN(test_equal_logits_go_by_id);
    RUN(test_masked_tokens_are_never_drawn);
    RUN(test_large_logits_do_not_overflow);
    RUN(test_one_token);
    RUN(test_filters_of_many_tokens);
    RUN(test_draws_follow_the_probabilities);
    RUN(test_draws_depend_on_seed_and_offset_alone);
    RUN(test_refusals);
    return check_report();
}
