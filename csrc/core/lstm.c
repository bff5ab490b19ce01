// Long short-term memory (Hochreiter & Schmidhuber 1997); the equations stand in kernels/cells.c.
#include "recurrent.h"

static void (*lstm_forward_kernel(const ml_kernels *k, const ml_recurrent_config *c))(const ml_cell_forward *)
{
    (void)c;
    return k->lstm_forward;
}

static void (*lstm_backward_kernel(const ml_kernels *k, const ml_recurrent_config *c))(const ml_cell_backward *)
{
    (void)c;
    return k->lstm_backward;
}

// Gates i, f, g, o, in the weights and saved.
static const ml_cell lstm_cell = {
    .name = "lstm",
    .gates = 4,
    .saved = 4,
    .has_c = 1,
    .runs = 1,
    .input_run = {{0, 0, 4}},
    .hidden_column = 0,
    .forward = lstm_forward_kernel,
    .backward = lstm_backward_kernel,
};

static const ml_field lstm_fields[] = {ML_RECURRENT_FIELDS, ML_FIELDS_END};

static void lstm_describe(const void *config, size_t index, ml_param_spec *param)
{
    ml_recurrent_describe(&lstm_cell, config, index, param);
}
static int lstm_prepare(ml_call *call, ml_error *err) { return ml_recurrent_prepare(&lstm_cell, call, err); }
static int lstm_forward(ml_call *call, ml_error *err) { return ml_recurrent_forward(&lstm_cell, call, err); }
static int lstm_backward(ml_call *call, ml_error *err) { return ml_recurrent_backward(&lstm_cell, call, err); }

const ml_layer ml_layer_lstm = {
    .name = "lstm",
    .config_size = sizeof(ml_recurrent_config),
    .fields = lstm_fields,
    .inputs = 3,
    .outputs = 3,
    .input = {{"input", "(time, batch, input_size)", ML_REALS, 0},
              {"h_0", "(layers * directions, batch, hidden_size)", ML_REALS, 1},
              {"c_0", "(layers * directions, batch, hidden_size)", ML_REALS, 1}},
    .output = {{"output", "(time, batch, directions * hidden_size)", ML_REALS, 0},
               {"h_n", "(layers * directions, batch, hidden_size)", ML_REALS, 0},
               {"c_n", "(layers * directions, batch, hidden_size)", ML_REALS, 0}},
    .check = ml_recurrent_check,
    .param_count = ml_recurrent_param_count,
    .describe = lstm_describe,
    .prepare = lstm_prepare,
    .forward = lstm_forward,
    .backward = lstm_backward,
};
