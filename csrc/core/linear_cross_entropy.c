// A linear head and its cross-entropy in one pass: some rows at a time, logits, loss and gradients,
// while the logits are in the cache. The (N, V) logits are never held.
//
// When gradients are wanted they are made in the forward pass, for a loss that is used as it is,
// and scaled in the backward pass by what the loss is multiplied with.
#include "cross_entropy.h"

#include <string.h>

#include "gemm.h"
#include "kernels/kernels.h"
#include "layer.h"
#include "pool.h"
#include "rows.h"
#include "workspace.h"

typedef struct head_config {
    size_t in_features, out_features; // I, V
    int bias;
    ml_loss_config loss;
} head_config;

static const ml_field head_fields[] = {
    ML_REQUIRED(ML_FIELD_SIZE, head_config, in_features),
    ML_REQUIRED(ML_FIELD_SIZE, head_config, out_features),
    ML_OPTIONAL(ML_FIELD_FLAG, head_config, bias, 1),
    ML_LOSS_FIELDS(head_config, loss),
    ML_FIELDS_END,
};

static int head_check(const void *config, ml_error *err)
{
    const head_config *c = config;
    if (c->loss.reduction == ML_REDUCE_NONE)
        return ml_fail(
            err, ML_ERR_VALUE,
            "linear_cross_entropy: reduction: expected mean or sum: gradients are made before "
            "a weight for each row could be known");
    return ml_loss_check("linear_cross_entropy", &c->loss, err);
}

static size_t head_param_count(const void *config)
{
    const head_config *c = config;
    return c->bias ? 2 : 1;
}

static void head_describe(const ml_layer *layer, const void *config, size_t index,
                          ml_param_spec *param)
{
    (void)layer;
    const head_config *c = config;
    if (index == 0)
        *param = (ml_param_spec){"weight", 2, {c->out_features, c->in_features}};
    else
        *param = (ml_param_spec){"bias", 1, {c->out_features}};
}

// Gradients for a loss that counts once, from the forward pass to the backward pass.
typedef struct head_gradients {
    ml_real *dx;      // (N, I)
    ml_real *dweight; // (V, I)
    ml_real *dbias;   // (V)
} head_gradients;

static head_gradients lay_out_gradients(const head_config *c, size_t N, ml_arena *arena)
{
    head_gradients g;
    g.dx = ml_arena_array(arena, N, c->in_features, 1);
    g.dweight = ml_arena_array(arena, c->out_features, c->in_features, 1);
    g.dbias = ml_arena_reals(arena, c->out_features);
    return g;
}

typedef struct head_job {
    const head_config *config;
    ml_loss loss;
    const ml_real *x, *weight, *bias; // (N, I), (V, I), (V) or NULL
    size_t first;                     // row of x that the chunk begins with
    ml_real *logits;                  // (chunk rows, V), then their gradient
    double *row_loss;                 // (N)
    int need_grad;
} head_job;

// Rows of a chunk: about 8 MiB of logits, so that they come from the cache when they are read
// again, and enough rows for an efficient product.
static size_t chunk_rows(size_t V)
{
    size_t rows = ((size_t)1 << 21) / V;
    return rows < 64 ? 64 : rows > 512 ? 512 : rows;
}

static void lay_out_workspace(head_job *job, size_t N, size_t V, ml_arena *arena)
{
    size_t rows = chunk_rows(V);
    job->logits = ml_arena_array(arena, N < rows ? N : rows, V, 1);
    job->row_loss = (double *)(void *)ml_arena_reals(arena, N * sizeof(double) / sizeof(ml_real));
}

static int head_prepare(ml_call *call, ml_error *err)
{
    const head_config *c = call->config;
    const ml_array *x = &call->input[0];
    char text[96];
    if (x->ndim != 2 || x->shape[1] != c->in_features)
        return ml_fail(err, ML_ERR_SHAPE,
                       "linear_cross_entropy: input: expected (rows, in_features=%zu), got %s",
                       c->in_features, ml_shape_text(x, text, sizeof text));
    size_t N = x->shape[0], V = c->out_features;
    ml_arena saved = {0}, workspace = {0};
    head_job job;
    if (call->need_grad)
        lay_out_gradients(c, N, &saved);
    lay_out_workspace(&job, N, V, &workspace);
    if (saved.overflow || workspace.overflow)
        return ml_fail(err, ML_ERR_OVERFLOW, "linear_cross_entropy: %zu rows of %zu classes", N, V);
    call->output[0].ndim = 0;
    call->saved_size = saved.used;
    call->forward_size = workspace.used;
    return ml_loss_check_inputs("linear_cross_entropy", &c->loss, &call->input[1], &call->input[2],
                                N, V, err);
}

