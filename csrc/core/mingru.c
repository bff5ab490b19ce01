// minGRU (Feng et al. 2024), in the form whose candidate is above 0; the equations stand in
// kernels/cells.c.
//
// Nothing but the state itself goes from step to step, so all that multiplies is one product over
// all steps at once, and what is left of the walk through time is done by element.
#include "recurrent.h"

static ml_cell_forward_fn forward_kernel(const ml_kernels *kernels,
                                         const ml_recurrent_config *config)
{
    (void)config;
    return kernels->mingru_forward;
}

static ml_cell_backward_fn backward_kernel(const ml_kernels *kernels,
                                           const ml_recurrent_config *config)
{
    (void)config;
    return kernels->mingru_backward;
}

// Weights hold the gates as z, n; saved are the same.
static const ml_cell mingru_cell = {
    .gates = 2,
    .saved = 2,
    .elementwise = 1,
    .runs = 1,
    .input_run = {{0, 0, 2}},
    .forward = forward_kernel,
    .backward = backward_kernel,
};

static const ml_field mingru_fields[] = {
    ML_RECURRENT_FIELDS,
    ML_FIELDS_END,
};

const ml_layer ml_layer_mingru = {
    .name = "mingru",
    .family = &mingru_cell,
    .fields = mingru_fields,
    .inputs = 4,
    .outputs = 2,
    .input = {ML_RECURRENT_INPUT, ML_RECURRENT_STATE("h_0", 1), ML_RECURRENT_IDS,
              ML_RECURRENT_STARTS},
    .output = {ML_RECURRENT_OUTPUT, ML_RECURRENT_STATE("h_n", 0)},
    ML_ELEMENTWISE_FUNCTIONS,
};
