#include "optim.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/kernels.h"
#include "pool.h"

// Elements a task: the tensors are laid end to end and cut at every so many, so that a small model
// is one task and not worth waking a thread for.
enum { CHUNK = 65536 };

static size_t total_size(const ml_param *params, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += params[i].size;
    return size;
}

static ml_real *shifted(ml_real *array, size_t by) { return array == NULL ? NULL : array + by; }

// What a parameter, with `first` elements before it, has in [begin, end) of all elements.
static ml_param part_of(const ml_param *param, size_t first, size_t begin, size_t end)
{
    size_t to = end - first < param->size ? end - first : param->size;
    size_t from = begin > first ? begin - first : 0;
    if (from > to)
        from = to;
    ml_param part = *param;
    part.size = to - from;
    part.value = shifted(param->value, from);
    part.grad = shifted(param->grad, from);
    for (int i = 0; i < 3; i++)
        part.state[i] = shifted(param->state[i], from);
    return part;
}

typedef void update_fn(const ml_param *part, const void *config);

typedef struct update {
    const ml_param *params;
    update_fn *kernel;
    const void *config;
} update;

static void update_range(void *ctx, size_t begin, size_t end)
{
    const update *u = ctx;
    size_t first = 0;
    for (const ml_param *param = u->params; first < end; first += param++->size) {
        ml_param part = part_of(param, first, begin, end);
        if (part.size > 0)
            u->kernel(&part, u->config);
    }
}

static int update_all(const ml_param *params, size_t count, update_fn *kernel, const void *config)
{
    update u = {params, kernel, config};
    ml_parallel_ranges(total_size(params, count), CHUNK, update_range, &u);
    return ML_OK;
}

// ---- steps ------------------------------------------------------------------------------------

static int check_step(uint64_t step, ml_error *err)
{
    return step >= 1 ? ML_OK : ml_fail(err, ML_ERR_VALUE, "step: expected 1 or more, got 0");
}

int ml_sgd_step(const ml_param *params, size_t count, const ml_sgd *config, ml_error *err)
{
    (void)err;
    return update_all(params, count, ml_kernels_get()->sgd_step, config);
}

int ml_adam_step(const ml_param *params, size_t count, const ml_adam *config, ml_error *err)
{
    if (check_step(config->step, err) != ML_OK)
        return err->code;
    return update_all(params, count, ml_kernels_get()->adam_step, config);
}

int ml_adagrad_step(const ml_param *params, size_t count, const ml_adagrad *config, ml_error *err)
{
    if (check_step(config->step, err) != ML_OK)
        return err->code;
    return update_all(params, count, ml_kernels_get()->adagrad_step, config);
}

int ml_rmsprop_step(const ml_param *params, size_t count, const ml_rmsprop *config, ml_error *err)
{
    (void)err;
    return update_all(params, count, ml_kernels_get()->rmsprop_step, config);
}

// ---- gradients --------------------------------------------------------------------------------

int ml_grad_scale(const ml_param *params, size_t count, double factor, ml_error *err)
{
    (void)err;
    return update_all(params, count, ml_kernels_get()->grad_scale, &factor);
}

int ml_grad_clip(const ml_param *params, size_t count, double value, ml_error *err)
{
    if (!(value >= 0))
        return ml_fail(err, ML_ERR_VALUE, "value: expected 0 or more, got %g", value);
    return update_all(params, count, ml_kernels_get()->grad_clip, &value);
}

typedef struct reduction {
    const ml_param *params;
    double (*kernel)(const ml_param *part, double p);
    double p;
    double *sums; // (chunks,), or the largest of each for p = INFINITY
} reduction;

// Sums are added; of largest ones the larger is taken, or NaN if either is.
static double combine(double p, double a, double b)
{
    if (isinf(p))
        return isnan(a) || a > b ? a : b;
    return a + b;
}

static void sum_range(void *ctx, size_t begin, size_t end)
{
    const reduction *r = ctx;
    double sum = 0;
    size_t first = 0;
    for (const ml_param *param = r->params; first < end; first += param++->size) {
        ml_param part = part_of(param, first, begin, end);
        if (part.size > 0)
            sum = combine(r->p, r->kernel(&part, r->p), sum);
    }
    r->sums[begin / CHUNK] = sum;
}

int ml_grad_norm(const ml_param *params, size_t count, double p, double *norm, ml_error *err)
{
    if (!(p > 0))
        return ml_fail(err, ML_ERR_VALUE, "norm_type: expected a number above 0, or inf, got %g",
                       p);
    size_t size = total_size(params, count), chunks = size / CHUNK + 1;
    double *sums = calloc(chunks, sizeof *sums);
    if (sums == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "grad_norm: no memory for %zu partial sums", chunks);

    reduction r = {params, ml_kernels_get()->grad_sum, p, sums};
    ml_parallel_ranges(size, CHUNK, sum_range, &r);
    double total = 0;
    for (size_t i = 0; i < chunks; i++) // in order: the same bits for any number of threads
        total = combine(p, sums[i], total);
    *norm = isinf(p) ? total : p == 2 ? sqrt(total) : pow(total, 1 / p);
    free(sums);
    return ML_OK;
}
