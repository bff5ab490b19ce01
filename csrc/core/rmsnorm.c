// Normalisation by the root mean square, over the last axis.
#include "kernels/kernels.h"
#include "layer.h"
#include "pool.h"
#include "rows.h"
#include "workspace.h"

typedef struct rmsnorm_config {
    size_t normalized_size; // C
    double eps;
    int affine;
} rmsnorm_config;

static const ml_field rmsnorm_fields[] = {
    ML_REQUIRED(ML_FIELD_SIZE, rmsnorm_config, normalized_size),
    ML_OPTIONAL(ML_FIELD_REAL, rmsnorm_config, eps,
                0x1p-23), // PyTorch's: the spacing of floats at 1
    ML_OPTIONAL(ML_FIELD_FLAG, rmsnorm_config, affine, 1),
    ML_FIELDS_END,
};

static size_t rmsnorm_param_count(const void *config)
{
    const rmsnorm_config *c = config;
    return c->affine ? 1 : 0;
}

static void rmsnorm_describe(const ml_layer *layer, const void *config, size_t index,
                             ml_param_spec *param)
{
    (void)layer;
    (void)index;
    const rmsnorm_config *c = config;
    *param = (ml_param_spec){"weight", 1, {c->normalized_size}};
}

static size_t row_count(const ml_call *call)
{
    const rmsnorm_config *c = call->config;
    return ml_array_size(&call->input[0]) / c->normalized_size;
}

// `saved` holds 1 / sqrt(mean square + eps) of each row: (N,).
static int rmsnorm_prepare(ml_call *call, ml_error *err)
{
    const rmsnorm_config *c = call->config;
    const ml_array *x = &call->input[0];
    char text[96];
    if (x->ndim < 1 || x->shape[x->ndim - 1] != c->normalized_size)
        return ml_fail(err, ML_ERR_SHAPE,
                       "rmsnorm: input: expected (..., normalized_size=%zu), got %s",
                       c->normalized_size, ml_shape_text(x, text, sizeof text));
    ml_same_shape(&call->output[0], x);
    ml_arena arena = {.base = NULL};
    ml_arena_reals(&arena, row_count(call));
    call->saved_size = arena.used;
    return ML_OK;
}

static const ml_real *weight_of(const ml_call *call)
{
    return rmsnorm_param_count(call->config) > 0 ? call->param[0].data : NULL;
}

static void forward_rows(void *ctx, size_t begin, size_t end)
{
    const ml_call *call = ctx;
    const rmsnorm_config *c = call->config;
    const size_t C = c->normalized_size;
    const ml_real *x = call->input[0].data; // (N, C)
    ml_real *y = call->output[0].data;      // (N, C)
    ml_real *rrms = call->saved;            // (N)
    for (size_t n = begin; n < end; n++)
        ml_kernels_get()->rmsnorm_row(C, (ml_real)c->eps, x + n * C, weight_of(call), y + n * C,
                                      rrms + n);
}

static int rmsnorm_forward(ml_call *call, ml_error *err)
{
    (void)err;
    const rmsnorm_config *c = call->config;
    ml_parallel_ranges(row_count(call), ml_norm_grain(c->normalized_size), forward_rows, call);
    return ML_OK;
}

static void backward_rows(void *ctx, size_t begin, size_t end)
{
    const ml_call *call = ctx;
    const rmsnorm_config *c = call->config;
    const size_t C = c->normalized_size;
    const ml_real *x = call->input[0].data, *dy = call->grad_output[0].data; // (N, C)
    const ml_real *rrms = call->saved;                                       // (N)
    ml_real *dx = call->grad_input[0].data;                                  // (N, C)
    for (size_t n = begin; n < end; n++)
        ml_kernels_get()->rmsnorm_row_backward(C, x + n * C, rrms[n], weight_of(call), dy + n * C,
                                               dx + n * C);
}

static void backward_columns(void *ctx, size_t begin, size_t end)
{
    const ml_call *call = ctx;
    const rmsnorm_config *c = call->config;
    const ml_real *x = call->input[0].data, *dy = call->grad_output[0].data; // (N, C)
    ml_real *dweight = call->grad_param[0].data;                             // (C)
    ml_kernels_get()->layernorm_columns_backward(row_count(call), end - begin, c->normalized_size,
                                                 x + begin, NULL, call->saved, dy + begin,
                                                 dweight + begin);
}

static int rmsnorm_backward(ml_call *call, ml_error *err)
{
    (void)err;
    const rmsnorm_config *c = call->config;
    const size_t C = c->normalized_size;
    if (call->grad_input[0].data != NULL)
        ml_parallel_ranges(row_count(call), ml_norm_grain(C), backward_rows, call);
    if (c->affine && call->grad_param[0].data != NULL) {
        if (!call->accumulate[0])
            ml_clear(&call->grad_param[0]);
        ml_parallel_ranges(C, 64, backward_columns, call);
    }
    return ML_OK;
}

const ml_layer ml_layer_rmsnorm = {
    .name = "rmsnorm",
    .config_size = sizeof(rmsnorm_config),
    .fields = rmsnorm_fields,
    .inputs = 1,
    .outputs = 1,
    .input = {{"input", "(..., normalized_size)", ML_REALS, 0}},
    .output = {{"output", "(..., normalized_size)", ML_REALS, 0}},
    .param_count = rmsnorm_param_count,
    .describe = rmsnorm_describe,
    .prepare = rmsnorm_prepare,
    .forward = rmsnorm_forward,
    .backward = rmsnorm_backward,
};
