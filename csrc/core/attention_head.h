// Attention of one head, block by block: the inside of attention.c.
#ifndef ML_ATTENTION_HEAD_H
#define ML_ATTENTION_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "real.h"
#include "sizes.h"

// A matrix inside a larger array: rows lie `row` numbers apart. data NULL: not given or not wanted.
typedef struct ml_rows {
    ml_real *data;
    size_t row;
} ml_rows;

typedef struct ml_attention_head {
    size_t queries, keys;    // Tq, Tk
    size_t size, value_size; // D, Dv
    ptrdiff_t reach;         // query i sees key j where j <= i + reach,
    const int64_t *key_mask; // (Tk,), and where this is not 0; NULL: all
    ml_real scale;
    double dropout;                    // of probabilities; 0: none
    uint64_t seed, stream, first_mask; // key j's mask of the block of queries b is block
                                       // first_mask + j ml_ceil_div(Tq, 64) + b of (seed, stream)
    ml_rows q, k, v;                   // (Tq, D), (Tk, D), (Tk, Dv)
    ml_rows o;                         // (Tq, Dv)
    ml_rows weights;                   // (Tq, Tk): the probabilities
    ml_real *top;                      // (Tq,): largest score of each query,
    ml_real *inverse; // (Tq,): and 1 / sum_j exp(score - top), 0 where it sees no key

    ml_rows grad_o, grad_weights;   // either may be zero: NULL
    ml_rows grad_q, grad_k, grad_v; // those of k and v are added to
} ml_attention_head;

// Keys that the queries before `end` may see.
size_t ml_attention_keys_before(const ml_attention_head *head, size_t end);

// Numbers that a row of `size` takes in a panel that is a copy.
ML_INLINE size_t ml_panel_width(size_t size)
{
    return ml_ceil_div(size, ML_MAX_LANES) * (size_t)ML_MAX_LANES;
}

// Rows as the panel of a product, which reads whole vectors: in their place, or, where these would
// reach beyond them, in `copy` (count, ml_panel_width(size)).
ml_rows ml_rows_as_panel(ml_rows rows, size_t count, size_t size, ml_real *copy);

// Numbers that a block of queries needs to compute in.
size_t ml_attention_forward_scratch(const ml_attention_head *head);
size_t ml_attention_backward_scratch(const ml_attention_head *head);

// Queries i .. i + 63, or what there is of them: o, top and inverse, and weights where they are
// wanted.
void ml_attention_forward(const ml_attention_head *head, size_t i, ml_real *scratch);

// The same queries' part of the gradients: grad_q, and what they add to grad_k and grad_v.
void ml_attention_backward(const ml_attention_head *head, size_t i, ml_real *scratch);

// The same for a head with a single query and without dropout, as in writing: attention_row.c.
size_t ml_attention_row_scratch(const ml_attention_head *head);
void ml_attention_row(const ml_attention_head *head, ml_real *scratch);

#endif
