// The engine of the recurrent layers: layers, directions, time and dropout are the same for all of
// them; rnn.c, lstm.c, gru.c, mingru.c and minlstm.c say what a cell does.
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

typedef void (*ml_cell_forward_fn)(const ml_cell_forward *step);
typedef void (*ml_cell_backward_fn)(const ml_cell_backward *step);

// What a layer's `family` points to.
typedef struct ml_cell {
    size_t gates;    // G: W_ih is (G H, E), W_hh (G H, H)
    size_t saved;    // S: columns of H numbers that a step keeps for backward
    int has_c;       // a cell state beside h
    int elementwise; // no W_hh, no b_hh: the state before enters unit by unit
    size_t runs;
    ml_gate_run input_run[2]; // the G columns that W_ih x goes to
    size_t hidden_column;     // the G columns from here on belong to W_hh, in its order
    ml_cell_forward_fn (*forward)(const ml_kernels *kernels, const ml_recurrent_config *config);
    ml_cell_backward_fn (*backward)(const ml_kernels *kernels, const ml_recurrent_config *config);
} ml_cell;

// The ids that choose rows of the input, and the steps that start anew; data NULL: there are none.
const ml_array *ml_ids_of(const ml_call *call);
const ml_array *ml_starts_of(const ml_call *call);

// The functions of a table entry.
int ml_recurrent_check(const void *config, ml_error *err);
size_t ml_recurrent_param_count(const void *config);
size_t ml_elementwise_param_count(const void *config);
void ml_recurrent_describe(const ml_layer *layer, const void *config, size_t index,
                           ml_param_spec *param);
int ml_recurrent_prepare(ml_call *call, ml_error *err);
int ml_recurrent_forward(ml_call *call, ml_error *err);
int ml_recurrent_backward(ml_call *call, ml_error *err);

#define ML_CELL_FUNCTIONS(count)                                                                   \
    .config_size = sizeof(ml_recurrent_config), .check = ml_recurrent_check, .param_count = count, \
    .describe = ml_recurrent_describe, .prepare = ml_recurrent_prepare,                            \
    .forward = ml_recurrent_forward, .backward = ml_recurrent_backward
#define ML_RECURRENT_FUNCTIONS ML_CELL_FUNCTIONS(ml_recurrent_param_count)
#define ML_ELEMENTWISE_FUNCTIONS ML_CELL_FUNCTIONS(ml_elementwise_param_count)

#define ML_RECURRENT_FIELDS                                                                        \
    ML_REQUIRED(ML_FIELD_SIZE, ml_recurrent_config, input_size),                                   \
        ML_REQUIRED(ML_FIELD_SIZE, ml_recurrent_config, hidden_size),                              \
        ML_OPTIONAL(ML_FIELD_SIZE, ml_recurrent_config, num_layers, 1),                            \
        ML_OPTIONAL(ML_FIELD_FLAG, ml_recurrent_config, bias, 1),                                  \
        ML_OPTIONAL(ML_FIELD_FLAG, ml_recurrent_config, batch_first, 0),                           \
        ML_OPTIONAL(ML_FIELD_FLAG, ml_recurrent_config, bidirectional, 0),                         \
        ML_OPTIONAL(ML_FIELD_REAL, ml_recurrent_config, dropout, 0)

// The ports. With `ids` given, `input` is a table (V, input_size) of which they choose rows: the
// layer does the work of the embedding below it, too. It projects each row of the table once,
// rather than each step of each sequence, which is less work where there are fewer rows than steps.
// Where `starts` is not 0, a sequence starts anew: the step reads a state of 0, and no gradient goes
// to the steps before it. For layers of one direction.
#define ML_RECURRENT_INPUT {"input", "(time, batch, input_size)", ML_REALS, 0}
#define ML_RECURRENT_OUTPUT {"output", "(time, batch, directions * hidden_size)", ML_REALS, 0}
#define ML_RECURRENT_IDS {"ids", "(time, batch)", ML_IDS, 1}
#define ML_RECURRENT_STARTS {"starts", "(time, batch)", ML_IDS, 1}
#define ML_RECURRENT_STATE(name, optional)                                                         \
    {name, "(layers * directions, batch, hidden_size)", ML_REALS, optional}

#endif
