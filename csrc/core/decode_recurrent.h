// Packing a model of an embedding, recurrent layers and a linear head for decode.h.
#ifndef ML_DECODE_RECURRENT_H
#define ML_DECODE_RECURRENT_H

#include "decode.h"

// G is 1, 4, 3, 2, 3 for rnn, lstm, gru, mingru, minlstm; gates are in the order of their layers.
// Biases may be NULL. The last two have no weight_hh and no bias_hh: NULL.
typedef struct ml_recurrent_weights {
    const ml_real *weight_ih; // (G H, E), above the first layer (G H, H)
    const ml_real *weight_hh; // (G H, H)
    const ml_real *bias_ih;   // (G H,)
    const ml_real *bias_hh;   // (G H,)
} ml_recurrent_weights;

typedef struct ml_recurrent_model {
    const char *cell; // "rnn" (of tanh), "lstm", "gru", "mingru" or "minlstm"
    size_t vocab, embed, hidden, layers;
    const ml_real *embedding;          // (V, E)
    const ml_recurrent_weights *layer; // (layers,)
    const ml_real *head;               // (V, H)
    const ml_real *head_bias;          // (V,) or NULL
} ml_recurrent_model;

// Copies all weights. int8: every row of a matrix is rounded to 255 levels, which takes a quarter
// of the memory; biases stay as they are. Of mingru and minlstm there is no such form. Released with
// ml_decoder_free.
int ml_recurrent_decoder_new(ml_decoder **decoder, const ml_recurrent_model *model, int int8,
                             ml_error *err);

#endif
