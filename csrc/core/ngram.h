// An n-gram model with Witten-Bell smoothing.
//
// Witten & Bell 1991, https://doi.org/10.1109/18.87000 (method C), interpolated as in Chen &
// Goodman 1998, https://dash.harvard.edu/handle/1/25104739, section 2.6.
#ifndef ML_NGRAM_H
#define ML_NGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct ml_ngram ml_ngram;

// An empty model: contexts of 0 .. order - 1 tokens, ids 0 .. vocab - 1. Every token has
// probability 1 / vocab until something is counted.
int ml_ngram_new(ml_ngram **model, size_t order, size_t vocab, ml_error *err);
void ml_ngram_free(ml_ngram *model); // NULL is fine

// Tokens of a text are given by position: ids (end,) from the start of the text, of which those in
// [begin, end) are worked on, after the contexts that stand before them. So a long text can be
// taken in pieces. Before position order - 1 contexts are as long as the text allows.

// Counts each token after each of its contexts. After an error the model must be freed.
int ml_ngram_count(ml_ngram *model, const int64_t *ids, size_t begin, size_t end, ml_error *err);

// log_probs (end - begin,): ln p(token | context), in nats.
int ml_ngram_log_prob(const ml_ngram *model, const int64_t *ids, size_t begin, size_t end,
                      double *log_probs, ml_error *err);

// probs (vocab,): p(. | context), of whose `length` tokens the last order - 1 count.
int ml_ngram_distribution(const ml_ngram *model, const int64_t *context, size_t length,
                          double *probs, ml_error *err);

#endif
