#include "sample.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
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

static int refuse_logits(const ml_real *logits, size_t vocab, ml_error *err)
{
    size_t i = 0;
    while (i + 1 < vocab && (isfinite(logits[i]) || logits[i] < 0))
        i++;
    return ml_fail(err, ML_ERR_VALUE,
                   "logits[%zu]: expected a finite number or -inf, got %g; has training diverged?",
                   i, (double)logits[i]);
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
    ml_real top = ml_kernels_get()->logit_top(vocab, logits);
    if (isnan(top))
        return refuse_logits(logits, vocab, err);
    for (*best = 0; *best < vocab; ++*best)
        if (logits[*best] == top)
            return ML_OK;
    return ml_fail(err, ML_ERR_VALUE,
                   "logits: all %zu are -inf, so no token can be drawn; is everything masked?",
                   vocab);
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

// ---- weights ----------------------------------------------------------------------------------

// What drawing needs, one behind the other.
typedef struct scratch {
    double *weights;       // (V,), not yet divided by their sum; 0 for what a filter took out
    double *sums;          // (V / BLOCK rounded up,): of blocks of weights
    candidate *candidates; // (V,)
} scratch;

enum { BLOCK = 64 };

static size_t blocks_of(size_t vocab) { return vocab / BLOCK + (vocab % BLOCK != 0); }

size_t ml_sample_workspace(size_t vocab)
{
    size_t bytes = sizeof(double) + sizeof(candidate);
    if (vocab > SIZE_MAX / 4 / bytes)
        return SIZE_MAX;
    return vocab * bytes + (blocks_of(vocab) + 1) * sizeof(double); // never 0
}

static scratch scratch_in(void *workspace, size_t vocab)
{
    double *weights = workspace;
    double *sums = weights + vocab;
    return (scratch){weights, sums, (candidate *)(void *)(sums + blocks_of(vocab))};
}

static double sum_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

// Sums of blocks of weights; returns their sum.
static double sum_blocks(const double *weights, size_t vocab, double *sums)
{
    for (size_t b = 0; b < blocks_of(vocab); b++) {
        size_t first = b * BLOCK, n = vocab - first < BLOCK ? vocab - first : BLOCK;
        // Four sums do not wait for one another, and together take whole vectors.
        double part[4] = {0};
        size_t i = 0;
        for (; i + 4 <= n; i += 4)
            for (size_t j = 0; j < 4; j++)
                part[j] += weights[first + i + j];
        sums[b] = part[0] + part[1] + part[2] + part[3] + sum_of(weights + first + i, n - i);
    }
    return sum_of(sums, blocks_of(vocab));
}

static int limits_count(const ml_sampler *sampler, size_t vocab)
{
    return sampler->top_k > 0 && sampler->top_k < vocab;
}

// Puts the `count` tokens that rank first to the front of c (V,), in no order. Those that may be
// among them are collected until there are twice as many; then the rest of them goes, and the last
// that stays is the bar for all that follow.
static void keep_count(const ml_real *logits, size_t vocab, size_t count, candidate *c)
{
    size_t n = 0;
    int barred = 0;
    ml_real bar = 0;
    for (size_t i = 0; i < vocab; i++) {
        if (barred && !(logits[i] > bar)) // an equal one ranks behind: its id is larger
            continue;
        c[n++] = (candidate){1, logits[i], (uint32_t)i};
        if (n / 2 < count)
            continue;
        n = select_heaviest(c, n, (double)count);
        barred = 1;
        bar = c[0].logit;
        for (size_t j = 1; j < n; j++)
            bar = c[j].logit < bar ? c[j].logit : bar;
    }
    select_heaviest(c, n, (double)count);
}

// Collects the tokens that can be among the heaviest whose weights reach `target`, of `total` in
// all: those lighter than an equal share of the rest cannot, for together they weigh less than it.
static size_t collect_heavy(const ml_real *logits, size_t vocab, double target, double total,
                            const scratch *s)
{
    double bar = (total - target) / (double)vocab / 2; // the half makes up for rounded sums
    size_t n = 0;
    for (size_t i = 0; i < vocab; i++)
        if (s->weights[i] >= bar)
            s->candidates[n++] = (candidate){s->weights[i], logits[i], (uint32_t)i};
    return n;
}

// Fills s->weights with what the filters leave; `largest` is the largest logit.
static void fill_weights(const ml_real *logits, size_t vocab, const ml_sampler *sampler,
                         ml_real largest, const scratch *s)
{
    const int by_count = limits_count(sampler, vocab);
    candidate *c = s->candidates;
    size_t n = 0;
    double total = 0;
    if (by_count) {
        n = sampler->top_k;
        keep_count(logits, vocab, n, c);
        for (size_t i = 0; i < n; i++) {
            c[i].weight = exp(((double)c[i].logit - (double)largest) / sampler->temperature);
            total += c[i].weight;
        }
    } else {
        ml_kernels_get()->draw_weights(vocab, logits, largest, sampler->temperature, s->weights);
    }
    if (sampler->top_p < 1) {
        if (!by_count)
            total = sum_blocks(s->weights, vocab, s->sums);
        double target = fmax(sampler->top_p * total, DBL_MIN); // above 0: at least one
        if (!by_count)
            n = collect_heavy(logits, vocab, target, total, s);
        n = select_heaviest(c, n, target);
    } else if (!by_count) {
        return;
    }
    memset(s->weights, 0, vocab * sizeof *s->weights);
    for (size_t i = 0; i < n; i++)
        s->weights[c[i].id] = c[i].weight;
}

// ---- public -----------------------------------------------------------------------------------

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
    void *workspace = malloc(ml_sample_workspace(vocab));
    if (workspace == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "sample: no memory for %zu weights", vocab);
    scratch s = scratch_in(workspace, vocab);
    fill_weights(logits, vocab, sampler, logits[best], &s);
    double total = sum_blocks(s.weights, vocab, s.sums);
    for (size_t i = 0; i < vocab; i++)
        probs[i] = s.weights[i] / total;
    free(workspace);
    return ML_OK;
}

