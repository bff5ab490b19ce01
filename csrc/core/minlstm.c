// minLSTM (Feng et al. 2024), as mingru.c; the equations stand in kernels/cells.c.
#include "recurrent.h"

static ml_cell_forward_fn forward_kernel(const ml_kernels *kernels,
                                         const ml_recurrent_config *config)
{
    (void)config;
    return kernels->minlstm_forward;
}

static ml_cell_backward_fn backward_kernel(const ml_kernels *kernels,
                                           const ml_recurrent_config *config)
{
    (void)config;
    return kernels->minlstm_backward;
}

// Weights hold the gates as f, i, n. Saved are a_f, a_i, n: the logits, of which backward takes the
// shares again.
static const ml_cell minlstm_cell = {
    .gates = 3,
    .saved = 3,
    .elementwise = 1,
    .runs = 1,
    .input_run = {{0, 0, 3}},
    .forward = forward_kernel,
    .backward = backward_kernel,
};

static const ml_field minlstm_fields[] = {
    ML_RECURRENT_FIELDS,
    ML_FIELDS_END,
};

const ml_layer ml_layer_minlstm = {
    .name = "minlstm",
    .family = &minlstm_cell,
    .fields = minlstm_fields,
    .inputs = 4,
    .outputs = 2,
    .input = {ML_RECURRENT_INPUT, ML_RECURRENT_STATE("h_0", 1), ML_RECURRENT_IDS,
              ML_RECURRENT_STARTS},
    .output = {ML_RECURRENT_OUTPUT, ML_RECURRENT_STATE("h_n", 0)},
    ML_ELEMENTWISE_FUNCTIONS,
};
