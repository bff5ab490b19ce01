// What decode.c and the kinds of models share: the packed weights that all have, and a run over some
// positions, whose steps the threads of a team share.
//
// A kind is a table entry, decode_kind. Its decoder begins with an ml_decoder, its run with a
// decode_run.
#ifndef ML_DECODE_KIND_H
#define ML_DECODE_KIND_H

#include <stdatomic.h>

#include "decode.h"
#include "kernels/kernels.h"
#include "matvec.h"
#include "pool.h"
#include "workspace.h"

enum { DECODE_THREADS = 64, DECODE_PHASES = 3 };

typedef struct decode_run decode_run;
typedef struct decode_at decode_at;

typedef struct decode_kind {
    size_t run_size; // of its run
    size_t block;    // positions that a step reads at once, at most
    void (*free_weights)(ml_decoder *d);
    // Lays out what a run needs; an arena with a base of NULL only counts.
    void (*lay_out)(decode_run *r, ml_arena *arena);
    int (*take_states)(decode_run *r);
    // Reads the positions; where r->logits is not NULL, ends with ml_decode_head.
    void (*step)(decode_at *at);
    ml_operand (*head_operand)(const decode_at *at, size_t row);
    void (*give_states)(const decode_run *r);
} decode_kind;

struct ml_decoder {
    const decode_kind *kind;
    size_t vocab;
    int int8;
    ml_decoder_state state;
    ml_matvec head;
    ml_real *head_bias; // (V, in whole vectors)
    size_t allocated;   // bytes
    size_t work;        // multiply-adds of a token
};

struct decode_run {
    const ml_decoder *d;
    const ml_texts *texts;
    size_t begin, end;         // positions that are read
    size_t rows;               // positions of all texts that a step reads, at most
    size_t threads;            // of the team, at most
    ml_real *logits;           // (batch, row, V) of all that is read, or (batch, V) to draw from
    const ml_writing *writing; // NULL: only read
    void *workspace;           // of the sampler
    // What the two threads of a pair have claimed, of the phase that is gone through now, of the one
    // before it and of the one after it.
    atomic_size_t claimed[DECODE_PHASES][DECODE_THREADS / 2];
    int code;  // of what was drawn last
    int ended; // all texts have
    ml_error *err;
};

// Where a thread is: `count` positions from `position` on, of each text. A row is a position of a
// text: text * count + the place among them.
struct decode_at {
    decode_run *run;
    size_t position, count, layer;
    ml_team *team;
    size_t rank, size; // of the team
    size_t phase;      // phases gone through so far
};

// Calls work(at, item, row) for all items and rows, and returns when all threads are done. Who takes
// an item is open: what it leaves must be nobody else's.
void ml_decode_share(decode_at *at, size_t items, size_t rows,
                     void (*work)(const decode_at *at, size_t item, size_t row));

// The logits of all rows, from the kind's operands.
void ml_decode_head(decode_at *at);

// Text and id of a row.
size_t ml_decode_text(const decode_at *at, size_t row);
size_t ml_decode_id(const decode_at *at, size_t row);

// ---- packing ----------------------------------------------------------------------------------

// Memory that belongs to the decoder and is counted; NULL, and an error, when there is none.
void *ml_decode_allocate(ml_decoder *d, size_t count, size_t size, ml_error *err);

// Packs a matrix that a token is multiplied by, and counts it.
int ml_decode_pack(ml_decoder *d, ml_matvec *m, const char *name, size_t gates, size_t units,
                   size_t depth, const ml_real *w, const unsigned char *order, ml_error *err);

int ml_decode_pack_head(ml_decoder *d, size_t width, const ml_real *head, const ml_real *bias,
                        ml_error *err);

// Memory of `a` times `b` items of so many bytes, aligned like numbers.
void *ml_decode_bytes(ml_arena *arena, size_t a, size_t b, size_t size);

#endif