// The token at which the sum of weights first exceeds the fraction u of all, 0 <= u < 1: first the
// block, by the sums of blocks, then the token in it.
static size_t token_at(const scratch *s, size_t vocab, double u)
{
    double target = u * sum_blocks(s->weights, vocab, s->sums), sum = 0;
    size_t block = 0, token = 0;
    while (block + 1 < blocks_of(vocab) && sum + s->sums[block] <= target)
        sum += s->sums[block++];
    // Where rounding leads beyond the last token that has a weight, the block ends in zeros.
    while (block > 0 && s->sums[block] == 0)
        sum -= s->sums[--block];
    for (size_t i = block * BLOCK; i < vocab && i < (block + 1) * BLOCK && sum <= target; i++) {
        sum += s->weights[i];
        if (s->weights[i] > 0)
            token = i;
    }
    return token;
}

int ml_sample_in(const ml_real *logits, size_t vocab, const ml_sampler *sampler, uint64_t seed,
                 uint64_t offset, void *workspace, size_t *token, ml_error *err)
{
    int code = check(logits, vocab, sampler, token, err);
    if (code != ML_OK || sampler->temperature == 0)
        return code;
    scratch s = scratch_in(workspace, vocab);
    fill_weights(logits, vocab, sampler, logits[*token], &s);
    uint32_t words[4];
    ml_philox(seed, offset, DRAW_INDEX, words);
    *token = token_at(&s, vocab, ml_uniform53(words[0], words[1]));
    return ML_OK;
}

int ml_sample(const ml_real *logits, size_t vocab, const ml_sampler *sampler, uint64_t seed,
              uint64_t offset, size_t *token, ml_error *err)
{
    void *workspace = malloc(ml_sample_workspace(vocab));
    if (workspace == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "sample: no memory for %zu weights", vocab);
    int code = ml_sample_in(logits, vocab, sampler, seed, offset, workspace, token, err);
    free(workspace);
    return code;
}
