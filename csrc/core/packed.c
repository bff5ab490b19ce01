#include "packed.h"

#include "kernels/kernels.h"
#include "platform.h"
#include "pool.h"

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

ml_packed_shape ml_packed_plan(size_t gates, size_t units, size_t depth)
{
    size_t lanes = ml_kernels_get()->lanes;
    size_t wide = ML_PANEL_VECTORS / gates; // vectors of each gate: 4, 2, 1, 1 for 1, 2, 3, 4 gates
    size_t needed = ceil_div(units, lanes);
    ml_packed_shape shape = {.gates = gates, .units = units, .depth = depth};
    size_t unit_vectors = needed < 1 ? 1 : smaller(wide, needed);
    shape.unit_width = unit_vectors * lanes;
    shape.vectors = gates * unit_vectors;
    shape.panels = ceil_div(units, shape.unit_width);
    shape.panel_size = depth * shape.vectors * lanes;
    return shape;
}

size_t ml_packed_size(const ml_packed_shape *shape) { return shape->panels * shape->panel_size; }

typedef struct pack_job {
    const ml_packed_shape *shape;
    const ml_real *src;
    size_t k_stride, gate_stride, unit_stride;
    ml_real *panels;
} pack_job;

static void pack_panel(void *ctx, size_t index)
{
    const pack_job *job = ctx;
    const ml_packed_shape *s = job->shape;
    size_t first = index * s->unit_width, units = smaller(s->unit_width, s->units - first);
    size_t row = s->gates * s->unit_width;
    ml_real *panel = job->panels + index * s->panel_size;
    for (size_t gate = 0; gate < s->gates; gate++) {
        const ml_real *src = job->src + gate * job->gate_stride + first * job->unit_stride;
        ml_real *dst = panel + gate * s->unit_width;
        for (size_t k = 0; k < s->depth; k++) {
            for (size_t u = 0; u < units; u++)
                dst[k * row + u] = src[k * job->k_stride + u * job->unit_stride];
            for (size_t u = units; u < s->unit_width; u++)
                dst[k * row + u] = 0;
        }
    }
}

void ml_pack(const ml_packed_shape *shape, const ml_real *src, size_t k_stride, size_t gate_stride,
             size_t unit_stride, ml_real *panels)
{
    pack_job job = {shape, src, k_stride, gate_stride, unit_stride, panels};
    // A small matrix is copied sooner than a second thread wakes.
    if (ml_packed_size(shape) < (size_t)1 << 15)
        for (size_t i = 0; i < shape->panels; i++)
            pack_panel(&job, i);
    else
        ml_parallel_for(shape->panels, pack_panel, &job);
}

// Adds a tile (rows, unit_width) to C, or puts it there.
static void put_tile(const ml_packed_shape *shape, const ml_real *tile, size_t rows, size_t columns,
                     ml_real beta, ml_real *c, size_t ldc)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            ml_real sum = tile[i * shape->unit_width + j];
            c[i * ldc + j] = beta == 0 ? sum : sum + beta * c[i * ldc + j];
        }
}

int ml_packed_gemm(ml_trans trans_a, ml_trans trans_b, size_t m, size_t n, size_t k,
                   const ml_real *a, size_t lda, const ml_real *b, size_t ldb, ml_real beta,
                   ml_real *c, size_t ldc)
{
    const ml_kernels *kernels = ml_kernels_get();
    ml_packed_shape shape = ml_packed_plan(1, n, k);
    // The kernel reads rows of A: of a transposed one, a few at a time are copied.
    size_t copied = trans_a == ML_TRANS ? ML_TILE_ROWS * k : 0;
    ml_real *panels = ml_aligned_alloc((ml_packed_size(&shape) + copied) * sizeof *panels);
    if (panels == NULL)
        return -1;
    ml_real *rows_of_a = panels + ml_packed_size(&shape);
    ml_pack(&shape, b, trans_b == ML_TRANS ? 1 : ldb, 0, trans_b == ML_TRANS ? ldb : 1, panels);

    ml_real tile[ML_TILE_SIZE];
    for (size_t i = 0; i < m; i += ML_TILE_ROWS) {
        size_t rows = smaller(ML_TILE_ROWS, m - i);
        const ml_real *block = a + i * lda;
        size_t ld = lda;
        if (trans_a == ML_TRANS) {
            for (size_t r = 0; r < rows; r++)
                for (size_t j = 0; j < k; j++)
                    rows_of_a[r * k + j] = a[j * lda + i + r];
            block = rows_of_a;
            ld = k;
        }
        for (size_t p = 0; p < shape.panels; p++) {
            size_t first = p * shape.unit_width;
            kernels->panel_product(rows, shape.vectors, k, block, ld, panels + p * shape.panel_size,
                                   tile);
            put_tile(&shape, tile, rows, smaller(shape.unit_width, n - first), beta,
                     c + i * ldc + first, ldc);
        }
    }
    ml_aligned_free(panels);
    return 0;
}
