#include "optim.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/kernels.h"
#include "pool.h"

enum { CHUNK = 16384 }; // elements a task: a fraction of L2, tens of microseconds

typedef void update_fn(const ml_param *chunk, const void *config);

typedef struct update {
    const ml_param *params;
    update_fn *kernel;
    const void *config;
} update;

// ---- cutting -----------------------------------------------------------------------------------

static size_t chunks_of(size_t size) { return size / CHUNK + (size % CHUNK != 0); }

static size_t count_chunks(const ml_param *params, size_t count)
{
    size_t chunks = 0;
    for (size_t i = 0; i < count; i++)
        chunks += chunks_of(params[i].size);
    return chunks;
}

static ml_real *shifted(ml_real *array, size_t by) { return array == NULL ? NULL : array + by; }

// The elements that task `index` works on. Found by walking: a model has tens of tensors, and a
// table of chunks would have to be allocated.
static ml_param chunk_at(const ml_param *params, size_t index)
{
    while (index >= chunks_of(params->size))
        index -= chunks_of(params++->size);
    ml_param chunk = *params;
    size_t begin = index * CHUNK;
    chunk.value = shifted(chunk.value, begin);
    chunk.grad = shifted(chunk.grad, begin);
    for (int i = 0; i < 3; i++)
        chunk.state[i] = shifted(chunk.state[i], begin);
    chunk.size = chunk.size - begin < CHUNK ? chunk.size - begin : CHUNK;
    return chunk;
}

static void update_chunk(void *ctx, size_t index)
{
    const update *u = ctx;
    ml_param chunk = chunk_at(u->params, index);
    u->kernel(&chunk, u->config);
}

static int update_all(const ml_param *params, size_t count, update_fn *kernel, const void *config)
{
    update u = {params, kernel, config};
    ml_parallel_for(count_chunks(params, count), update_chunk, &u);
    return ML_OK;
}

// ---- steps -------------------------------------------------------------------------------------

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

// ---- gradients ---------------------------------------------------------------------------------

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
