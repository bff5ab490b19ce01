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

typedef struct sum_job {
    const ml_real *a, *b;
    ml_real *y;
} sum_job;

static void add_range(void *ctx, size_t begin, size_t end)
{
    const sum_job *job = ctx;
    for (size_t i = begin; i < end; i++)
        job->y[i] = job->a[i] + job->b[i];
}

void ml_add(size_t n, const ml_real *a, const ml_real *b, ml_real *y)
{
    ml_parallel_ranges(n, ML_GRAIN, add_range, &(sum_job){a, b, y});
}

typedef struct id_job {
    size_t n, width;
    const int64_t *id;
    int64_t skip;
    const ml_real *from;
    ml_real *to;
} id_job;

static void gather_range(void *ctx, size_t begin, size_t end)
{
    const id_job *job = ctx;
    for (size_t i = begin; i < end; i++)
        memcpy(job->to + i * job->width, job->from + (size_t)job->id[i] * job->width,
               job->width * sizeof *job->to);
}

void ml_gather_rows(size_t n, size_t width, const int64_t *id, const ml_real *table, ml_real *rows)
{
    id_job job = {.width = width, .id = id, .from = table, .to = rows};
    ml_parallel_ranges(n, ml_row_grain(width), gather_range, &job);
}

// Ids repeat, so a task takes some rows of the table and looks through all ids for them.
static void scatter_range(void *ctx, size_t begin, size_t end)
{
    const id_job *job = ctx;
    const ml_kernels *kernels = ml_kernels_get();
    for (size_t i = 0; i < job->n; i++) {
        const size_t id = (size_t)job->id[i];
        if (id >= begin && id < end && job->id[i] != job->skip)
            kernels->add_row(job->width, job->from + i * job->width, job->to + id * job->width);
    }
}

void ml_scatter_rows(size_t n, size_t width, const int64_t *id, int64_t skip, const ml_real *rows,
                     size_t count, ml_real *table)
{
    id_job job = {n, width, id, skip, rows, table};
    const size_t tasks = n * width / ML_GRAIN + 1, most = 16;
    const size_t parts = tasks < most ? tasks : most;
    ml_parallel_ranges(count, (count + parts - 1) / parts, scatter_range, &job);
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
