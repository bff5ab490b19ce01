// A linear head and its cross-entropy, some rows of x at a time:
//
//     score = W x + b       p = exp(score - top) / sum       dscore = a p - hit [c = y] - spread w_c
//     dx = W^T dscore       dW += dscore x^T                 db += sum dscore
//
// in blocks of classes. A first pass over the blocks computes scores and, while they are in the
// cache, their exponentials with the block's own largest score; then the blocks' sums are put
// together; a second pass makes the gradients of a block and what follows from them, again while
// they are in the cache.
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "linear_cross_entropy.h"
#include "pool.h"
#include "rows.h"
#include "sizes.h"
#include "tile.h"

enum { GROUP = 256 }; // rows

typedef struct head_job {
    ml_head *head;
    const ml_kernels *kernels;
    const ml_head_gradients *gradients;
    atomic_int failed; // a slice found no memory
} head_job;

// ---- sizes ------------------------------------------------------------------------------------

void ml_head_plan(ml_head *h, size_t N)
{
    // All weights come through the caches twice for each group, so groups are large; but what a block
    // of classes meets again and again, x in two layouts and dx, should stay near a core.
    h->group = N < GROUP ? N : GROUP;
    h->blocks = ml_ceil_div(h->V, ML_HEAD_CLASSES);
    h->slices = ml_smaller(h->blocks, ML_HEAD_SLICES);
    h->columns_shape = ml_packed_plan(1, h->group, h->I);
    h->rows_shape = ml_packed_plan(1, h->I, h->group);
}

void ml_head_lay_out(ml_head *h, size_t N, ml_arena *arena)
{
    const size_t R = h->group;
    h->x_columns = ml_arena_reals(arena, ml_packed_size(&h->columns_shape));
    h->x_rows = ml_arena_reals(arena, ml_packed_size(&h->rows_shape));
    h->scores = ml_arena_array(arena, h->V, R, 1);
    h->top = ml_arena_array(arena, h->blocks, R, 1);
    h->sum = ml_arena_array(arena, h->blocks, R, 1);
    h->weighted = ml_arena_array(arena, h->blocks, R, 1);
    h->most = ml_arena_reals(arena, R);
    h->target = ml_arena_reals(arena, R);
    h->hit = ml_arena_reals(arena, R);
    h->spread = ml_arena_reals(arena, R);
    h->partial = ml_arena_array(arena, h->slices, R, h->I);
    h->row_loss = (double *)(void *)ml_arena_array(arena, N, sizeof(double) / sizeof(ml_real), 1);
}

// ---- the first pass: scores -------------------------------------------------------------------

// c (rows, columns) = init + a (rows, depth) panels, all panels of a shape.
static void multiply(const head_job *job, const ml_packed_shape *shape, const ml_real *panels,
                     size_t depth, size_t columns, size_t rows, const ml_real *a, size_t a_row,
                     size_t a_k, int add, ml_real *c, size_t c_row)
{
    const size_t width = shape->unit_width;
    for (size_t i = 0; i < rows; i += ML_TILE_ROWS)
        for (size_t j = 0; j < columns; j += width) {
            ml_real *tile = c + i * c_row + j;
            ml_panel_product product = {
                .rows = ml_smaller(ML_TILE_ROWS, rows - i),
                .columns = ml_smaller(width, columns - j),
                .depth = depth,
                .a = a + i * a_row,
                .a_row = a_row,
                .a_k = a_k,
                .panel = panels + j / width * shape->panel_size,
                .panel_row = width,
                .init = add ? tile : NULL,
                .init_row = c_row,
                .c = tile,
                .c_row = c_row,
            };
            if (j == 0)
                ml_tile_look_ahead(&product);
            ml_tile_ask_for_c(&product);
            job->kernels->panel_product(&product);
        }
}

// 1 where the target of row r of the group is one of the classes from `begin` on.
static int is_target(const ml_head *h, size_t r, size_t begin, size_t classes)
{
    const int64_t y = h->loss.target[h->first + r];
    return y >= (int64_t)begin && y < (int64_t)(begin + classes);
}

static void score_block(void *ctx, size_t block)
{
    const head_job *job = ctx;
    const ml_head *h = job->head;
    const size_t R = h->group, begin = block * ML_HEAD_CLASSES;
    const size_t classes = ml_smaller(ML_HEAD_CLASSES, h->V - begin);
    const ml_real *bias = h->bias != NULL ? h->bias + begin : NULL;
    ml_real *scores = h->scores + begin * R; // (classes, R)
    multiply(job, &h->columns_shape, h->x_columns, h->I, h->rows, classes, h->weight + begin * h->I,
             h->I, 1, 0, scores, R);
    for (size_t r = 0; r < h->rows; r++)
        if (is_target(h, r, begin, classes)) {
            const size_t c = (size_t)h->loss.target[h->first + r] - begin;
            h->target[r] = scores[c * R + r] + (bias != NULL ? bias[c] : 0);
        }
    if (h->loss.config->label_smoothing > 0) {
        ml_real *weighted = h->weighted + block * R;
        memset(weighted, 0, h->rows * sizeof *weighted);
        for (size_t c = 0; c < classes; c++)
            for (size_t r = 0; r < h->rows; r++)
                weighted[r] += (ml_real)ml_loss_class_weight(&h->loss, begin + c) *
                               (scores[c * R + r] + (bias != NULL ? bias[c] : 0));
    }
    job->kernels->columns_exp(classes, h->rows, R, bias, scores, h->top + block * R,
                              h->sum + block * R);
}

// ---- between the passes: what the blocks' sums add up to --------------------------------------

