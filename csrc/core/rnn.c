// The Elman network:   h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu of it
#include "recurrent.h"

static ml_cell_forward_fn forward_kernel(const ml_kernels *kernels,
                                         const ml_recurrent_config *config)
{
    return config->relu ? kernels->rnn_relu_forward : kernels->rnn_tanh_forward;
}

static ml_cell_backward_fn backward_kernel(const ml_kernels *kernels,
                                           const ml_recurrent_config *config)
{
    return config->relu ? kernels->rnn_relu_backward : kernels->rnn_tanh_backward;
}

static const ml_cell rnn_cell = {
    .gates = 1,
    .saved = 1,
    .runs = 1,
    .input_run = {{0, 0, 1}},
    .hidden_column = 0,
    .forward = forward_kernel,
    .backward = backward_kernel,
};

static const ml_field rnn_fields[] = {
    ML_RECURRENT_FIELDS,
    ML_OPTIONAL(ML_FIELD_FLAG, ml_recurrent_config, relu, 0),
    ML_FIELDS_END,
};

const ml_layer ml_layer_rnn = {
    .name = "rnn",
    .family = &rnn_cell,
    .fields = rnn_fields,
    .inputs = 4,
    .outputs = 2,
    .input = {ML_RECURRENT_INPUT, ML_RECURRENT_STATE("h_0", 1), ML_RECURRENT_IDS,
              ML_RECURRENT_STARTS},
    .output = {ML_RECURRENT_OUTPUT, ML_RECURRENT_STATE("h_n", 0)},
    ML_RECURRENT_FUNCTIONS,
};
