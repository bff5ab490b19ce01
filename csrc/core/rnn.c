// The Elman network:   h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu of it
#include "recurrent.h"

static void (*rnn_forward_kernel(const ml_kernels *k, const ml_recurrent_config *c))(const ml_cell_forward *)
{
    return c->relu ? k->rnn_relu_forward : k->rnn_tanh_forward;
}

static void (*rnn_backward_kernel(const ml_kernels *k, const ml_recurrent_config *c))(const ml_cell_backward *)
{
    return c->relu ? k->rnn_relu_backward : k->rnn_tanh_backward;
}

static const ml_cell rnn_cell = {
    .name = "rnn",
    .gates = 1,
    .saved = 1,
    .runs = 1,
    .input_run = {{0, 0, 1}},
    .hidden_column = 0,
    .forward = rnn_forward_kernel,
    .backward = rnn_backward_kernel,
};

static const ml_field rnn_fields[] = {
    ML_RECURRENT_FIELDS,
    ML_OPTIONAL(ML_FIELD_FLAG, ml_recurrent_config, relu, 0),
    ML_FIELDS_END,
};

static void rnn_describe(const void *config, size_t index, ml_param_spec *param)
{
    ml_recurrent_describe(&rnn_cell, config, index, param);
}
static int rnn_prepare(ml_call *call, ml_error *err) { return ml_recurrent_prepare(&rnn_cell, call, err); }
static int rnn_forward(ml_call *call, ml_error *err) { return ml_recurrent_forward(&rnn_cell, call, err); }
static int rnn_backward(ml_call *call, ml_error *err) { return ml_recurrent_backward(&rnn_cell, call, err); }

const ml_layer ml_layer_rnn = {
    .name = "rnn",
    .config_size = sizeof(ml_recurrent_config),
    .fields = rnn_fields,
    .inputs = 2,
    .outputs = 2,
    .input = {{"input", "(time, batch, input_size)", ML_REALS, 0},
              {"h_0", "(layers * directions, batch, hidden_size)", ML_REALS, 1}},
    .output = {{"output", "(time, batch, directions * hidden_size)", ML_REALS, 0},
               {"h_n", "(layers * directions, batch, hidden_size)", ML_REALS, 0}},
    .check = ml_recurrent_check,
    .param_count = ml_recurrent_param_count,
    .describe = rnn_describe,
    .prepare = rnn_prepare,
    .forward = rnn_forward,
    .backward = rnn_backward,
};
