// The inner loops, once per instruction set, behind one table of function pointers.
#ifndef ML_KERNELS_H
#define ML_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "../real.h"

enum {
    ML_TILE_ROWS = 6,     // rows of the register tile of panel_product
    ML_PANEL_VECTORS = 4, // vectors that a packed panel is wide, at most
    ML_MAX_LANES = 16,    // numbers in the widest vector
    ML_TILE_SIZE = ML_TILE_ROWS * ML_PANEL_VECTORS * ML_MAX_LANES,
};

// Numbers in a cache line.
enum { ML_LINE = 64 / sizeof(ml_real) };

// Numbers of ML_TILE_ROWS packed rows (pack_transposed), with room for one vector behind them.
#define ML_PACKED_ROWS_SIZE(depth) ((depth) * ML_TILE_ROWS + ML_MAX_LANES)

// c (rows, columns) = init + a (rows, depth) panel (depth, columns); 1 <= rows <= ML_TILE_ROWS.
typedef struct ml_panel_product {
    size_t rows, columns, depth;
    const ml_real *a; // element (i, k) is a[i * a_row + k * a_k]
    size_t a_row, a_k;
    const ml_real *panel; // rows panel_row apart; whole vectors are read
    size_t panel_row;
    const ml_real *init; // NULL: 0; may be c, to add to it
    size_t init_row;     // 0: the same row for all, a bias
    ml_real *c;
    size_t c_row;
    // What is needed soon: for each k a cache line is brought nearer meanwhile, `ahead_step` numbers
    // behind the one before it; NULL: nothing.
    const ml_real *ahead;
    size_t ahead_step;
} ml_panel_product;

// One time step of a cell for some rows (of the batch) and some units: what stands after the
// recurrent product. Pointers are at the first row and unit; a "gate" lies `hidden` numbers after
// the one before it. S is the number of saved columns of the cell (rnn 1, lstm 4, gru 4, mingru 2,
// minlstm 3).
typedef struct ml_cell_forward {
    size_t rows, units, hidden;
    // (rows, gates, tile_units): h_{t-1} W_hh^T; not for the cells that have no W_hh
    const ml_real *tile;
    size_t tile_units;              // units that the tile is wide
    size_t tile_row;                // numbers from one row of the tile to the next
    const ml_real *x[ML_TILE_ROWS]; // of each row (S, hidden): W_ih x_t and biases; may be gates
    const ml_real *q_bias;          // (hidden,): b_hn, gru
    ml_real *gates;                 // (rows, S, hidden), out: the activations
    const ml_real *h_prev;          // (rows, hidden)
    const ml_real *c_prev;          // (rows, hidden), lstm
    ml_real *h;                     // (rows, hidden), out
    ml_real *c;                     // (rows, hidden), out, lstm
    ml_real *y;   // (rows, ..), out: h again where the layer's output wants it, or NULL
    size_t y_row; // numbers from one row of y to the next
} ml_cell_forward;

typedef struct ml_cell_backward {
    size_t rows, units, hidden;
    const ml_real *dh_next; // (rows, ..): from the step after, or NULL
    size_t dh_next_row;
    const ml_real *dy; // (rows, ..): from the layer above, or NULL
    size_t dy_row;
    const ml_real *gates;      // (rows, S, hidden): the activations
    const ml_real *h;          // (rows, hidden): rnn
    const ml_real *h_prev;     // (rows, hidden): gru, mingru, minlstm
    const ml_real *c, *c_prev; // (rows, hidden): lstm
    ml_real *carry;  // (rows, hidden), in and out: lstm dc; else the part of dh that skips W_hh
    ml_real *dgates; // (rows, S, hidden), out
} ml_cell_backward;

enum { ML_ATTENTION_BLOCK = 64 }; // queries, and keys, of a block of attention's scores

// A block of scores. Rows for keys and columns for queries beyond the last may hold anything.
typedef struct ml_attention_scores {
    size_t keys, queries;    // at most ML_ATTENTION_BLOCK
    ptrdiff_t reach;         // query i sees key j where j <= i + reach,
    const int64_t *key_mask; // (keys,), and where this is not 0; NULL: all
    ml_real *p;              // (keys, ML_ATTENTION_BLOCK): scores, then probabilities
} ml_attention_scores;

// One query over the keys and values of all positions that it sees.
typedef struct ml_decode_attention {
    size_t keys, size;    // at least 1; D
    const ml_real *query; // (size,), scaled
    const ml_real *k, *v; // (keys, size)
    ml_real *p;           // (keys rounded up to whole vectors,): scratch
    ml_real *out;         // (size,)
} ml_decode_attention;

struct ml_param; // optim.h

// log sum_j exp(x_j) = top + log_sum, top the largest x_j. Kept apart: added up, the sum would be
// rounded beside a large top.
typedef struct ml_log_sum_exp {
    ml_real top, log_sum;
} ml_log_sum_exp;

#define KERNEL(result, name, arguments) result(*name) arguments;
typedef struct ml_kernels {
    const char *isa;
    size_t lanes; // numbers in a vector
    int tuned;    // panel_product was measured to be ahead of BLAS
#include "kernels.def"
} ml_kernels;
#undef KERNEL

// The table for this processor: the widest that was compiled and that it supports, or the one that
// MINILM_ISA names. Chosen once.
const ml_kernels *ml_kernels_get(void);

// Name of the index-th best table that could be chosen here; NULL after the last.
const char *ml_kernels_available(size_t index);

// NULL, or the value of MINILM_ISA that names no table that runs here.
const char *ml_kernels_refused(void);

// In a file that is compiled once per instruction set, ML_KERNEL(f) is f_avx2, f_avx512, ...
#ifdef ML_ISA
#define ML_KERNEL_PASTE_(name, isa) ml_##name##_##isa
#define ML_KERNEL_PASTE(name, isa) ML_KERNEL_PASTE_(name, isa)
#define ML_KERNEL(name) ML_KERNEL_PASTE(name, ML_ISA)
#define KERNEL(result, name, arguments) result ML_KERNEL(name) arguments;
#include "kernels.def"
#undef KERNEL
#endif

#endif
