// Cross-entropy of logits with target classes, as PyTorch defines it. With p = softmax(x), class
// weights w, smoothing s and V classes, the loss of a row with target y is
//
//     l = -(1 - s) w_y log p_y - s / V sum_c w_c log p_c
//
// and the mean divides the sum of the rows by the sum of their w_y (label smoothing: Szegedy et al.
// 2016, section 7). Rows whose target is ignore_index count for nothing.
#include "cross_entropy.h"

#include <stdio.h>
#include <string.h>

#include "kernels/kernels.h"
#include "pool.h"
#include "rows.h"
#include "workspace.h"

// ---- shared with linear_cross_entropy ---------------------------------------------------------

int ml_loss_check(const char *layer, const ml_loss_config *c, ml_error *err)
{
    if (!(c->label_smoothing >= 0 && c->label_smoothing <= 1))
        return ml_fail(err, ML_ERR_VALUE, "%s: label_smoothing: expected a number in 0..1, got %g",
                       layer, c->label_smoothing);
    if (c->reduction < 0 || c->reduction >= ML_REDUCTION_COUNT)
        return ml_fail(err, ML_ERR_VALUE, "%s: reduction: expected 0..%d, got %lld", layer,
                       ML_REDUCTION_COUNT - 1, (long long)c->reduction);
    return ML_OK;
}

int ml_loss_check_inputs(const char *layer, const ml_loss_config *config, const ml_array *targets,
                         const ml_array *weight, size_t N, size_t V, ml_error *err)
{
    char text[96], name[64];
    if (targets->ndim != 1 || targets->shape[0] != N)
        return ml_fail(err, ML_ERR_SHAPE, "%s: target: expected one class a row, (%zu,), got %s",
                       layer, N, ml_shape_text(targets, text, sizeof text));
    if (weight->data != NULL && (weight->ndim != 1 || weight->shape[0] != V))
        return ml_fail(err, ML_ERR_SHAPE, "%s: weight: expected one number a class, (%zu,), got %s",
                       layer, V, ml_shape_text(weight, text, sizeof text));
    snprintf(name, sizeof name, "%s: target", layer);
    return ml_check_ids(targets, name, V, config->ignore_index, err);
}

double ml_loss_class_weight(const ml_loss *loss, size_t c)
{
    return loss->weight != NULL ? (double)loss->weight[c] : 1;
}

int ml_loss_ignores(const ml_loss *loss, size_t n)
{
    return loss->target[n] == loss->config->ignore_index;
}

ml_loss ml_loss_begin(const ml_loss_config *config, const ml_array *targets, const ml_array *weight,
                      size_t N, size_t V)
{
    ml_loss loss = {
        .config = config, .N = N, .V = V, .target = targets->data, .weight = weight->data};
    for (size_t c = 0; c < V; c++)
        loss.weight_sum += ml_loss_class_weight(&loss, c);
    loss.denominator = 1;
    if (config->reduction == ML_REDUCE_MEAN) {
        loss.denominator = 0;
        for (size_t n = 0; n < N; n++)
            if (!ml_loss_ignores(&loss, n))
                loss.denominator += ml_loss_class_weight(&loss, (size_t)loss.target[n]);
    }
    return loss;
}

double ml_loss_of_scores(const ml_loss *loss, size_t n, ml_real target, double weighted,
                         ml_log_sum_exp sum)
{
    if (ml_loss_ignores(loss, n))
        return 0;
    const double s = loss->config->label_smoothing;
    const double top = (double)sum.top, log_sum = (double)sum.log_sum;
    const double hit = (1 - s) * ml_loss_class_weight(loss, (size_t)loss->target[n]);
    double result = hit * (top - (double)target + log_sum);
    if (s > 0)
        result += s / (double)loss->V * (loss->weight_sum * (log_sum + top) - weighted);
    return result;
}

double ml_loss_row(const ml_loss *loss, size_t n, const ml_real *logits, ml_log_sum_exp sum)
{
    if (ml_loss_ignores(loss, n))
        return 0;
    double weighted = 0;
    for (size_t c = 0; c < loss->V && loss->config->label_smoothing > 0; c++)
        weighted += ml_loss_class_weight(loss, c) * (double)logits[c];
    return ml_loss_of_scores(loss, n, logits[loss->target[n]], weighted, sum);
}

ml_loss_terms ml_loss_row_terms(const ml_loss *loss, size_t n)
{
    const double s = loss->config->label_smoothing;
    if (ml_loss_ignores(loss, n))
        return (ml_loss_terms){0, 0};
    return (ml_loss_terms){(1 - s) * ml_loss_class_weight(loss, (size_t)loss->target[n]),
                           s / (double)loss->V};
}

void ml_loss_row_gradient(const ml_loss *loss, size_t n, ml_real scale, ml_real *p)
{
    if (ml_loss_ignores(loss, n)) {
        memset(p, 0, loss->V * sizeof *p);
        return;
    }
    const ml_loss_terms terms = ml_loss_row_terms(loss, n);
    const ml_real factor = scale * (ml_real)(terms.hit + terms.spread * loss->weight_sum);
    for (size_t c = 0; c < loss->V; c++)
        p[c] *= factor;
    p[loss->target[n]] -= scale * (ml_real)terms.hit;
    if (terms.spread > 0)
        for (size_t c = 0; c < loss->V; c++)
            p[c] -= scale * (ml_real)(terms.spread * ml_loss_class_weight(loss, c));
}

