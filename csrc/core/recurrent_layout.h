// The inside of the recurrent engine: how a call's memory is laid out (recurrent_layout.c) and how
// one direction of one layer walks through time (recurrent_scan.c). Only these files, recurrent.c
// and recurrent_backward.c use it.
#ifndef ML_RECURRENT_LAYOUT_H
#define ML_RECURRENT_LAYOUT_H

#include "recurrent.h"
#include "workspace.h"

// ---- sizes ------------------------------------------------------------------------------------

typedef struct ml_sizes {
    size_t T, B, E, H, L, D; // D: directions
    size_t V;                // rows of the table that ids choose from; 0: no ids
    int starts;              // whether sequences start anew at some steps
} ml_sizes;

ml_sizes ml_sizes_of(const ml_call *call);

// Numbers that a step of a layer's input is wide.
size_t ml_input_width(const ml_sizes *n, size_t layer);

// ---- parameters -------------------------------------------------------------------------------

// A place is one direction of one layer: layer * D + direction. Each has these parameters; where
// the cell is elementwise, only those of the input.
enum { ML_W_IH, ML_W_HH, ML_B_IH, ML_B_HH };

const ml_real *ml_param_at(const ml_call *call, size_t place, int kind);

// NULL when the gradient is not wanted; *add is 1 when it is added to, else 0.
ml_real *ml_grad_at(const ml_call *call, size_t place, int kind, int *add);

// ---- memory -----------------------------------------------------------------------------------

// What the steps of a direction read, and what they leave: element t is of the step at time t. What
// one leaves the next one reads, so both lie in one array (T + 1, B, H), a slot apart; but where
// sequences start anew, what is read differs.
typedef struct ml_states {
    ml_real *before, *after; // (T, B, H), or NULL
} ml_states;

// What one direction of one layer keeps.
typedef struct ml_direction {
    int reverse;
    ml_real *gates; // (T, B, S, H)
    ml_states h, c; // c: where the cell has one
} ml_direction;

// Rows of a sequence in memory: the one of time t and batch b begins at
// data + t * time + b * batch.
typedef struct ml_rows {
    ml_real *data; // NULL: none
    size_t time, batch;
} ml_rows;

// What a layer keeps from forward to backward.
typedef struct ml_layer_memory {
    // (T, B, input width): its input, or NULL where that lies in time-major order elsewhere
    ml_real *x;
    ml_direction direction[2];
} ml_layer_memory;

// Scratch of one scan, used again by each.
typedef struct ml_scratch {
    ml_real *packed, *bias;
    int64_t *ids, *starts;           // (T, B): in this order whatever batch_first says
    ml_real *table;                  // (V, S, H): the projected table; backward: its gradient
    ml_real *dgates, *carry, *dx[2]; // backward; dx: gradients of the input of a layer, by turns
} ml_scratch;

// 1 when there is dropout between the layers of this call.
int ml_drops(const ml_call *call);

// Lays out all layers; `layers` NULL only counts.
void ml_lay_out_layers(const ml_cell *cell, const ml_call *call, const ml_sizes *n, ml_arena *arena,
                       ml_layer_memory *layers);
ml_scratch ml_lay_out_scratch(const ml_cell *cell, const ml_sizes *n, int backward,
                              ml_arena *arena);

// Puts the ids and the starts of a call, where there are any, into time-major order.
void ml_arrange_ids(const ml_call *call, const ml_sizes *n, const ml_scratch *scratch);

// The input of a layer in time-major order.
const ml_real *ml_layer_input(const ml_call *call, const ml_layer_memory *layers, size_t l);

// Rows of the caller's output array (or its gradient), at the columns of one direction.
ml_rows ml_output_rows(const ml_call *call, const ml_sizes *n, ml_real *data, size_t direction);

// The same for a time-major array of our own.
ml_rows ml_own_rows(const ml_sizes *n, ml_real *data, size_t direction);

// ---- time -------------------------------------------------------------------------------------

// One direction of one layer on its way through time.
typedef struct ml_scan {
    const ml_cell *cell;
    const ml_recurrent_config *config;
    size_t T, B, H;
    ml_direction memory;
    const int64_t *ids;    // (T, B), or NULL where x lies in memory.gates
    const ml_real *table;  // (V, S, H): x of each id
    const int64_t *starts; // (T, B): not 0 where the state before a step is 0; or NULL
    const ml_real *w_hh;   // (G H, H), or NULL
    const ml_real *bias;   // (S, H): b_ih and b_hh where they are added to the same column
    ml_real *packed;       // workspace: w_hh in panels
    int from_zero;         // the initial state is 0
    ml_rows y;             // forward: the layer's output; backward: its gradient
    const ml_real *dh_n;   // (B, H) gradient of the last state, or NULL
    ml_real *carry;        // (B, H): backward only; in: gradient of the last c, out: of the first
    ml_real *dgates;       // (T, B, S, H): backward only
} ml_scan;

// Numbers that `packed` needs, in either direction.
size_t ml_scan_packed_size(const ml_cell *cell, size_t H);

// From x = W_ih x + b (in memory.gates, or in the table) and the states before the first step: all
// states, activated gates, y.
void ml_scan_forward(const ml_scan *scan);

// From y (dy), dh_n and carry: dgates and carry.
void ml_scan_backward(const ml_scan *scan);

// Puts 0 into the rows (B, H) of the sequences that start anew at the first step.
void ml_clear_started(const ml_scan *scan, ml_real *rows);

// ---- what both passes set up ------------------------------------------------------------------

// The walk of one place; y, dh_n and what its slots begin with are the caller's to fill.
ml_scan ml_make_scan(const ml_cell *cell, const ml_call *call, const ml_sizes *n,
                     const ml_scratch *s, const ml_layer_memory *memory, size_t place);

// Dropout on the input of a layer above the first, or on its gradient, in place; nothing where this
// call has none.
void ml_drop_input(const ml_call *call, const ml_sizes *n, size_t layer, ml_real *x);

#endif