static void finish_rows(ml_head *h, const ml_kernels *kernels)
{
    const size_t R = h->group;
    // top becomes exp(top - most), the weight of the block's exponentials
    kernels->columns_exp(h->blocks, h->rows, R, NULL, h->top, h->most, NULL);
    for (size_t r = 0; r < h->rows; r++) {
        const size_t n = h->first + r;
        double sum = 0, weighted = 0;
        for (size_t b = 0; b < h->blocks; b++) {
            sum += (double)h->top[b * R + r] * (double)h->sum[b * R + r];
            if (h->loss.config->label_smoothing > 0)
                weighted += (double)h->weighted[b * R + r];
        }
        const ml_log_sum_exp log_sum = {h->most[r], (ml_real)log(sum)};
        h->row_loss[n] = ml_loss_of_scores(&h->loss, n, h->target[r], weighted, log_sum);
        // Where no row counts, the denominator is 0, and the gradients are 0 all the same.
        const ml_real scale = ml_loss_ignores(&h->loss, n) ? 0 : (ml_real)(1 / h->loss.denominator);
        const ml_loss_terms terms = ml_loss_row_terms(&h->loss, n);
        const double factor = terms.hit + terms.spread * h->loss.weight_sum;
        h->hit[r] = scale * (ml_real)terms.hit;
        h->spread[r] = scale * (ml_real)terms.spread;
        h->most[r] = scale * (ml_real)(factor / sum);
    }
    for (size_t b = 0; b < h->blocks; b++)
        for (size_t r = 0; r < h->rows; r++)
            h->top[b * R + r] *= h->most[r];
}

// ---- the second pass: gradients ---------------------------------------------------------------

static void block_gradient(const head_job *job, size_t block, size_t classes, ml_real *scores)
{
    const ml_head *h = job->head;
    const size_t R = h->group, begin = block * ML_HEAD_CLASSES;
    job->kernels->columns_scale(classes, h->rows, R, h->top + block * R, scores);
    if (h->loss.config->label_smoothing > 0)
        for (size_t c = 0; c < classes; c++)
            for (size_t r = 0; r < h->rows; r++)
                scores[c * R + r] -=
                    h->spread[r] * (ml_real)ml_loss_class_weight(&h->loss, begin + c);
    for (size_t r = 0; r < h->rows; r++)
        if (is_target(h, r, begin, classes))
            scores[((size_t)h->loss.target[h->first + r] - begin) * R + r] -= h->hit[r];
}

// Gradients of the blocks of one slice of the classes, one after the other.
static void slice_gradients(void *ctx, size_t slice)
{
    head_job *job = ctx;
    const ml_head *h = job->head;
    const ml_head_gradients *g = job->gradients;
    const size_t R = h->group, I = h->I;
    const size_t first = h->blocks * slice / h->slices, end = h->blocks * (slice + 1) / h->slices;
    const ml_packed_shape shape = ml_packed_plan(1, I, ML_HEAD_CLASSES);
    ml_real *weight = ml_buffer_acquire(ml_packed_size(&shape) * sizeof *weight);
    if (weight == NULL) {
        atomic_store(&job->failed, 1);
        return;
    }
    for (size_t block = first; block < end; block++) {
        const size_t begin = block * ML_HEAD_CLASSES;
        const size_t classes = ml_smaller(ML_HEAD_CLASSES, h->V - begin);
        ml_real *scores = h->scores + begin * R;
        block_gradient(job, block, classes, scores);
        job->kernels->row_sums(classes, h->rows, R, scores, h->first > 0, g->dbias + begin);
        multiply(job, &h->rows_shape, h->x_rows, h->rows, I, classes, scores, R, 1, h->first > 0,
                 g->dweight + begin * I, I);
        ml_packed_shape part = shape;
        part.depth = classes;
        ml_pack(&part, h->weight + begin * I, I, 0, 1, weight);
        multiply(job, &shape, weight, classes, I, h->rows, scores, 1, R, block > first,
                 h->partial + slice * R * I, I);
    }
    ml_buffer_release(weight);
}

static void sum_slices(void *ctx, size_t begin, size_t end)
{
    const head_job *job = ctx;
    const ml_head *h = job->head;
    const size_t I = h->I, size = (end - begin) * I;
    ml_real *dx = job->gradients->dx + (h->first + begin) * I;
    memcpy(dx, h->partial + begin * I, size * sizeof *dx);
    for (size_t slice = 1; slice < h->slices; slice++)
        job->kernels->add_row(size, h->partial + (slice * h->group + begin) * I, dx);
}

int ml_head_group(ml_head *h, const ml_head_gradients *gradients, ml_error *err)
{
    head_job job = {.head = h, .kernels = ml_kernels_get(), .gradients = gradients};
    const ml_real *x = h->x + h->first * h->I; // (rows, I)
    ml_packed_shape columns = h->columns_shape;
    columns.units = h->rows;
    columns.panels = ml_ceil_div(h->rows, columns.unit_width);
    ml_pack(&columns, x, 1, 0, h->I, h->x_columns);
    ml_parallel_for(h->blocks, score_block, &job);
    finish_rows(h, job.kernels);
    if (gradients == NULL)
        return ML_OK;
    ml_packed_shape rows = h->rows_shape;
    rows.depth = h->rows;
    ml_pack(&rows, x, h->I, 0, 1, h->x_rows);
    ml_parallel_for(h->slices, slice_gradients, &job);
    if (atomic_load(&job.failed))
        return ml_fail(err, ML_ERR_MEMORY,
                       "linear_cross_entropy: no memory for a block of weights");
    ml_parallel_ranges(h->rows, ml_row_grain(h->I), sum_slices, &job);
    return ML_OK;
}
