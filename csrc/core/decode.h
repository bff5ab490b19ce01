// Reading and writing text a token at a time: a model's weights are packed once, and the loop over
// tokens, sampling included, runs here. decode_recurrent.h and decode_transformer.h pack them.
#ifndef ML_DECODE_H
#define ML_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "real.h"
#include "sample.h"

// A model's packed weights. It is not changed by what reads it, so several threads may.
typedef struct ml_decoder ml_decoder;

void ml_decoder_free(ml_decoder *decoder); // NULL is fine

size_t ml_decoder_vocab(const ml_decoder *decoder);
size_t ml_decoder_bytes(const ml_decoder *decoder); // memory that it takes
size_t ml_decoder_work(const ml_decoder *decoder);  // multiply-adds of a token

// The most positions that one call of a kernel reads at once, where it reads more than one.
enum { ML_DECODER_BLOCK = 32 };

// What a model keeps of the texts that it has read. Axis 1 is for the texts, side by side.
//
//     recurrent      arrays (layers, batch, hidden): h, and c of an LSTM
//     transformer    arrays (layers, batch, groups, capacity, size): keys and values, and how many
//                    positions of each text they hold
typedef struct ml_decoder_state {
    size_t arrays;    // 1 or 2
    size_t dims;      // axes of each of them
    size_t shape[5];  // 0: the caller's to choose
    size_t positions; // that the model has; 0: any number
} ml_decoder_state;

ml_decoder_state ml_decoder_state_of(const ml_decoder *decoder);

// The texts that are read or written, side by side; a text comes out as if it were alone.
typedef struct ml_texts {
    size_t batch;
    int64_t *ids;      // (batch, row)
    size_t row;        // ids from one text to the next
    ml_real *state[2]; // in and out, as ml_decoder_state says
    size_t capacity;   // positions that keys and values have room for
    int64_t *lengths;  // (batch,), in and out: positions that they hold
} ml_texts;

// ML_ERR_VALUE where texts that go on for so many tokens would need more positions than there are.
int ml_decoder_check_room(const ml_decoder *decoder, const ml_texts *texts, size_t tokens,
                          ml_error *err);

// Reads the ids at positions [begin, end). logits (batch, row, V), beside the ids: the scores of what
// follows each of them; NULL: not wanted. After an error the texts are where they were before.
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
