#include "rows.h"

#include <string.h>

#include "kernels/kernels.h"
#include "pool.h"

typedef struct matrix_job {
    size_t rows, columns, ld;
    const ml_real *x;
    ml_real *y;
    ml_real factor;
    int accumulate;
} matrix_job;

size_t ml_row_grain(size_t columns)
{
    size_t rows = ML_GRAIN / (columns > 0 ? columns : 1);
    return rows > 0 ? rows : 1;
}

static void add_bias_rows(void *ctx, size_t begin, size_t end)
{
    const matrix_job *job = ctx;
    ml_kernels_get()->add_bias(end - begin, job->columns, job->x, job->y + begin * job->columns);
}

void ml_add_bias(size_t rows, size_t columns, const ml_real *bias, ml_real *x)
{
    matrix_job job = {.columns = columns, .x = bias, .y = x};
    ml_parallel_ranges(rows, ml_row_grain(columns), add_bias_rows, &job);
}

static void sum_columns(void *ctx, size_t begin, size_t end)
{
    const matrix_job *job = ctx;
    ml_kernels_get()->column_sums(job->rows, end - begin, job->ld, job->x + begin, job->accumulate,
                                  job->y + begin);
}

void ml_column_sums(size_t rows, size_t columns, size_t ld, const ml_real *x, int accumulate,
                    ml_real *sums)
{
    matrix_job job = {.rows = rows, .ld = ld, .x = x, .y = sums, .accumulate = accumulate};
    size_t grain = (ml_row_grain(rows) + 127) / 128 * 128; // what the kernel sums at once
    ml_parallel_ranges(columns, grain, sum_columns, &job);
}

static void scale_range(void *ctx, size_t begin, size_t end)
{
    const matrix_job *job = ctx;
    const ml_real factor = job->factor;
    if (job->accumulate)
        for (size_t i = begin; i < end; i++)
            job->y[i] += factor * job->x[i];
    else
        for (size_t i = begin; i < end; i++)
            job->y[i] = factor * job->x[i];
}

void ml_scale(size_t n, ml_real factor, const ml_real *x, int accumulate, ml_real *y)
{
    matrix_job job = {.x = x, .y = y, .factor = factor, .accumulate = accumulate};
    ml_parallel_ranges(n, ML_GRAIN, scale_range, &job);
}

static void swap_rows(void *ctx, size_t begin, size_t end)
{
    const matrix_job *job = ctx;
    size_t width = job->ld;
    for (size_t j = begin; j < end; j++)
        for (size_t i = 0; i < job->rows; i++)
            memcpy(job->y + (j * job->rows + i) * width, job->x + (i * job->columns + j) * width,
                   width * sizeof(ml_real));
}

void ml_swap_axes(size_t rows, size_t columns, size_t width, const ml_real *from, ml_real *to)
{
    matrix_job job = {.rows = rows, .columns = columns, .ld = width, .x = from, .y = to};
    ml_parallel_ranges(columns, ml_row_grain(rows * width), swap_rows, &job);
}
