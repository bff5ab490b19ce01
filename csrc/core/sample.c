#include "sample.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "rng.h"

// A place in the stream (seed, offset) that no dropout mask reaches, so that a draw and a mask of
// equal seed and offset have nothing in common.
#define DRAW_INDEX UINT64_MAX

typedef struct candidate {
    double weight;
    ml_real logit;
    uint32_t id;
} candidate;

// ---- checks -----------------------------------------------------------------------------------

static int check_sampler(const ml_sampler *sampler, ml_error *err)
{
    if (!(sampler->temperature >= 0 && isfinite(sampler->temperature)))
        return ml_fail(err, ML_ERR_VALUE,
                       "temperature: expected a finite number, 0 or more, got %g",
                       sampler->temperature);
    if (!(sampler->top_p >= 0 && sampler->top_p <= 1))
        return ml_fail(err, ML_ERR_VALUE, "top_p: expected a probability, 0 to 1, got %g",
                       sampler->top_p);
    return ML_OK;
}

static int check_logit(ml_real logit, size_t i, ml_error *err)
{
    if (isfinite(logit) || logit < 0)
        return ML_OK;
    return ml_fail(err, ML_ERR_VALUE,
                   "logits[%zu]: expected a finite number or -inf, got %g; has training diverged?",
                   i, (double)logit);
}

// Checks all arguments; *best is the token that is first in rank.
static int check(const ml_real *logits, size_t vocab, const ml_sampler *sampler, size_t *best,
                 ml_error *err)
{
    if (check_sampler(sampler, err) != ML_OK)
        return err->code;
    if (vocab == 0 || vocab > UINT32_MAX)
        return ml_fail(err, ML_ERR_SHAPE,
                       "logits: expected 1 to %lu tokens on axis vocabulary, got %zu",
                       (unsigned long)UINT32_MAX, vocab);
    *best = 0;
    for (size_t i = 0; i < vocab; i++) {
        if (check_logit(logits[i], i, err) != ML_OK)
            return err->code;
        if (logits[i] > logits[*best])
            *best = i;
    }
    if (!isfinite(logits[*best]))
        return ml_fail(err, ML_ERR_VALUE,
                       "logits: all %zu are -inf, so no token can be drawn; is everything masked?",
                       vocab);
    return ML_OK;
}

// ---- filters ----------------------------------------------------------------------------------

static int ranks_before(const candidate *a, const candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void swap(candidate *a, candidate *b)
{
    candidate kept = *a;
    *a = *b;
    *b = kept;
}

// Moves those that rank before c[pivot] to the front of the n, c[pivot] behind them; returns where
// that is.
static size_t partition(candidate *c, size_t n, size_t pivot)
{
    size_t front = 0;
    swap(&c[pivot], &c[n - 1]);
    for (size_t i = 0; i + 1 < n; i++)
        if (ranks_before(&c[i], &c[n - 1]))
            swap(&c[i], &c[front++]);
    swap(&c[front], &c[n - 1]);
    return front;
}

// Moves the fewest candidates, first in rank, whose weights add up to `target` to the front, in no
// order; returns how many. Quickselect by weight: linear on average, as the pivots follow a fixed
// pseudo-random sequence (a linear congruential one) that no usual input works against.
static size_t select_heaviest(candidate *c, size_t n, double target)
{
    size_t begin = 0, end = n; // the answer lies there
    double before = 0;         // sum of weights in front of begin, below target
    for (uint64_t random = 1; begin < end;) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t pivot = (size_t)((random >> 33) % (end - begin));
        size_t middle = begin + partition(c + begin, end - begin, pivot);
        double sum = before;
        for (size_t i = begin; i < middle; i++)
            sum += c[i].weight;
        if (sum >= target) {
            end = middle;
        } else {
            before = sum + c[middle].weight;
            begin = middle + 1;
            if (before >= target)
                return begin;
        }
    }
    return end;
}

// exp((logit - largest) / temperature): at most 1, whatever the scale of the logits.
static double weight_of(ml_real logit, ml_real largest, double temperature)
{
    return exp(((double)logit - (double)largest) / temperature);
}

