#include "packed.h"

#include <string.h>

#include "kernels/kernels.h"
#include "platform.h"
#include "pool.h"
#include "sizes.h"

ml_packed_shape ml_packed_plan(size_t gates, size_t units, size_t depth)
{
    size_t lanes = ml_kernels_get()->lanes;
    size_t wide = ML_PANEL_VECTORS / gates; // vectors of each gate: 4, 2, 1, 1 for 1, 2, 3, 4 gates
    size_t needed = ml_ceil_div(units, lanes);
    ml_packed_shape shape = {.gates = gates, .units = units, .depth = depth};
    size_t unit_vectors = needed < 1 ? 1 : ml_smaller(wide, needed);
    shape.unit_width = unit_vectors * lanes;
    shape.vectors = gates * unit_vectors;
    shape.panels = ml_ceil_div(units, shape.unit_width);
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

// dst[k][u] = src[k][u]; the pieces lie too far apart for the processor to guess the next.
static void copy_rows(const pack_job *job, const ml_real *src, size_t units, size_t row,
                      ml_real *dst)
{
    enum { AHEAD = 12 };
    for (size_t k = 0; k < job->shape->depth; k++) {
        if (k + AHEAD < job->shape->depth)
            for (size_t u = 0; u < units; u += ML_LINE)
                ML_PREFETCH(src + (k + AHEAD) * job->k_stride + u);
        memcpy(dst + k * row, src + k * job->k_stride, units * sizeof *dst);
    }
}

// dst[k][u] = src[u][k], a few k at a time: the source is read along its rows, and the lines that
// are written to stay in the cache meanwhile.
static void copy_columns(const pack_job *job, const ml_real *src, size_t units, size_t row,
                         ml_real *dst)
{
    enum { DEPTH = 16 };
    for (size_t k = 0; k < job->shape->depth; k += DEPTH) {
        size_t end = ml_smaller(k + DEPTH, job->shape->depth);
        for (size_t u = 0; u < units; u++)
            for (size_t at = k; at < end; at++)
                dst[at * row + u] = src[at * job->k_stride + u * job->unit_stride];
    }
}

static void pack_panel(void *ctx, size_t index)
{
    const pack_job *job = ctx;
    const ml_packed_shape *s = job->shape;
    size_t first = index * s->unit_width, units = ml_smaller(s->unit_width, s->units - first);
    size_t row = s->gates * s->unit_width;
    ml_real *panel = job->panels + index * s->panel_size;
    for (size_t gate = 0; gate < s->gates; gate++) {
        const ml_real *src = job->src + gate * job->gate_stride + first * job->unit_stride;
        ml_real *dst = panel + gate * s->unit_width;
        if (job->unit_stride == 1)
            copy_rows(job, src, units, row, dst);
        else
            copy_columns(job, src, units, row, dst);
        for (size_t k = 0; k < s->depth && units < s->unit_width; k++)
            memset(dst + k * row + units, 0, (s->unit_width - units) * sizeof *dst);
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
