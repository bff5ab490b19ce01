// Packing a transformer (GPT-2, Llama) for decode.h.
#ifndef ML_DECODE_TRANSFORMER_H
#define ML_DECODE_TRANSFORMER_H

#include "decode.h"

// Matrices are (out, in). What may be NULL says so; so may all biases.
typedef struct ml_block_weights {
    const ml_real *norm_1, *norm_1_bias; // (C,)
    const ml_real *qkv, *qkv_bias;       // ((heads + 2 groups) D, C): queries, keys, values
    const ml_real *out, *out_bias;       // (C, heads D)
    const ml_real *norm_2, *norm_2_bias; // (C,)
    const ml_real *inner, *inner_bias;   // (M, C), gated (2 M, C): the gate before what it lets in
    const ml_real *down, *down_bias;     // (C, M)
    double scale;                        // of the scores
} ml_block_weights;

typedef struct ml_transformer_model {
    size_t vocab, width, layers; // V, C
    size_t positions;            // the longest text
    size_t heads, groups, size;  // of queries, of keys and values; D
    size_t inner;                // M
    int gated;                   // SwiGLU and the like: f(gate) * up
    int function;                // f, of activation.h
    int rms;                     // RMSNorm instead of LayerNorm
    double eps;
    const ml_real *embedding;        // (V, C)
    const ml_real *position;         // (positions, C), added to it, or NULL
    const ml_real *frequencies;      // (D / 2,): radians a position, of rotary positions, or NULL
    const ml_block_weights *block;   // (layers,)
    const ml_real *norm, *norm_bias; // (C,)
    const ml_real *head;             // (V, C); NULL: the embedding
} ml_transformer_model;

// Copies all weights. int8: every row of a matrix is rounded to 255 levels, the embedding's, too;
// norms, biases and positions stay as they are. Released with ml_decoder_free.
int ml_transformer_decoder_new(ml_decoder **decoder, const ml_transformer_model *model, int int8,
                               ml_error *err);

#endif
