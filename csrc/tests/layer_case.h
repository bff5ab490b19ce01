// A layer with its settings and arrays, ready to run: what tests of every kind of layer share.
//
// Arrays are separate blocks of exactly their size, and begin as NaN where a layer must not read
// them: a sanitizer or a NaN in a result shows what reaches too far or reads too early.
#ifndef LAYER_CASE_H
#define LAYER_CASE_H

#include <stdlib.h>
#include <string.h>

#include "minilm.h"

#include "check.h"

enum { CASE_MAX_PARAMS = 32, CASE_MAX_SETTINGS = 12 };

typedef struct layer_case {
    const char *name;
    const char *kind;
    struct {
        const char *name;
        double value;
    } setting[CASE_MAX_SETTINGS];
    ml_array input[ML_MAX_INPUTS]; // shapes; no axes: not given
    size_t classes;                // ids are below it
    int64_t ignored;               // unless 0: every fifth id has this value
    int training;
} layer_case;

// The shape of an input: AXES(5, 3) is (5, 3).
#define AXES(...)                                                                                  \
    {                                                                                              \
        NULL, sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t), { __VA_ARGS__ }                    \
    }

typedef struct layer_run {
    const layer_case *c;
    const ml_layer *layer;
    void *config;
    size_t params;
    ml_call call;
    ml_array param[CASE_MAX_PARAMS], grad_param[CASE_MAX_PARAMS];
    unsigned char accumulate[CASE_MAX_PARAMS];
    ml_error err;
} layer_run;

// ---- memory -----------------------------------------------------------------------------------

// A block of the tests' own, filled with bytes that read as NaN.
static inline void *nan_block(size_t bytes)
{
    void *block = malloc(bytes > 0 ? bytes : 1);
    if (block == NULL)
        abort();
    return memset(block, 0xff, bytes);
}

// Gives an array its memory, all NaN.
static inline void nan_array(ml_array *array)
{
    array->data = nan_block(ml_array_size(array) * sizeof(ml_real));
}

// Numbers in (-1, 1): a function of (stream, index).
static inline void random_array(ml_array *array, uint64_t stream)
{
    nan_array(array);
    ml_real *x = array->data;
    for (size_t i = 0; i < ml_array_size(array); i++) {
        uint32_t word[4];
        ml_philox(1, stream, i, word);
        x[i] = (ml_real)(2 * ml_uniform53(word[0], word[1]) - 1);
    }
}

static inline void random_ids(ml_array *array, const layer_case *c)
{
    int64_t *id = nan_block(ml_array_size(array) * sizeof *id);
    for (size_t i = 0; i < ml_array_size(array); i++) {
        uint32_t word[4];
        ml_philox(2, 0, i, word);
        id[i] = c->ignored != 0 && i % 5 == 4 ? c->ignored : (int64_t)(word[0] % c->classes);
    }
    array->data = id;
}

// ---- a run ------------------------------------------------------------------------------------

static inline int has_gradient(const layer_run *run, size_t input)
{
    const ml_port *port = &run->layer->input[input];
    return run->call.input[input].data != NULL && port->dtype == ML_REALS && !port->constant;
}

static inline void run_make_inputs(layer_run *run)
{
    ml_call *call = &run->call;
    for (size_t i = 0; i < run->layer->inputs; i++) {
        call->input[i] = run->c->input[i];
        if (call->input[i].ndim == 0)
            continue;
        if (run->layer->input[i].dtype == ML_IDS)
            random_ids(&call->input[i], run->c);
        else
            random_array(&call->input[i], i);
        if (run->layer->input[i].dtype == ML_REALS && !has_gradient(run, i)) // weights: above 0
            for (size_t k = 0; k < ml_array_size(&call->input[i]); k++)
                ((ml_real *)call->input[i].data)[k] += 2;
    }
}

