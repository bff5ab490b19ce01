// What decode_recurrent.c packs and decode_recurrent_step.c reads.
//
// A layer's sums, for one text and the units of one panel, are S columns of these units: the gates
// of the cell, where GRU has two for n. Both matrices add to them, each from a column of its own on:
//
//     cell   S   columns        W_ih adds to    W_hh adds to
//     rnn    1   a              a               a
//     lstm   4   i, f, g, o     i, f, g, o      i, f, g, o
//     gru    4   n, r, z, q     n, r, z         r, z, q
//     mingru, minlstm           all of them     none: their W_hh has no columns
//
// They start from the biases; in the first layer of a model whose vocabulary is small, from a row
// of a table that has the whole product W_ih x for every token.
#ifndef ML_DECODE_RECURRENT_LAYOUT_H
#define ML_DECODE_RECURRENT_LAYOUT_H

#include "decode_kind.h"
#include "decode_recurrent.h"
#include "kernels/kernels.h"

// What makes h of the sums of some units; see kernels/decode_cells.c.
typedef void (*decode_cell_fn)(size_t units, const ml_real *sums, ml_real *state, ml_real *h);

typedef struct decode_cell {
    const char *name;
    decode_cell_fn (*kernel)(const ml_kernels *kernels);
    size_t gates, columns;         // G and S
    size_t input_at, recurrent_at; // the first columns that W_ih and W_hh add to
    unsigned char input_order[4];  // PyTorch's gates in the order of the columns
    unsigned char recurrent_order[4];
    int has_c;   // lstm: the state that the kernel wants is c, else h_{t-1}
    int minimal; // no W_hh; and h may be above 1, which levels of int8 do not reach
} decode_cell;

typedef struct decode_layer {
    ml_matvec input;     // W_ih; all zeros where there is a table
    ml_matvec recurrent; // W_hh
    ml_real *bias;       // by panel (S, units)
} decode_layer;

typedef struct recurrent_decoder {
    ml_decoder base;
    const decode_cell *cell;
    size_t embed, hidden, layers;
    size_t padded;            // hidden, in whole vectors
    ml_real *table;           // (V, by panel (S, units)), or NULL
    ml_real *embedding;       // (V, E), in reals and without a table
    int8_t *embedding_int8;   // (V, E), in int8 and without a table
    ml_real *embedding_steps; // (V,), with it
    decode_layer *layer;      // (layers,)
} recurrent_decoder;

extern const decode_kind ml_recurrent_kind; // decode_recurrent_step.c

void ml_recurrent_free_weights(ml_decoder *decoder); // decode_recurrent.c

#endif