static int limits_count(const ml_sampler *sampler, size_t vocab)
{
    return sampler->top_k > 0 && sampler->top_k < vocab;
}

// Keeps top_k, then top_p of the n candidates at the front and gives them their weights; returns
// how many are left.
static size_t filter(candidate *c, size_t n, const ml_sampler *sampler, ml_real largest)
{
    if (limits_count(sampler, n)) {
        for (size_t i = 0; i < n; i++)
            c[i].weight = 1;
        n = select_heaviest(c, n, (double)sampler->top_k);
    }
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        c[i].weight = weight_of(c[i].logit, largest, sampler->temperature);
        total += c[i].weight;
    }
    if (sampler->top_p < 1)
        n = select_heaviest(c, n, fmax(sampler->top_p * total, DBL_MIN)); // above 0: at least one
    return n;
}

// weights (V,), not yet divided by their sum; 0 for what a filter took out
static int filtered_weights(const ml_real *logits, size_t vocab, const ml_sampler *sampler,
                            ml_real largest, double *weights, ml_error *err)
{
    candidate *candidates = malloc(vocab * sizeof *candidates);
    if (candidates == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "sample: no memory for %zu candidates", vocab);
    for (size_t i = 0; i < vocab; i++) {
        candidates[i] = (candidate){0, logits[i], (uint32_t)i};
        weights[i] = 0;
    }
    size_t kept = filter(candidates, vocab, sampler, largest);
    for (size_t i = 0; i < kept; i++)
        weights[candidates[i].id] = candidates[i].weight;
    free(candidates);
    return ML_OK;
}

static int all_weights(const ml_real *logits, size_t vocab, const ml_sampler *sampler,
                       ml_real largest, double *weights, ml_error *err)
{
    if (limits_count(sampler, vocab) || sampler->top_p < 1)
        return filtered_weights(logits, vocab, sampler, largest, weights, err);
    for (size_t i = 0; i < vocab; i++)
        weights[i] = weight_of(logits[i], largest, sampler->temperature);
    return ML_OK;
}

// ---- public -----------------------------------------------------------------------------------

static double sum_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

int ml_sample_probs(const ml_real *logits, size_t vocab, const ml_sampler *sampler, double *probs,
                    ml_error *err)
{
    size_t best;
    int code = check(logits, vocab, sampler, &best, err);
    if (code != ML_OK)
        return code;

    if (sampler->temperature == 0) {
        for (size_t i = 0; i < vocab; i++)
            probs[i] = i == best;
        return ML_OK;
    }
    code = all_weights(logits, vocab, sampler, logits[best], probs, err);
    if (code != ML_OK)
        return code;
    double total = sum_of(probs, vocab);
    for (size_t i = 0; i < vocab; i++)
        probs[i] /= total;
    return ML_OK;
}

// The token at which the sum of weights first exceeds the fraction u of all, 0 <= u < 1.
static size_t token_at(const double *weights, size_t vocab, double u)
{
    double target = u * sum_of(weights, vocab);
    double sum = 0;
    size_t token = 0;
    for (size_t i = 0; i < vocab && sum <= target; i++) {
        sum += weights[i];
        if (weights[i] > 0)
            token = i;
    }
    return token;
}

int ml_sample(const ml_real *logits, size_t vocab, const ml_sampler *sampler, uint64_t seed,
              uint64_t offset, size_t *token, ml_error *err)
{
    int code = check(logits, vocab, sampler, token, err);
    if (code != ML_OK || sampler->temperature == 0)
        return code;

    double *weights = malloc(vocab * sizeof *weights);
    if (weights == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "sample: no memory for %zu weights", vocab);
    code = all_weights(logits, vocab, sampler, logits[*token], weights, err);
    if (code == ML_OK) {
        uint32_t words[4];
        ml_philox(seed, offset, DRAW_INDEX, words);
        *token = token_at(weights, vocab, ml_uniform53(words[0], words[1]));
    }
    free(weights);
    return code;
}