// Loss of some rows of the chunk; leaves the gradient where the logits were.
static void loss_rows(void *ctx, size_t begin, size_t end)
{
    head_job *job = ctx;
    const ml_kernels *kernels = ml_kernels_get();
    const size_t V = job->loss.V;
    for (size_t i = begin; i < end; i++) {
        ml_real *row = job->logits + i * V;
        size_t n = job->first + i;
        if (job->bias != NULL)
            kernels->add_row(V, job->bias, row);
        ml_log_sum_exp sum = kernels->row_log_sum_exp(V, row);
        job->row_loss[n] = ml_loss_row(&job->loss, n, row, sum);
        if (job->need_grad) {
            kernels->row_softmax(V, row, sum);
            ml_loss_row_gradient(&job->loss, n, (ml_real)(1 / job->loss.denominator), row);
        }
    }
}

// dx = dlogits W          dW += dlogits^T x          db += sum_n dlogits[n]
static int chunk_gradients(const head_job *job, size_t rows, const head_gradients *g, ml_error *err)
{
    const size_t I = job->config->in_features, V = job->loss.V;
    const int more = job->first > 0;
    int code = ml_gemm(ML_NO_TRANS, ML_NO_TRANS, rows, I, V, job->logits, V, job->weight, I, 0,
                       g->dx + job->first * I, I, err);
    if (code == ML_OK)
        code = ml_gemm(ML_TRANS, ML_NO_TRANS, V, I, rows, job->logits, V, job->x + job->first * I,
                       I, more ? 1 : 0, g->dweight, I, err);
    if (code == ML_OK && job->bias != NULL)
        ml_column_sums(rows, V, V, job->logits, more, g->dbias);
    return code;
}

static int head_forward(ml_call *call, ml_error *err)
{
    const head_config *c = call->config;
    const size_t N = call->input[0].shape[0], I = c->in_features, V = c->out_features;
    head_job job = {
        .config = c,
        .loss = ml_loss_begin(&c->loss, &call->input[1], &call->input[2], N, V),
        .x = call->input[0].data,
        .weight = call->param[0].data,
        .bias = c->bias ? call->param[1].data : NULL,
        .need_grad = call->need_grad,
    };
    ml_arena saved = {.base = call->saved}, workspace = {.base = call->workspace};
    head_gradients gradients = {0};
    if (call->need_grad)
        gradients = lay_out_gradients(c, N, &saved);
    lay_out_workspace(&job, N, V, &workspace);
    if (call->need_grad && N == 0) { // no chunk will write them
        memset(gradients.dweight, 0, V * I * sizeof *gradients.dweight);
        memset(gradients.dbias, 0, V * sizeof *gradients.dbias);
    }

    for (; job.first < N; job.first += chunk_rows(V)) {
        size_t rows = N - job.first < chunk_rows(V) ? N - job.first : chunk_rows(V);
        int code = ml_gemm(ML_NO_TRANS, ML_TRANS, rows, V, I, job.x + job.first * I, I, job.weight,
                           I, 0, job.logits, V, err);
        if (code != ML_OK)
            return code;
        ml_parallel_ranges(rows, ml_row_grain(V), loss_rows, &job);
        if (call->need_grad && (code = chunk_gradients(&job, rows, &gradients, err)) != ML_OK)
            return code;
    }
    *(ml_real *)call->output[0].data = (ml_real)ml_loss_reduce(&job.loss, job.row_loss);
    return ML_OK;
}

static int head_backward(ml_call *call, ml_error *err)
{
    (void)err;
    const head_config *c = call->config;
    const size_t N = call->input[0].shape[0], I = c->in_features, V = c->out_features;
    const ml_real scale = *(const ml_real *)call->grad_output[0].data;
    ml_arena saved = {.base = call->saved};
    const head_gradients g = lay_out_gradients(c, N, &saved);
    if (call->grad_input[0].data != NULL)
        ml_scale(N * I, scale, g.dx, 0, call->grad_input[0].data);
    if (call->grad_param[0].data != NULL)
        ml_scale(V * I, scale, g.dweight, call->accumulate[0], call->grad_param[0].data);
    if (c->bias && call->grad_param[1].data != NULL)
        ml_scale(V, scale, g.dbias, call->accumulate[1], call->grad_param[1].data);
    return ML_OK;
}

const ml_layer ml_layer_linear_cross_entropy = {
    .name = "linear_cross_entropy",
    .config_size = sizeof(head_config),
    .fields = head_fields,
    .inputs = 3,
    .outputs = 1,
    .input = {{"input", "(rows, in_features)", ML_REALS, 0},
              {"target", "(rows,)", ML_IDS, 0},
              {"weight", "(classes,)", ML_REALS, 1, 1}},
    .output = {{"loss", "()", ML_REALS, 0}},
    .check = head_check,
    .param_count = head_param_count,
    .describe = head_describe,
    .prepare = head_prepare,
    .forward = head_forward,
    .backward = head_backward,
};
