// minGRU and minLSTM (Feng et al. 2024), in the form whose candidate is above 0; the equations
// stand in kernels/cells.c.
//
// Nothing but the state itself goes from step to step, so all that multiplies is one product over
// all steps at once, and what is left of the walk through time is done by element.
#include "recurrent.h"

static ml_cell_forward_fn mingru_forward(const ml_kernels *kernels,
                                         const ml_recurrent_config *config)
{
    (void)config;
    return kernels->mingru_forward;
}

static ml_cell_backward_fn mingru_backward(const ml_kernels *kernels,
                                           const ml_recurrent_config *config)
{
    (void)config;
    return kernels->mingru_backward;
}

static ml_cell_forward_fn minlstm_forward(const ml_kernels *kernels,
                                          const ml_recurrent_config *config)
{
    (void)config;
    return kernels->minlstm_forward;
}

static ml_cell_backward_fn minlstm_backward(const ml_kernels *kernels,
                                            const ml_recurrent_config *config)
{
    (void)config;
    return kernels->minlstm_backward;
}

// Weights hold z, n; saved are the same.
static const ml_cell mingru_cell = {
    .gates = 2,
    .saved = 2,
    .elementwise = 1,
    .runs = 1,
    .input_run = {{0, 0, 2}},
    .forward = mingru_forward,
    .backward = mingru_backward,
};

// Weights hold f, i, n; saved are a_f, a_i, n.
static const ml_cell minlstm_cell = {
    .gates = 3,
    .saved = 3,
    .elementwise = 1,
    .runs = 1,
    .input_run = {{0, 0, 3}},
    .forward = minlstm_forward,
    .backward = minlstm_backward,
};

static const ml_field min_rnn_fields[] = {
    ML_RECURRENT_FIELDS,
    ML_FIELDS_END,
};

const ml_layer ml_layer_mingru = {
    .name = "mingru",
    .family = &mingru_cell,
    .fields = min_rnn_fields,
    .inputs = 4,
    .outputs = 2,
    .input = {ML_RECURRENT_INPUT, ML_RECURRENT_STATE("h_0", 1), ML_RECURRENT_IDS,
              ML_RECURRENT_STARTS},
    .output = {ML_RECURRENT_OUTPUT, ML_RECURRENT_STATE("h_n", 0)},
    ML_ELEMENTWISE_FUNCTIONS,
};

const ml_layer ml_layer_minlstm = {
    .name = "minlstm",
    .family = &minlstm_cell,
    .fields = min_rnn_fields,
    .inputs = 4,
    .outputs = 2,
    .input = {ML_RECURRENT_INPUT, ML_RECURRENT_STATE("h_0", 1), ML_RECURRENT_IDS,
              ML_RECURRENT_STARTS},
    .output = {ML_RECURRENT_OUTPUT, ML_RECURRENT_STATE("h_n", 0)},
    ML_ELEMENTWISE_FUNCTIONS,
};
