// Layer normalisation over the last axis.
#include "kernels/kernels.h"
#include "layer.h"
#include "pool.h"
#include "rows.h"
#include "workspace.h"

typedef struct layernorm_config {
    size_t normalized_size; // C
    double eps;
    int affine, bias; // bias counts only with affine
} layernorm_config;

static const ml_field layernorm_fields[] = {
    ML_REQUIRED(ML_FIELD_SIZE, layernorm_config, normalized_size),
    ML_OPTIONAL(ML_FIELD_REAL, layernorm_config, eps, 1e-5),
    ML_OPTIONAL(ML_FIELD_FLAG, layernorm_config, affine, 1),
    ML_OPTIONAL(ML_FIELD_FLAG, layernorm_config, bias, 1),
    ML_FIELDS_END,
};

static size_t layernorm_param_count(const void *config)
{
    const layernorm_config *c = config;
    return !c->affine ? 0 : c->bias ? 2 : 1;
}

static void layernorm_describe(const ml_layer *layer, const void *config, size_t index,
                               ml_param_spec *param)
{
    (void)layer;
    const layernorm_config *c = config;
    if (index == 0)
        *param = (ml_param_spec){"weight", 1, {c->normalized_size}};
    else
        *param = (ml_param_spec){"bias", 1, {c->normalized_size}};
}

static size_t row_count(const ml_call *call)
{
    const layernorm_config *c = call->config;
    return ml_array_size(&call->input[0]) / c->normalized_size;
}

// Each row's mean and 1 / standard deviation, in `saved`.
typedef struct row_statistics {
    ml_real *mean; // (N)
    ml_real *rstd; // (N)
} row_statistics;

static row_statistics lay_out(size_t rows, void *base, size_t *size)
{
    ml_arena arena = {.base = base};
    row_statistics statistics;
    statistics.mean = ml_arena_reals(&arena, rows);
    statistics.rstd = ml_arena_reals(&arena, rows);
    if (size != NULL)
        *size = arena.used;
    return statistics;
}

static int layernorm_prepare(ml_call *call, ml_error *err)
{
    const layernorm_config *c = call->config;
    const ml_array *x = &call->input[0];
    char text[96];
    if (x->ndim < 1 || x->shape[x->ndim - 1] != c->normalized_size)
        return ml_fail(err, ML_ERR_SHAPE,
                       "layernorm: input: expected (..., normalized_size=%zu), got %s",
                       c->normalized_size, ml_shape_text(x, text, sizeof text));
    ml_same_shape(&call->output[0], x);
    lay_out(row_count(call), NULL, &call->saved_size);
    return ML_OK;
}

static const ml_real *parameter(const ml_call *call, size_t index)
{
    return index < layernorm_param_count(call->config) ? call->param[index].data : NULL;
}

static void forward_rows(void *ctx, size_t begin, size_t end)
{
    const ml_call *call = ctx;
    const layernorm_config *c = call->config;
    const size_t C = c->normalized_size;
    const row_statistics s = lay_out(row_count(call), call->saved, NULL);
    const ml_real *x = call->input[0].data; // (N, C)
    ml_real *y = call->output[0].data;      // (N, C)
    for (size_t n = begin; n < end; n++)
        ml_kernels_get()->layernorm_row(C, (ml_real)c->eps, x + n * C, parameter(call, 0),
                                        parameter(call, 1), y + n * C, s.mean + n, s.rstd + n);
}

static int layernorm_forward(ml_call *call, ml_error *err)
{
    (void)err;
    const layernorm_config *c = call->config;
    ml_parallel_ranges(row_count(call), ml_norm_grain(c->normalized_size), forward_rows, call);
    return ML_OK;
}

static void backward_rows(void *ctx, size_t begin, size_t end)
{
    const ml_call *call = ctx;
    const layernorm_config *c = call->config;
    const size_t C = c->normalized_size;
    const row_statistics s = lay_out(row_count(call), call->saved, NULL);
    const ml_real *x = call->input[0].data, *dy = call->grad_output[0].data; // (N, C)
    ml_real *dx = call->grad_input[0].data;                                  // (N, C)
    for (size_t n = begin; n < end; n++)
        ml_kernels_get()->layernorm_row_backward(C, x + n * C, s.mean[n], s.rstd[n],
                                                 parameter(call, 0), dy + n * C, dx + n * C);
}

static void backward_columns(void *ctx, size_t begin, size_t end)
{
    const ml_call *call = ctx;
    const layernorm_config *c = call->config;
    const size_t N = row_count(call);
    const row_statistics s = lay_out(N, call->saved, NULL);
    const ml_real *x = call->input[0].data, *dy = call->grad_output[0].data; // (N, C)
    ml_real *dweight = call->grad_param[0].data;                             // (C)
    ml_kernels_get()->layernorm_columns_backward(N, end - begin, c->normalized_size, x + begin,
                                                 s.mean, s.rstd, dy + begin, dweight + begin);
}

static int layernorm_backward(ml_call *call, ml_error *err)
{
    (void)err;
    const layernorm_config *c = call->config;
    const size_t C = c->normalized_size, N = row_count(call);
    if (call->grad_input[0].data != NULL)
        ml_parallel_ranges(N, ml_norm_grain(C), backward_rows, call);
    if (c->affine && call->grad_param[0].data != NULL) {
        if (!call->accumulate[0])
            ml_clear(&call->grad_param[0]);
        ml_parallel_ranges(C, 64, backward_columns, call);
    }
    if (c->affine && c->bias && call->grad_param[1].data != NULL)
        ml_column_sums(N, C, C, call->grad_output[0].data, call->accumulate[1],
                       call->grad_param[1].data);
    return ML_OK;
}

const ml_layer ml_layer_layernorm = {
    .name = "layernorm",
    .config_size = sizeof(layernorm_config),
    .fields = layernorm_fields,
    .inputs = 1,
    .outputs = 1,
    .input = {{"input", "(..., normalized_size)", ML_REALS, 0}},
    .output = {{"output", "(..., normalized_size)", ML_REALS, 0}},
    .param_count = layernorm_param_count,
    .describe = layernorm_describe,
    .prepare = layernorm_prepare,
    .forward = layernorm_forward,
    .backward = layernorm_backward,
};
