// B is packed into panels once, by all threads. Then C is cut into blocks, and for each block k is
// walked in stretches: a panel's stretch meets all rows of the block, six at a time, while it is near.
// A is read where it lies, but for a transposed A with long rows, which is packed, a block and a
// stretch at a time.
#include "product.h"

#include <stdatomic.h>

#include "kernels/kernels.h"
#include "packed.h"
#include "pool.h"
#include "sizes.h"
#include "workspace.h"

enum {
    BLOCK_ROWS = 192,     // rows of a block of C; a multiple of ML_TILE_ROWS
    BLOCK_COLUMNS = 512,  // columns of a block of C
    STRETCH = 512,        // of k, at most: more cost the cache, fewer pass over C more often
    BLOCK_WORK = 1 << 19, // multiply-adds that make a block worth a task
    SHORT_ROW = 256       // numbers: rows of a transposed A that are longer are packed
};

typedef struct product_job {
    const ml_product *product;
    const ml_kernels *kernels;
    ml_packed_shape shape; // of B
    const ml_real *panels;
    size_t block_rows, block_panels;
    size_t stretch; // of k
    size_t blocks_across;
    atomic_int failed; // a block found no memory
} product_job;

// Walking down the columns of a matrix with long rows meets few sets of the cache, and many pages.
static int packs_a(const ml_product *p) { return p->trans_a == ML_TRANS && p->lda > SHORT_ROW; }

// Six rows of A, or fewer, for one stretch of k.
typedef struct a_rows {
    const ml_real *data;
    size_t row, step; // numbers from one row, and from one k, to the next
} a_rows;

static a_rows rows_of_a(const ml_product *p, size_t i, size_t r, size_t k, size_t depth,
                        const ml_real *packed)
{
    if (packs_a(p))
        return (a_rows){packed + r / ML_TILE_ROWS * ML_PACKED_ROWS_SIZE(depth), 1, ML_TILE_ROWS};
    if (p->trans_a == ML_TRANS)
        return (a_rows){p->a + k * p->lda + i + r, 1, p->lda};
    return (a_rows){p->a + (i + r) * p->lda + k, p->lda, 1};
}

// One stretch of k of a block: rows i .. of C, panels j .. ; `packed` is A where it is packed. A panel's
// stretch stays in a core's first-level cache for all rows.
static void multiply_stretch(const product_job *job, size_t i, size_t rows, size_t j, size_t panels,
                             size_t k, size_t depth, const ml_real *packed)
{
    const ml_product *p = job->product;
    const size_t width = job->shape.unit_width;
    for (size_t panel = j; panel < j + panels; panel++)
        for (size_t r = 0; r < rows; r += ML_TILE_ROWS) {
            const a_rows a = rows_of_a(p, i, r, k, depth, packed);
            const size_t column = panel * width;
            ml_real *c = p->c + (i + r) * p->ldc + column;
            const ml_real *init = p->init != NULL ? p->init + (i + r) * p->init_row + column : NULL;
            const ml_panel_product tile = {
                .rows = ml_smaller(ML_TILE_ROWS, rows - r),
                .columns = ml_smaller(width, p->n - column),
                .depth = depth,
                .a = a.data,
                .a_row = a.row,
                .a_k = a.step,
                .panel = job->panels + panel * job->shape.panel_size + k * width,
                .panel_row = width,
                .init = k > 0 ? c : init,
                .init_row = k > 0 ? p->ldc : p->init_row,
                .c = c,
                .c_row = p->ldc,
            };
            job->kernels->panel_product(&tile);
        }
}

static void multiply_block(void *ctx, size_t index)
{
    product_job *job = ctx;
    const ml_product *p = job->product;
    const size_t i = index / job->blocks_across * job->block_rows;
    const size_t j = index % job->blocks_across * job->block_panels;
    const size_t rows = ml_smaller(job->block_rows, p->m - i);
    const size_t panels = ml_smaller(job->block_panels, job->shape.panels - j);
    ml_real *packed = NULL; // (rows / ML_TILE_ROWS, depth, ML_TILE_ROWS)
    if (packs_a(p)) {
        size_t size = ml_ceil_div(rows, ML_TILE_ROWS) * ML_PACKED_ROWS_SIZE(job->stretch);
        packed = ml_buffer_acquire(size * sizeof *packed);
        if (packed == NULL) {
            atomic_store(&job->failed, 1);
            return;
        }
    }
    size_t k = 0;
    do { // once even where k is 0: C is init
        size_t depth = ml_smaller(job->stretch, p->k - k);
        if (packed != NULL)
            job->kernels->pack_transposed(rows, depth, p->a + k * p->lda + i, p->lda, packed);
        multiply_stretch(job, i, rows, j, panels, k, depth, packed);
        k += depth;
    } while (k < p->k);
    ml_buffer_release(packed);
}

// Half, in whole units.
static size_t halve(size_t length, size_t unit)
{
    return ml_ceil_div(ml_ceil_div(length, 2), unit) * unit;
}

// Smaller blocks where the product would have too few for the work in it: 16 at most.
static size_t cut(product_job *job)
{
    const ml_product *p = job->product;
    const double work = (double)p->m * (double)p->n * (double)p->k / BLOCK_WORK;
    const size_t wanted = work < 1 ? 1 : work < 8 ? (size_t)work : 8;
    job->block_rows = BLOCK_ROWS;
    job->block_panels = BLOCK_COLUMNS / job->shape.unit_width;
    for (;;) {
        job->blocks_across = ml_ceil_div(job->shape.panels, job->block_panels);
        size_t blocks = ml_ceil_div(p->m, job->block_rows) * job->blocks_across;
        if (blocks >= wanted)
            return blocks;
        if (job->block_rows > 2 * ML_TILE_ROWS)
            job->block_rows = halve(job->block_rows, ML_TILE_ROWS);
        else if (job->block_panels > 1)
            job->block_panels = halve(job->block_panels, 1);
        else
            return blocks;
    }
}

int ml_product_run(const ml_product *product, ml_error *err)
{
    product_job job = {.product = product,
                       .kernels = ml_kernels_get(),
                       .shape = ml_packed_plan(1, product->n, product->k)};
    // Stretches of nearly equal length.
    job.stretch = ml_ceil_div(product->k, ml_ceil_div(product->k, STRETCH) + (product->k == 0));
    ml_real *panels = ml_buffer_acquire(ml_packed_size(&job.shape) * sizeof *panels);
    if (panels != NULL) {
        const int transposed = product->trans_b == ML_TRANS;
        ml_pack(&job.shape, product->b, transposed ? 1 : product->ldb, 0,
                transposed ? product->ldb : 1, panels);
        job.panels = panels;
        ml_parallel_for(cut(&job), multiply_block, &job);
        ml_buffer_release(panels);
    }
    if (panels == NULL || atomic_load(&job.failed))
        return ml_fail(err, ML_ERR_MEMORY,
                       "matrix product (%zu, %zu, %zu): no memory for packed operands", product->m,
                       product->n, product->k);
    return ML_OK;
}
