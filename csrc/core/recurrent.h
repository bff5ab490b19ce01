// The engine of the recurrent layers: layers, directions, time and dropout are the same for all of
// them; rnn.c, lstm.c and gru.c say what a cell does.
#ifndef ML_RECURRENT_H
#define ML_RECURRENT_H

#include "kernels/kernels.h"
#include "layer.h"

typedef struct ml_recurrent_config {
    size_t input_size, hidden_size, num_layers; // E, H, L
    int bias, batch_first, bidirectional;
    double dropout; // between layers, in training
    int relu;       // rnn alone
} ml_recurrent_config;

// Some gates side by side: columns of the saved gates, and the rows of W_ih that they belong to,
// both counted in gates.
typedef struct ml_gate_run {
    size_t column, row, count;
} ml_gate_run;

typedef struct ml_cell {
    const char *name;
    size_t gates;             // G: W_ih is (G H, E), W_hh (G H, H)
    size_t saved;             // S: columns of H numbers that a step keeps for backward
    int has_c;                // a cell state beside h
    size_t runs;
    ml_gate_run input_run[2]; // the G columns that W_ih x goes to
    size_t hidden_column;     // the G columns from here on belong to W_hh, in its order
    void (*(*forward)(const ml_kernels *, const ml_recurrent_config *))(const ml_cell_forward *);
    void (*(*backward)(const ml_kernels *, const ml_recurrent_config *))(const ml_cell_backward *);
} ml_cell;

int ml_recurrent_check(const void *config, ml_error *err);
size_t ml_recurrent_param_count(const void *config);
void ml_recurrent_describe(const ml_cell *cell, const void *config, size_t index, ml_param_spec *param);
int ml_recurrent_prepare(const ml_cell *cell, ml_call *call, ml_error *err);
int ml_recurrent_forward(const ml_cell *cell, ml_call *call, ml_error *err);
int ml_recurrent_backward(const ml_cell *cell, ml_call *call, ml_error *err);

#define ML_RECURRENT_FIELDS                                                                        \
    ML_REQUIRED(ML_FIELD_SIZE, ml_recurrent_config, input_size),                                   \
        ML_REQUIRED(ML_FIELD_SIZE, ml_recurrent_config, hidden_size),                              \
        ML_OPTIONAL(ML_FIELD_SIZE, ml_recurrent_config, num_layers, 1),                            \
        ML_OPTIONAL(ML_FIELD_FLAG, ml_recurrent_config, bias, 1),                                  \
        ML_OPTIONAL(ML_FIELD_FLAG, ml_recurrent_config, batch_first, 0),                           \
        ML_OPTIONAL(ML_FIELD_FLAG, ml_recurrent_config, bidirectional, 0),                         \
        ML_OPTIONAL(ML_FIELD_REAL, ml_recurrent_config, dropout, 0)

// ---- inside the engine: recurrent.c (layers) and recurrent_scan.c (time) ------------------------

// What one direction of one layer keeps. The states have a slot before each step and one after the
// last: a step at time t reads slot t and writes slot t + 1, or, in the reverse direction, reads
// slot t + 1 and writes slot t. So the states that the steps read lie in one piece.
typedef struct ml_direction {
    int reverse;
    ml_real *gates; // (T, B, S, H)
    ml_real *h;     // (T + 1, B, H)
    ml_real *c;     // (T + 1, B, H), or NULL
} ml_direction;

// Rows of a sequence in memory: the one of time t and batch b begins at data + t * time + b * batch.
typedef struct ml_rows {
    ml_real *data; // NULL: none
    size_t time, batch;
} ml_rows;

// One direction of one layer on its way through time.
typedef struct ml_scan {
    const ml_cell *cell;
    const ml_recurrent_config *config;
    size_t T, B, H;
    ml_direction memory;
    const ml_real *w_hh;  // (G H, H)
    const ml_real *bias;  // (S, H): b_ih and b_hh where they are added to the same column
    ml_real *packed;      // workspace: w_hh in panels
    int from_zero;        // the initial state is 0
    ml_rows y;            // forward: the layer's output; backward: its gradient
    const ml_real *dh_n;  // (B, H) gradient of the last state, or NULL
    ml_real *carry;       // (B, H): backward only; in: gradient of the last c, out: of the first
    ml_real *dgates;      // (T, B, S, H): backward only
} ml_scan;

// Numbers that `packed` needs, in either direction.
size_t ml_scan_packed_size(const ml_cell *cell, size_t H);

// From W_ih x in memory.gates, and the initial states in their slots: all states, activated gates, y.
void ml_scan_forward(const ml_scan *scan);

// From y (dy), dh_n and carry: dgates and carry.
void ml_scan_backward(const ml_scan *scan);

// Slots of the state that the step at time t reads and writes.
size_t ml_slot_before(const ml_direction *memory, size_t t);
size_t ml_slot_after(const ml_direction *memory, size_t t);

#endif
