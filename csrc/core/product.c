// C is cut into blocks, and for each block k is walked in stretches: a panel of B, packed, meets all
// rows of the block, six at a time, while its stretch is near. Blocks are tall, and each packs the
// panels that it needs, so that these never leave its core. A is read where it lies, but for a
// transposed A with long rows: that is packed, a block and a stretch at a time, so blocks are wide, and
// B is packed once, by all threads.
#include "product.h"

#include <stdatomic.h>

#include "kernels/kernels.h"
#include "packed.h"
#include "pool.h"
#include "sizes.h"
#include "tile.h"
#include "workspace.h"

enum {
    WIDE_ROWS = 192,      // rows of a wide block of C; multiples of ML_TILE_ROWS
    TALL_ROWS = 2040,     // of a tall one,
    LEAST_TALL_ROWS = 60, // at least, or packing a panel costs more than multiplying with it
    BLOCK_COLUMNS = 512,  // columns of a block of C
    STRETCH = 512,        // of k, at most: more cost the cache, fewer pass over C more often
    BLOCK_WORK = 1 << 19, // multiply-adds that make a block worth a task
    SHORT_ROW = 256       // numbers: rows of a transposed A that are longer are packed
};

typedef struct product_job {
    const ml_product *product;
    const ml_kernels *kernels;
    ml_packed_shape shape; // of B
    const ml_real *panels; // all of B, packed; NULL where each block packs what it needs
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

// Where element (k, column) of B lies behind its first, in numbers.
typedef struct b_strides {
    size_t k, column;
} b_strides;

static b_strides strides_of_b(const ml_product *p)
{
    return p->trans_b == ML_TRANS ? (b_strides){1, p->ldb} : (b_strides){p->ldb, 1};
}

// A panel of B for one stretch of k; packed into `own` where it is not yet.
static const ml_real *panel_of_b(const product_job *job, size_t panel, size_t k, size_t depth,
                                 ml_real *own)
{
    const ml_product *p = job->product;
    const size_t width = job->shape.unit_width, column = panel * width;
    if (job->panels != NULL)
        return job->panels + panel * job->shape.panel_size + k * width;
    ml_packed_shape shape = job->shape;
    shape.units = ml_smaller(width, p->n - column);
    shape.depth = depth;
    shape.panels = 1;
    shape.panel_size = depth * width;
    const b_strides b = strides_of_b(p);
    ml_pack(&shape, p->b + k * b.k + column * b.column, b.k, 0, b.column, own);
    return own;
}

// One stretch of k of a block: rows i .. of C, panels j .. ; `own` holds A where it is packed, and is for
// a panel of B otherwise. A panel's stretch stays in a core's own cache for all rows.
static void multiply_stretch(const product_job *job, size_t i, size_t rows, size_t j, size_t panels,
                             size_t k, size_t depth, ml_real *own)
{
    const ml_product *p = job->product;
    const size_t width = job->shape.unit_width;
    for (size_t panel = j; panel < j + panels; panel++) {
        const ml_real *b = panel_of_b(job, panel, k, depth, own);
        for (size_t r = 0; r < rows; r += ML_TILE_ROWS) {
            const a_rows a = rows_of_a(p, i, r, k, depth, own);
            const size_t column = panel * width;
            ml_real *c = p->c + (i + r) * p->ldc + column;
            const ml_real *init = p->init != NULL ? p->init + (i + r) * p->init_row + column : NULL;
            ml_panel_product tile = {
                .rows = ml_smaller(ML_TILE_ROWS, rows - r),
                .columns = ml_smaller(width, p->n - column),
                .depth = depth,
                .a = a.data,
                .a_row = a.row,
                .a_k = a.step,
                .panel = b,
                .panel_row = width,
                .init = k > 0 ? c : init,
                .init_row = k > 0 ? p->ldc : p->init_row,
                .c = c,
                .c_row = p->ldc,
            };
            if (panel == j && !packs_a(p)) // the panels after it find A in the cache
                ml_tile_look_ahead(&tile);
            ml_tile_ask_for_c(&tile);
            job->kernels->panel_product(&tile);
        }
    }
}

// Numbers that a block packs at a time: A as (rows / ML_TILE_ROWS, depth, ML_TILE_ROWS), or a panel.
static size_t own_size(const product_job *job, size_t rows)
{
    if (packs_a(job->product))
        return ml_ceil_div(rows, ML_TILE_ROWS) * ML_PACKED_ROWS_SIZE(job->stretch);
    return job->stretch * job->shape.unit_width;
}

static void multiply_block(void *ctx, size_t index)
{
    product_job *job = ctx;
    const ml_product *p = job->product;
    const size_t i = index / job->blocks_across * job->block_rows;
    const size_t j = index % job->blocks_across * job->block_panels;
    const size_t rows = ml_smaller(job->block_rows, p->m - i);
    const size_t panels = ml_smaller(job->block_panels, job->shape.panels - j);
    ml_real *own = ml_buffer_acquire(own_size(job, rows) * sizeof *own);
    if (own == NULL) {
        atomic_store(&job->failed, 1);
        return;
    }
    size_t k = 0;
    do { // once even where k is 0: C is init
        size_t depth = ml_smaller(job->stretch, p->k - k);
        if (packs_a(p))
            job->kernels->pack_transposed(rows, depth, p->a + k * p->lda + i, p->lda, own);
        multiply_stretch(job, i, rows, j, panels, k, depth, own);
        k += depth;
    } while (k < p->k);
    ml_buffer_release(own);
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
    const int tall = !packs_a(p); // else blocks are wide, or each would pack all of A
    const size_t least_rows = tall ? LEAST_TALL_ROWS : ML_TILE_ROWS;
    const size_t all_rows = ml_ceil_div(p->m, ML_TILE_ROWS) * ML_TILE_ROWS;
    job->block_rows = ml_smaller(tall ? TALL_ROWS : WIDE_ROWS, all_rows);
    job->block_panels = BLOCK_COLUMNS / job->shape.unit_width;
    for (;;) {
        job->blocks_across = ml_ceil_div(job->shape.panels, job->block_panels);
        size_t blocks = ml_ceil_div(p->m, job->block_rows) * job->blocks_across;
        if (blocks >= wanted)
            return blocks;
        const int can_narrow = job->block_panels > 1;
        if (job->block_rows > 2 * least_rows && !(tall && can_narrow))
            job->block_rows = halve(job->block_rows, ML_TILE_ROWS);
        else if (can_narrow)
            job->block_panels = halve(job->block_panels, 1);
        else
            return blocks;
    }
}

static int no_memory(const ml_product *p, ml_error *err)
{
    return ml_fail(err, ML_ERR_MEMORY,
                   "matrix product (%zu, %zu, %zu): no memory for packed operands", p->m, p->n,
                   p->k);
}

int ml_product_run(const ml_product *product, ml_error *err)
{
    product_job job = {.product = product,
                       .kernels = ml_kernels_get(),
                       .shape = ml_packed_plan(1, product->n, product->k)};
    // Stretches of nearly equal length.
    job.stretch = ml_ceil_div(product->k, ml_ceil_div(product->k, STRETCH) + (product->k == 0));
    ml_real *panels = NULL;
    if (packs_a(product)) {
        panels = ml_buffer_acquire(ml_packed_size(&job.shape) * sizeof *panels);
        if (panels == NULL)
            return no_memory(product, err);
        const b_strides b = strides_of_b(product);
        ml_pack(&job.shape, product->b, b.k, 0, b.column, panels);
        job.panels = panels;
    }
    ml_parallel_for(cut(&job), multiply_block, &job);
    ml_buffer_release(panels);
    return atomic_load(&job.failed) ? no_memory(product, err) : ML_OK;
}
