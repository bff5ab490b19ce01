// Drawing the next token from a row of logits.
#ifndef ML_SAMPLE_H
#define ML_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "real.h"

// Tokens are ranked by logit, the largest first, the smaller id first where two are equal. Filters
// work one after the other: temperature, top_k, top_p.
typedef struct ml_sampler {
    double temperature; // logits are divided by it; 0: always the first in rank
    size_t top_k;       // keep that many; 0: all
    double top_p;       // keep the fewest, first in rank, whose probability reaches it; 1: all
} ml_sampler;

// probs (V,): what is left after the filters, adding up to 1.
// A logit may be -inf (never drawn), not NaN or +inf, and not all of them -inf: ML_ERR_VALUE.
int ml_sample_probs(const ml_real *logits, size_t vocab, const ml_sampler *sampler, double *probs,
                    ml_error *err);

// *token is drawn from those probabilities; a function of (seed, offset) and nothing else.
int ml_sample(const ml_real *logits, size_t vocab, const ml_sampler *sampler, uint64_t seed,
              uint64_t offset, size_t *token, ml_error *err);

// The same for a caller that draws again and again and keeps the memory: workspace is of
// ml_sample_workspace(vocab) bytes, aligned for doubles; SIZE_MAX where no size can hold them.
size_t ml_sample_workspace(size_t vocab);
int ml_sample_in(const ml_real *logits, size_t vocab, const ml_sampler *sampler, uint64_t seed,
                 uint64_t offset, void *workspace, size_t *token, ml_error *err);

#endif