double ml_loss_reduce(const ml_loss *loss, const double *row_loss)
{
    double sum = 0;
    for (size_t n = 0; n < loss->N; n++)
        sum += row_loss[n];
    return sum / loss->denominator;
}

// ---- the layer --------------------------------------------------------------------------------

typedef struct cross_entropy_config {
    ml_loss_config loss;
} cross_entropy_config;

static const ml_field cross_entropy_fields[] = {
    ML_LOSS_FIELDS(cross_entropy_config, loss),
    ML_FIELDS_END,
};

static int cross_entropy_check(const void *config, ml_error *err)
{
    return ml_loss_check("cross_entropy", config, err);
}

static int cross_entropy_prepare(ml_call *call, ml_error *err)
{
    const ml_loss_config *c = call->config;
    const ml_array *x = &call->input[0];
    char text[96];
    if (x->ndim != 2)
        return ml_fail(err, ML_ERR_SHAPE, "cross_entropy: logits: expected (rows, classes), got %s",
                       ml_shape_text(x, text, sizeof text));
    call->output[0].ndim = c->reduction == ML_REDUCE_NONE ? 1 : 0;
    call->output[0].shape[0] = x->shape[0];
    call->saved_size = x->shape[0] * sizeof(ml_log_sum_exp);
    call->forward_size = x->shape[0] * sizeof(double);
    return ml_loss_check_inputs("cross_entropy", c, &call->input[1], &call->input[2], x->shape[0],
                                x->shape[1], err);
}

typedef struct cross_entropy_job {
    ml_loss loss;
    const ml_real *logits; // (N, V)
    ml_log_sum_exp *sum;   // (N)
    double *row_loss;      // (N)
    const ml_real *dloss;  // (N) without reduction, else one number
    ml_real *dlogits;      // (N, V)
} cross_entropy_job;

static cross_entropy_job begin(ml_call *call)
{
    const ml_array *x = &call->input[0];
    return (cross_entropy_job){
        .loss =
            ml_loss_begin(call->config, &call->input[1], &call->input[2], x->shape[0], x->shape[1]),
        .logits = x->data,
        .sum = call->saved,
    };
}

static void forward_rows(void *ctx, size_t first, size_t end)
{
    cross_entropy_job *job = ctx;
    const size_t V = job->loss.V;
    for (size_t n = first; n < end; n++) {
        job->sum[n] = ml_kernels_get()->row_log_sum_exp(V, job->logits + n * V);
        job->row_loss[n] = ml_loss_row(&job->loss, n, job->logits + n * V, job->sum[n]);
    }
}

static int cross_entropy_forward(ml_call *call, ml_error *err)
{
    (void)err;
    cross_entropy_job job = begin(call);
    ml_real *out = call->output[0].data;
    job.row_loss = call->workspace;
    ml_parallel_ranges(job.loss.N, ml_row_grain(job.loss.V), forward_rows, &job);
    if (job.loss.config->reduction == ML_REDUCE_NONE)
        for (size_t n = 0; n < job.loss.N; n++)
            out[n] = (ml_real)job.row_loss[n];
    else
        *out = (ml_real)ml_loss_reduce(&job.loss, job.row_loss);
    return ML_OK;
}

static void backward_rows(void *ctx, size_t first, size_t end)
{
    cross_entropy_job *job = ctx;
    const size_t V = job->loss.V;
    for (size_t n = first; n < end; n++) {
        double dloss = (double)job->dloss[job->loss.config->reduction == ML_REDUCE_NONE ? n : 0];
        ml_real *row = job->dlogits + n * V;
        memcpy(row, job->logits + n * V, V * sizeof *row);
        ml_kernels_get()->row_softmax(V, row, job->sum[n]);
        ml_loss_row_gradient(&job->loss, n, (ml_real)(dloss / job->loss.denominator), row);
    }
}

static int cross_entropy_backward(ml_call *call, ml_error *err)
{
    (void)err;
    if (call->grad_input[0].data == NULL)
        return ML_OK;
    cross_entropy_job job = begin(call);
    job.dloss = call->grad_output[0].data;
    job.dlogits = call->grad_input[0].data;
    ml_parallel_ranges(job.loss.N, ml_row_grain(job.loss.V), backward_rows, &job);
    return ML_OK;
}

const ml_layer ml_layer_cross_entropy = {
    .name = "cross_entropy",
    .config_size = sizeof(cross_entropy_config),
    .fields = cross_entropy_fields,
    .inputs = 3,
    .outputs = 1,
    .input = {{"logits", "(rows, classes)", ML_REALS, 0},
              {"target", "(rows,)", ML_IDS, 0},
              {"weight", "(classes,)", ML_REALS, 1, 1}},
    .output = {{"loss", "() or (rows,)", ML_REALS, 0}},
    .check = cross_entropy_check,
    .prepare = cross_entropy_prepare,
    .forward = cross_entropy_forward,
    .backward = cross_entropy_backward,
};