static inline void run_make_params(layer_run *run)
{
    run->params = run->layer->param_count != NULL ? run->layer->param_count(run->config) : 0;
    if (run->params > CASE_MAX_PARAMS)
        abort();
    for (size_t i = 0; i < run->params; i++) {
        ml_param_spec spec;
        run->layer->describe(run->layer, run->config, i, &spec);
        run->param[i] = (ml_array){.ndim = spec.ndim, .shape = {spec.shape[0], spec.shape[1]}};
        random_array(&run->param[i], 10 + i);
    }
    run->call.param = run->param;
    run->call.grad_param = run->grad_param;
    run->call.accumulate = run->accumulate;
}

// Makes inputs and parameters, and asks the layer for its shapes; 0 or an error.
static inline int run_open(layer_run *run, const layer_case *c, int need_grad)
{
    memset(run, 0, sizeof *run);
    run->c = c;
    run->layer = ml_layer_find(c->kind);
    run->config = nan_block(run->layer->config_size);
    ml_config_init(run->layer, run->config);
    for (size_t i = 0; c->setting[i].name != NULL; i++) {
        int code = ml_config_set(run->layer, run->config, c->setting[i].name, c->setting[i].value,
                                 &run->err);
        if (code != ML_OK)
            return code;
    }
    run->call = (ml_call){.layer = run->layer,
                          .config = run->config,
                          .training = c->training,
                          .need_grad = need_grad,
                          .seed = 11,
                          .stream = 3};
    run_make_inputs(run);
    run_make_params(run);
    return run->layer->prepare(&run->call, &run->err);
}

// Runs forward into new outputs.
static inline int run_forward(layer_run *run)
{
    ml_call *call = &run->call;
    for (size_t i = 0; i < run->layer->outputs; i++) {
        free(call->output[i].data);
        nan_array(&call->output[i]);
    }
    free(call->saved);
    call->saved = call->saved_size > 0 ? nan_block(call->saved_size) : NULL;
    call->workspace = nan_block(call->forward_size);
    int code = run->layer->forward(call, &run->err);
    free(call->workspace);
    call->workspace = NULL;
    return code;
}

// Random gradients of the outputs.
static inline void run_make_grad_outputs(layer_run *run)
{
    for (size_t i = 0; i < run->layer->outputs; i++) {
        ml_same_shape(&run->call.grad_output[i], &run->call.output[i]);
        random_array(&run->call.grad_output[i], 100 + i);
    }
}

// Room for all gradients that the layer has.
static inline void run_make_gradients(layer_run *run)
{
    for (size_t i = 0; i < run->layer->inputs; i++)
        if (has_gradient(run, i)) {
            ml_same_shape(&run->call.grad_input[i], &run->call.input[i]);
            nan_array(&run->call.grad_input[i]);
        }
    for (size_t i = 0; i < run->params; i++) {
        ml_same_shape(&run->grad_param[i], &run->param[i]);
        nan_array(&run->grad_param[i]);
    }
}

static inline int run_backward(layer_run *run)
{
    run->call.workspace = nan_block(run->call.backward_size);
    int code = run->layer->backward(&run->call, &run->err);
    free(run->call.workspace);
    run->call.workspace = NULL;
    return code;
}

static inline void run_close(layer_run *run)
{
    for (size_t i = 0; i < ML_MAX_INPUTS; i++) {
        free(run->call.input[i].data);
        free(run->call.grad_input[i].data);
    }
    for (size_t i = 0; i < ML_MAX_OUTPUTS; i++) {
        free(run->call.output[i].data);
        free(run->call.grad_output[i].data);
    }
    for (size_t i = 0; i < run->params; i++) {
        free(run->param[i].data);
        free(run->grad_param[i].data);
    }
    free(run->call.saved);
    free(run->config);
}

// A CHECK that names the case when it fails.
#define CHECK_CASE(c, condition)                                                                   \
    (CHECK(condition) || (fprintf(stderr, "    in %s, %s\n", (c)->kind, (c)->name), 0))

#endif
