// The gated recurrent unit (Cho et al. 2014), with the reset gate after the product as in PyTorch;
// the equations stand in kernels/cells.c.
#include "recurrent.h"

static void (*gru_forward_kernel(const ml_kernels *k, const ml_recurrent_config *c))(const ml_cell_forward *)
{
    (void)c;
    return k->gru_forward;
}

static void (*gru_backward_kernel(const ml_kernels *k, const ml_recurrent_config *c))(const ml_cell_backward *)
{
    (void)c;
    return k->gru_backward;
}

// Weights hold the gates as r, z, n. Saved are n, r, z, q, where q = W_hn h + b_hn: W_ih's columns are
// the first three, W_hh's the last three, in its own order.
static const ml_cell gru_cell = {
    .name = "gru",
    .gates = 3,
    .saved = 4,
    .runs = 2,
    .input_run = {{1, 0, 2}, {0, 2, 1}},
    .hidden_column = 1,
    .forward = gru_forward_kernel,
    .backward = gru_backward_kernel,
};

static const ml_field gru_fields[] = {ML_RECURRENT_FIELDS, ML_FIELDS_END};

static void gru_describe(const void *config, size_t index, ml_param_spec *param)
{
    ml_recurrent_describe(&gru_cell, config, index, param);
}
static int gru_prepare(ml_call *call, ml_error *err) { return ml_recurrent_prepare(&gru_cell, call, err); }
static int gru_forward(ml_call *call, ml_error *err) { return ml_recurrent_forward(&gru_cell, call, err); }
static int gru_backward(ml_call *call, ml_error *err) { return ml_recurrent_backward(&gru_cell, call, err); }

const ml_layer ml_layer_gru = {
    .name = "gru",
    .config_size = sizeof(ml_recurrent_config),
    .fields = gru_fields,
    .inputs = 2,
    .outputs = 2,
    .input = {{"input", "(time, batch, input_size)", ML_REALS, 0},
              {"h_0", "(layers * directions, batch, hidden_size)", ML_REALS, 1}},
    .output = {{"output", "(time, batch, directions * hidden_size)", ML_REALS, 0},
               {"h_n", "(layers * directions, batch, hidden_size)", ML_REALS, 0}},
    .check = ml_recurrent_check,
    .param_count = ml_recurrent_param_count,
    .describe = gru_describe,
    .prepare = gru_prepare,
    .forward = gru_forward,
    .backward = gru_backward,
};
