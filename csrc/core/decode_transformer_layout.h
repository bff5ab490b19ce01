// What decode_transformer.c packs and decode_transformer_step.c reads.
#ifndef ML_DECODE_TRANSFORMER_LAYOUT_H
#define ML_DECODE_TRANSFORMER_LAYOUT_H

#include "decode_kind.h"
#include "decode_transformer.h"

typedef struct decode_norm {
    ml_real *weight, *bias; // (C,); a bias of NULL is 0
} decode_norm;

// W x + b
typedef struct decode_linear {
    ml_matvec matrix;
    ml_real *bias; // (gates, units in whole vectors)
} decode_linear;

typedef struct decode_block {
    decode_norm norm_1, norm_2;
    decode_linear qkv, out, inner, down; // inner has two gates in a gated model
    ml_real scale;
} decode_block;

typedef struct transformer_decoder {
    ml_decoder base;
    size_t width, layers, heads, groups, size, inner_size; // C, L, ..., D, M
    int function, rms;
    ml_real eps;
    ml_matvec embedding;  // (V, C); all zeros where the head has it
    ml_real *position;    // (positions, C), or NULL
    ml_real *frequencies; // (D / 2,), or NULL
    decode_block *block;  // (layers,)
    decode_norm norm;
} transformer_decoder;

extern const decode_kind ml_transformer_kind; // decode_transformer_step.c

void ml_transformer_free_weights(ml_decoder *decoder); // decode_transformer.c

#endif
