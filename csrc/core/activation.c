// A function of each element.
#include "activation.h"

#include "kernels/kernels.h"
#include "layer.h"
#include "pool.h"
#include "rows.h"

const char *ml_activation_name(int function)
{
    static const char *const names[ML_ACTIVATION_COUNT] = {"tanh", "sigmoid",   "relu",
                                                           "gelu", "gelu_tanh", "silu"};
    return function >= 0 && function < ML_ACTIVATION_COUNT ? names[function] : NULL;
}

typedef struct activation_config {
    int64_t function;
} activation_config;

static const ml_field activation_fields[] = {
    ML_REQUIRED(ML_FIELD_INT, activation_config, function),
    ML_FIELDS_END,
};

static int activation_check(const void *config, ml_error *err)
{
    const activation_config *c = config;
    if (c->function < 0 || c->function >= ML_ACTIVATION_COUNT)
        return ml_fail(err, ML_ERR_VALUE, "activation: function: expected 0..%d, got %lld",
                       ML_ACTIVATION_COUNT - 1, (long long)c->function);
    return ML_OK;
}

static int activation_prepare(ml_call *call, ml_error *err)
{
    (void)err;
    ml_same_shape(&call->output[0], &call->input[0]);
    return ML_OK;
}

static void forward_range(void *ctx, size_t begin, size_t end)
{
    const ml_call *call = ctx;
    const activation_config *c = call->config;
    const ml_real *x = call->input[0].data;
    ml_real *y = call->output[0].data;
    ml_kernels_get()->activation_forward((int)c->function, end - begin, x + begin, y + begin);
}

static void backward_range(void *ctx, size_t begin, size_t end)
{
    const ml_call *call = ctx;
    const activation_config *c = call->config;
    const ml_real *x = call->input[0].data, *y = call->output[0].data;
    const ml_real *dy = call->grad_output[0].data;
    ml_real *dx = call->grad_input[0].data;
    ml_kernels_get()->activation_backward((int)c->function, end - begin, x + begin, y + begin,
                                          dy + begin, dx + begin);
}

static int activation_forward(ml_call *call, ml_error *err)
{
    (void)err;
    ml_parallel_ranges(ml_array_size(&call->input[0]), ML_GRAIN, forward_range, call);
    return ML_OK;
}

static int activation_backward(ml_call *call, ml_error *err)
{
    (void)err;
    if (call->grad_input[0].data != NULL)
        ml_parallel_ranges(ml_array_size(&call->input[0]), ML_GRAIN, backward_range, call);
    return ML_OK;
}

const ml_layer ml_layer_activation = {
    .name = "activation",
    .config_size = sizeof(activation_config),
    .fields = activation_fields,
    .inputs = 1,
    .outputs = 1,
    .input = {{"input", "(...)", ML_REALS, 0}},
    .output = {{"output", "(...)", ML_REALS, 0}},
    .check = activation_check,
    .prepare = activation_prepare,
    .forward = activation_forward,
    .backward = activation_backward,
};
