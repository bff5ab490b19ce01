// The gated recurrent unit (Cho et al. 2014), with the reset gate after the product as in PyTorch;
// the equations stand in kernels/cells.c.
#include "recurrent.h"

static ml_cell_forward_fn forward_kernel(const ml_kernels *kernels,
                                         const ml_recurrent_config *config)
{
    (void)config;
    return kernels->gru_forward;
}

static ml_cell_backward_fn backward_kernel(const ml_kernels *kernels,
                                           const ml_recurrent_config *config)
{
    (void)config;
    return kernels->gru_backward;
}

// Weights hold the gates as r, z, n. Saved are n, r, z, q, where q = W_hn h + b_hn: W_ih's columns
// are the first three, W_hh's the last three, in its own order.
static const ml_cell gru_cell = {
    .gates = 3,
    .saved = 4,
    .runs = 2,
    .input_run = {{1, 0, 2}, {0, 2, 1}},
    .hidden_column = 1,
    .forward = forward_kernel,
    .backward = backward_kernel,
};

static const ml_field gru_fields[] = {
    ML_RECURRENT_FIELDS,
    ML_FIELDS_END,
};

const ml_layer ml_layer_gru = {
    .name = "gru",
    .family = &gru_cell,
    .fields = gru_fields,
    .inputs = 4,
    .outputs = 2,
    .input = {ML_RECURRENT_INPUT, ML_RECURRENT_STATE("h_0", 1), ML_RECURRENT_IDS,
              ML_RECURRENT_STARTS},
    .output = {ML_RECURRENT_OUTPUT, ML_RECURRENT_STATE("h_n", 0)},
    ML_RECURRENT_FUNCTIONS,
};
