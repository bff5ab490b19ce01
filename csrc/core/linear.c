// y = x W^T + b, for any leading axes of x, taken together as N rows; `transposed`, the weight lies
// in memory as W^T
#include "gemm.h"
#include "layer.h"
#include "rows.h"

typedef struct linear_config {
    size_t in_features, out_features; // I, O
    int bias;
    int transposed; // the weight is stored as (I, O), as GPT-2's files have it
} linear_config;

static const ml_field linear_fields[] = {
    ML_REQUIRED(ML_FIELD_SIZE, linear_config, in_features),
    ML_REQUIRED(ML_FIELD_SIZE, linear_config, out_features),
    ML_OPTIONAL(ML_FIELD_FLAG, linear_config, bias, 1),
    ML_OPTIONAL(ML_FIELD_FLAG, linear_config, transposed, 0),
    ML_FIELDS_END,
};

static size_t linear_param_count(const void *config)
{
    const linear_config *c = config;
    return c->bias ? 2 : 1;
}

static void linear_describe(const ml_layer *layer, const void *config, size_t index,
                            ml_param_spec *param)
{
    (void)layer;
    const linear_config *c = config;
    if (index == 0 && c->transposed)
        *param = (ml_param_spec){"weight", 2, {c->in_features, c->out_features}};
    else if (index == 0)
        *param = (ml_param_spec){"weight", 2, {c->out_features, c->in_features}};
    else
        *param = (ml_param_spec){"bias", 1, {c->out_features}};
}

static int linear_prepare(ml_call *call, ml_error *err)
{
    const linear_config *c = call->config;
    const ml_array *x = &call->input[0];
    char text[96];
    if (x->ndim < 1 || x->shape[x->ndim - 1] != c->in_features)
        return ml_fail(err, ML_ERR_SHAPE, "linear: input: expected (..., in_features=%zu), got %s",
                       c->in_features, ml_shape_text(x, text, sizeof text));
    ml_same_shape(&call->output[0], x);
    call->output[0].shape[x->ndim - 1] = c->out_features;
    return ML_OK;
}

static int linear_forward(ml_call *call, ml_error *err)
{
    const linear_config *c = call->config;
    const size_t I = c->in_features, O = c->out_features, N = ml_array_size(&call->input[0]) / I;
    const ml_real *x = call->input[0].data;      // (N, I)
    const ml_real *weight = call->param[0].data; // (O, I), transposed (I, O)
    ml_real *y = call->output[0].data;           // (N, O)
    return ml_gemm_bias(ML_NO_TRANS, c->transposed ? ML_NO_TRANS : ML_TRANS, N, O, I, x, I, weight,
                        c->transposed ? O : I, c->bias ? call->param[1].data : NULL, y, O, err);
}

// dx = dy W          dW = dy^T x          db = sum_n dy[n]          transposed: dW^T = x^T dy
static int linear_backward(ml_call *call, ml_error *err)
{
    const linear_config *c = call->config;
    const size_t I = c->in_features, O = c->out_features, N = ml_array_size(&call->input[0]) / I;
    const ml_real *x = call->input[0].data;        // (N, I)
    const ml_real *weight = call->param[0].data;   // (O, I), transposed (I, O)
    const ml_real *dy = call->grad_output[0].data; // (N, O)
    ml_real *dx = call->grad_input[0].data;        // (N, I)
    ml_real *dweight = call->grad_param[0].data;   // as the weight
    int code = ML_OK;
    if (dx != NULL)
        code = ml_gemm(ML_NO_TRANS, c->transposed ? ML_TRANS : ML_NO_TRANS, N, I, O, dy, O, weight,
                       c->transposed ? O : I, 0, dx, I, err);
    if (code == ML_OK && dweight != NULL && c->transposed)
        code = ml_gemm(ML_TRANS, ML_NO_TRANS, I, O, N, x, I, dy, O, call->accumulate[0], dweight, O,
                       err);
    else if (code == ML_OK && dweight != NULL)
        code = ml_gemm(ML_TRANS, ML_NO_TRANS, O, I, N, dy, O, x, I, call->accumulate[0], dweight, I,
                       err);
    if (code == ML_OK && c->bias && call->grad_param[1].data != NULL)
        ml_column_sums(N, O, O, dy, call->accumulate[1], call->grad_param[1].data);
    return code;
}

const ml_layer ml_layer_linear = {
    .name = "linear",
    .config_size = sizeof(linear_config),
    .fields = linear_fields,
    .inputs = 1,
    .outputs = 1,
    .input = {{"input", "(..., in_features)", ML_REALS, 0}},
    .output = {{"output", "(..., out_features)", ML_REALS, 0}},
    .param_count = linear_param_count,
    .describe = linear_describe,
    .prepare = linear_prepare,
    .forward = linear_forward,
    .backward = linear_backward,
};
