// Writing text a token at a time with an embedding, recurrent layers and a linear head: the weights
// are packed once, and the loop over tokens, sampling included, runs here.
#ifndef ML_DECODE_H
#define ML_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "real.h"
#include "sample.h"

// A model's packed weights. It is not changed by what reads it, so several threads may.
typedef struct ml_decoder ml_decoder;

// G is 1, 4, 3 for rnn, lstm, gru; gates are in PyTorch's order. Biases may be NULL.
typedef struct ml_decoder_layer {
    const ml_real *weight_ih; // (G H, E), above the first layer (G H, H)
    const ml_real *weight_hh; // (G H, H)
    const ml_real *bias_ih;   // (G H,)
    const ml_real *bias_hh;   // (G H,)
} ml_decoder_layer;

typedef struct ml_decoder_weights {
    const char *cell; // "rnn" (of tanh), "lstm" or "gru"
    size_t vocab, embed, hidden, layers;
    const ml_real *embedding;      // (V, E)
    const ml_decoder_layer *layer; // (layers,)
    const ml_real *head;           // (V, H)
    const ml_real *head_bias;      // (V,) or NULL
} ml_decoder_weights;

// Copies all weights. int8: every row of a matrix is rounded to 255 levels, which takes a quarter of
// the memory; biases stay as they are.
int ml_decoder_new(ml_decoder **decoder, const ml_decoder_weights *weights, int int8,
                   ml_error *err);
void ml_decoder_free(ml_decoder *decoder); // NULL is fine

size_t ml_decoder_bytes(const ml_decoder *decoder); // memory that it takes
size_t ml_decoder_work(const ml_decoder *decoder);  // multiply-adds of a token

// The texts that are read or written, side by side; a text comes out as if it were alone.
typedef struct ml_texts {
    size_t batch;
    int64_t *ids;   // (batch, row)
    size_t row;     // ids from one text to the next
    ml_real *h, *c; // (layers, batch, hidden), in and out; c: lstm only
} ml_texts;

// Reads the ids at positions [begin, end). logits (batch, row, V), beside the ids: the scores of what
// follows each of them; NULL: not wanted. After an error the states are as before.
int ml_decoder_read(const ml_decoder *decoder, const ml_texts *texts, size_t begin, size_t end,
                    ml_real *logits, ml_error *err);

typedef struct ml_writing {
    ml_sampler sampler;
    uint64_t seed;             // of the first text; the next takes seed + 1, ...
    uint64_t offset;           // of the first token that this call writes
    const int64_t *suppressed; // (suppressions,): ids that are never written
    size_t suppressions;       //
    int64_t end_id;            // a text ends with this id, and is filled up with it; -1: none
    unsigned char *ended;      // (batch,), in and out: 1 for a text that has ended
} ml_writing;

// Writes the ids at positions [begin, end), begin > 0: reads the one before each and draws from its
// logits. *written: where it stopped, before `end` when all texts have ended. The last id written
// has not been read yet. An end_id outside the vocabulary is refused; suppressed ids are the
// caller's to check.
int ml_decoder_write(const ml_decoder *decoder, const ml_texts *texts, const ml_writing *writing,
                     size_t begin, size_t end, size_t *written, ml_error *err);

#endif
