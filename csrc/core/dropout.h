// Dropout for layers that have it inside.
#ifndef ML_DROPOUT_H
#define ML_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "real.h"

// Elements whose random numbers are made together, 16 counters of four words. Part of the meaning
// of a seed: element e has word e % 64 / 16 of counter e / 64 * 16 + e % 16.
enum { ML_DROPOUT_LANES = 16, ML_DROPOUT_BLOCK = 4 * ML_DROPOUT_LANES };

// y[i] = x[i] / (1 - p) where element i of (seed, stream) is kept, else 0. y may be x. Applied to a
// gradient with the same seed and stream it is its own backward.
void ml_dropout(size_t n, double p, uint64_t seed, uint64_t stream, const ml_real *x, ml_real *y);

// ML_ERR_VALUE unless 0 <= p <= 1; `name` is the setting, "lstm: dropout".
int ml_check_probability(const char *name, double p, ml_error *err);

#endif
