#include "dropout.h"

#include "kernels/kernels.h"
#include "layer.h"
#include "pool.h"

typedef struct dropout_job {
    size_t n;
    double p;
    uint64_t seed, stream;
    const ml_real *x;
    ml_real *y;
} dropout_job;

static void drop_blocks(void *ctx, size_t begin, size_t end)
{
    const dropout_job *job = ctx;
    const ml_kernels *kernels = ml_kernels_get();
    for (size_t block = begin; block < end; block++) {
        size_t i = block * ML_DROPOUT_BLOCK, left = job->n - i;
        kernels->dropout(job->seed, job->stream, block,
                         left < ML_DROPOUT_BLOCK ? left : (size_t)ML_DROPOUT_BLOCK, job->p,
                         job->x + i, job->y + i);
    }
}

void ml_dropout(size_t n, double p, uint64_t seed, uint64_t stream, const ml_real *x, ml_real *y)
{
    dropout_job job = {n, p, seed, stream, x, y};
    ml_parallel_ranges((n + ML_DROPOUT_BLOCK - 1) / ML_DROPOUT_BLOCK, 128, drop_blocks, &job);
}

int ml_check_probability(const char *name, double p, ml_error *err)
{
    if (p >= 0 && p <= 1)
        return ML_OK;
    return ml_fail(err, ML_ERR_VALUE, "%s: expected a probability in 0..1, got %g", name, p);
}

// ---- the layer --------------------------------------------------------------------------------

typedef struct dropout_config {
    double p;
} dropout_config;

static const ml_field dropout_fields[] = {
    ML_OPTIONAL(ML_FIELD_REAL, dropout_config, p, 0.5),
    ML_FIELDS_END,
};

static int dropout_check(const void *config, ml_error *err)
{
    const dropout_config *c = config;
    return ml_check_probability("dropout: p", c->p, err);
}

static int dropout_prepare(ml_call *call, ml_error *err)
{
    (void)err;
    ml_same_shape(&call->output[0], &call->input[0]);
    return ML_OK;
}

static void dropout_run(const ml_call *call, const ml_array *from, ml_array *to)
{
    const dropout_config *c = call->config;
    if (call->training)
        ml_dropout(ml_array_size(from), c->p, call->seed, call->stream, from->data, to->data);
    else
        ml_dropout(ml_array_size(from), 0, 0, 0, from->data, to->data);
}

static int dropout_forward(ml_call *call, ml_error *err)
{
    (void)err;
    dropout_run(call, &call->input[0], &call->output[0]);
    return ML_OK;
}

static int dropout_backward(ml_call *call, ml_error *err)
{
    (void)err;
    if (call->grad_input[0].data != NULL)
        dropout_run(call, &call->grad_output[0], &call->grad_input[0]);
    return ML_OK;
}

const ml_layer ml_layer_dropout = {
    .name = "dropout",
    .config_size = sizeof(dropout_config),
    .fields = dropout_fields,
    .inputs = 1,
    .outputs = 1,
    .input = {{"input", "(...)", ML_REALS, 0}},
    .output = {{"output", "(...)", ML_REALS, 0}},
    .check = dropout_check,
    .prepare = dropout_prepare,
    .forward = dropout_forward,
    .backward = dropout_backward,
};
