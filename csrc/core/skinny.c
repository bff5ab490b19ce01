#include "skinny.h"

#include <string.h>

#include "kernels/kernels.h"
#include "platform.h"
#include "pool.h"
#include "sizes.h"
#include "workspace.h"

enum {
    STRETCH = 256,   // of k: what all row blocks read of B before it leaves the cache
    TASK = 1 << 16,  // numbers of B in a task
    MAX_COLUMNS = 64 // numbers that a panel is wide, at most
};

typedef struct skinny_job {
    const ml_product *product;
    const ml_kernels *kernels;
    ml_real *packed; // B (k, n): the last columns, padded; B transposed: A (k, width), padded
    size_t width;    // numbers that a panel is wide
} skinny_job;

// Element (i, k) of A' is a[i * row + k * step].
static size_t row_stride(const ml_product *p) { return p->trans_a == ML_TRANS ? 1 : p->lda; }
static size_t k_stride(const ml_product *p) { return p->trans_a == ML_TRANS ? p->lda : 1; }

// ---- B (k, n): its rows are the rows of a panel -----------------------------------------------

static void multiply_columns(void *ctx, size_t index)
{
    const skinny_job *job = ctx;
    const ml_product *p = job->product;
    const size_t column = index * job->width, columns = ml_smaller(job->width, p->n - column);
    const int whole = columns % job->kernels->lanes == 0; // else vectors would read beyond B
    for (size_t k = 0; k == 0 || k < p->k; k += STRETCH)
        for (size_t i = 0; i < p->m; i += ML_TILE_ROWS) {
            ml_real *c = p->c + i * p->ldc + column;
            const ml_real *init = p->init != NULL ? p->init + i * p->init_row + column : NULL;
            const ml_panel_product tile = {
                .rows = ml_smaller(ML_TILE_ROWS, p->m - i),
                .columns = columns,
                .depth = ml_smaller(STRETCH, p->k - k),
                .a = p->a + i * row_stride(p) + k * k_stride(p),
                .a_row = row_stride(p),
                .a_k = k_stride(p),
                .panel = whole ? p->b + k * p->ldb + column : job->packed + k * job->width,
                .panel_row = whole ? p->ldb : job->width,
                .init = k > 0 ? c : init,
                .init_row = k > 0 ? p->ldc : p->init_row,
                .c = c,
                .c_row = p->ldc,
            };
            job->kernels->panel_product(&tile);
        }
}

static void pack_last_columns(const skinny_job *job)
{
    const ml_product *p = job->product;
    const size_t column = (p->n - 1) / job->width * job->width, columns = p->n - column;
    for (size_t k = 0; k < p->k; k++) {
        memcpy(job->packed + k * job->width, p->b + k * p->ldb + column, columns * sizeof *p->b);
        memset(job->packed + k * job->width + columns, 0, (job->width - columns) * sizeof *p->b);
    }
}

// ---- B (n, k): C^T = B A'^T, so that its rows are rows of the tile ----------------------------

// Rows of B that the tile after the next reads: hardware does not foresee six short runs at once.
static void prefetch_rows(const ml_product *p, size_t first)
{
    for (size_t j = first; j < first + ML_TILE_ROWS && j < p->n; j++)
        for (size_t k = 0; k < p->k; k += ML_LINE)
            ML_PREFETCH(p->b + j * p->ldb + k);
}

static void multiply_rows(void *ctx, size_t begin, size_t end)
{
    const skinny_job *job = ctx;
    const ml_product *p = job->product;
    ml_real tile[ML_TILE_SIZE]; // (rows of B, m)
    for (size_t j = begin; j < end; j += ML_TILE_ROWS) {
        const ml_panel_product product = {
            .rows = ml_smaller(ML_TILE_ROWS, end - j),
            .columns = p->m,
            .depth = p->k,
            .a = p->b + j * p->ldb,
            .a_row = p->ldb,
            .a_k = 1,
            .panel = job->packed,
            .panel_row = job->width,
            .c = tile,
            .c_row = job->width,
        };
        prefetch_rows(p, j + 2 * ML_TILE_ROWS);
        job->kernels->panel_product(&product);
        for (size_t i = 0; i < p->m; i++)
            for (size_t r = 0; r < product.rows; r++) {
                const ml_real init = p->init != NULL ? p->init[i * p->init_row + j + r] : 0;
                p->c[i * p->ldc + j + r] = init + tile[r * job->width + i];
            }
    }
}

// packed[k][i] = A'[i][k]
static void pack_a(const skinny_job *job)
{
    const ml_product *p = job->product;
    memset(job->packed, 0, p->k * job->width * sizeof *job->packed);
    for (size_t i = 0; i < p->m; i++)
        for (size_t k = 0; k < p->k; k++)
            job->packed[k * job->width + i] = p->a[i * row_stride(p) + k * k_stride(p)];
}

// ---- both -------------------------------------------------------------------------------------

int ml_skinny_run(const ml_product *p, ml_error *err)
{
    skinny_job job = {.product = p, .kernels = ml_kernels_get()};
    const size_t lanes = job.kernels->lanes;
    const int rows_of_b = p->trans_b == ML_TRANS;
    job.width = rows_of_b ? ml_ceil_div(p->m, lanes) * lanes
                          : ml_smaller(MAX_COLUMNS, ML_PANEL_VECTORS * lanes);
    const int pads = !rows_of_b && p->n % job.width % lanes != 0;
    if (rows_of_b || pads) {
        job.packed = ml_buffer_acquire(p->k * job.width * sizeof *job.packed);
        if (job.packed == NULL)
            return ml_fail(err, ML_ERR_MEMORY,
                           "matrix product (%zu, %zu, %zu): no memory for a packed operand", p->m,
                           p->n, p->k);
    }
    if (rows_of_b) {
        pack_a(&job);
        size_t grain = ml_ceil_div(TASK / (p->k + 1) + 1, ML_TILE_ROWS) * ML_TILE_ROWS;
        ml_parallel_ranges(p->n, grain, multiply_rows, &job);
    } else {
        if (pads)
            pack_last_columns(&job);
        ml_parallel_for(ml_ceil_div(p->n, job.width), multiply_columns, &job);
    }
    ml_buffer_release(job.packed);
    return ML_OK;
}
