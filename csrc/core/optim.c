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

// The elements [begin, end) of a parameter.
static ml_param part_of(ml_param param, size_t begin, size_t end)
{
    param.value = shifted(param.value, begin);
    param.grad = shifted(param.grad, begin);
    for (int i = 0; i < 3; i++)
        param.state[i] = shifted(param.state[i], begin);
    param.size = end - begin;
    return param;
}

// Sets *part to what the first parameter from *next on has in [begin, end) of all elements, with
// *start elements before it, and moves on; 0 when there is nothing more.
static int next_part(const ml_param **next, size_t *start, size_t begin, size_t end, ml_param *part)
{
    while (*start < end) {
        const ml_param *param = (*next)++;
        size_t first = *start, last = first + param->size;
        *start = last;
        if (last > begin && first < last) {
            *part = part_of(*param, begin > first ? begin - first : 0, (end < last ? end : last) - first);
            return 1;
        }
    }
    return 0;
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
    double (*kernel)(const ml_param *chunk, double p);
    double p;
    double *sums; // (chunks,)
} reduction;

static void sum_chunk(void *ctx, size_t index)
{
    const reduction *r = ctx;
    ml_param chunk = chunk_at(r->params, index);
    r->sums[index] = r->kernel(&chunk, r->p);
}

// The larger of two, or NaN if either is.
static double max_or_nan(double a, double b) { return isnan(a) || a > b ? a : b; }

int ml_grad_norm(const ml_param *params, size_t count, double p, double *norm, ml_error *err)
{
    if (!(p > 0))
        return ml_fail(err, ML_ERR_VALUE, "norm_type: expected a number above 0, or inf, got %g",
                       p);
    size_t chunks = count_chunks(params, count);
    double *sums = calloc(chunks + 1, sizeof *sums);
    if (sums == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "grad_norm: no memory for %zu partial sums", chunks);

    reduction r = {params, ml_kernels_get()->grad_sum, p, sums};
    ml_parallel_for(chunks, sum_chunk, &r);
    double total = 0;
    for (size_t i = 0; i < chunks; i++) // in order: the same bits for any number of threads
        total = isinf(p) ? max_or_nan(sums[i], total) : total + sums[i];
    *norm = isinf(p) ? total : p == 2 ? sqrt(total) : pow(total, 1 / p);
    free(sums);
    return ML_OK;
}
