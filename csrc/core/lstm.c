// Long short-term memory (Hochreiter & Schmidhuber 1997); the equations stand in kernels/cells.c.
#include "recurrent.h"

static ml_cell_forward_fn forward_kernel(const ml_kernels *kernels,
                                         const ml_recurrent_config *config)
{
    (void)config;
    return kernels->lstm_forward;
}

static ml_cell_backward_fn backward_kernel(const ml_kernels *kernels,
                                           const ml_recurrent_config *config)
{
    (void)config;
    return kernels->lstm_backward;
}

// Gates i, f, g, o, in the weights and saved.
static const ml_cell lstm_cell = {
    .gates = 4,
    .saved = 4,
    .has_c = 1,
    .runs = 1,
    .input_run = {{0, 0, 4}},
    .hidden_column = 0,
    .forward = forward_kernel,
    .backward = backward_kernel,
};

static const ml_field lstm_fields[] = {
    ML_RECURRENT_FIELDS,
    ML_FIELDS_END,
};

const ml_layer ml_layer_lstm = {
    .name = "lstm",
    .family = &lstm_cell,
    .fields = lstm_fields,
    .inputs = 5,
    .outputs = 3,
    .input = {ML_RECURRENT_INPUT, ML_RECURRENT_STATE("h_0", 1), ML_RECURRENT_STATE("c_0", 1),
              ML_RECURRENT_IDS, ML_RECURRENT_STARTS},
    .output = {ML_RECURRENT_OUTPUT, ML_RECURRENT_STATE("h_n", 0), ML_RECURRENT_STATE("c_n", 0)},
    ML_RECURRENT_FUNCTIONS,
};
