#include "matvec.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "kernels/kernels.h"
#include "platform.h"
#include "pool.h"
#include "sizes.h"

size_t ml_matvec_first(const ml_matvec *m, size_t panel) { return panel * m->width; }

size_t ml_matvec_units(const ml_matvec *m, size_t panel)
{
    size_t left = ml_ceil_div(m->units, m->lanes) * m->lanes - ml_matvec_first(m, panel);
    return ml_smaller(m->width, left);
}

// Rows of W, padded ones included, in front of a panel.
static size_t rows_before(const ml_matvec *m, size_t panel) { return panel * m->gates * m->width; }

static size_t pairs(const ml_matvec *m) { return ml_ceil_div(m->depth, 2); }

// ---- packing ----------------------------------------------------------------------------------

typedef struct pack_job {
    ml_matvec *m;
    const ml_real *w; // (gates * units, depth)
    const unsigned char *order;
    atomic_size_t bad; // a row that is not finite, plus one
} pack_job;

// panel[k][j] = row[k] for one column j of the panel, which has `columns`; row NULL: padding
static void pack_reals(size_t depth, size_t columns, const ml_real *row, ml_real *panel)
{
    for (size_t k = 0; k < depth; k++)
        panel[k * columns] = row != NULL ? row[k] : 0;
}

double ml_int8_step(size_t n, const ml_real *row)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(row[i]))
            return NAN;
        largest = fmax(largest, fabs((double)row[i]));
    }
    return largest / 127;
}

int8_t ml_int8_level(ml_real x, double step)
{
    return (int8_t)(step > 0 ? round((double)x / step) : 0);
}

// The levels of a row of W, in pairs; returns what one of them is worth.
static double pack_bytes(size_t depth, size_t columns, const ml_real *row, int8_t *panel)
{
    double step = row != NULL ? ml_int8_step(depth, row) : 0;
    for (size_t k = 0; k < 2 * ml_ceil_div(depth, 2); k++)
        panel[k / 2 * 2 * columns + k % 2] =
            k < depth && step > 0 ? ml_int8_level(row[k], step) : 0;
    return step;
}

static void pack_panel(void *ctx, size_t panel)
{
    pack_job *job = ctx;
    ml_matvec *m = job->m;
    size_t units = ml_matvec_units(m, panel), columns = m->gates * units;
    size_t before = rows_before(m, panel);
    for (size_t j = 0; j < columns; j++) {
        size_t gate = job->order != NULL ? job->order[j / units] : j / units;
        size_t unit = ml_matvec_first(m, panel) + j % units, row = gate * m->units + unit;
        const ml_real *w = unit < m->units ? job->w + row * m->depth : NULL;
        if (m->reals != NULL) {
            pack_reals(m->depth, columns, w, m->reals + before * m->depth + j);
            continue;
        }
        double step = pack_bytes(m->depth, columns, w, m->bytes + before * 2 * pairs(m) + 2 * j);
        m->steps[before + j] = (ml_real)step;
        if (isnan(step))
            atomic_store(&job->bad, row + 1);
    }
}

static int allocate(ml_matvec *m, const char *name, int int8, ml_error *err)
{
    size_t rows = m->gates * ml_ceil_div(m->units, m->lanes) * m->lanes, numbers;
    numbers = int8 ? rows * 2 * pairs(m) : rows * m->depth;
    if (int8) {
        m->bytes = ml_aligned_alloc(numbers);
        m->steps = ml_aligned_alloc(rows * sizeof *m->steps);
        m->allocated = numbers + rows * sizeof *m->steps;
    } else {
        m->reals = ml_aligned_alloc(numbers * sizeof *m->reals);
        m->allocated = numbers * sizeof *m->reals;
    }
    if (int8 ? m->bytes != NULL && m->steps != NULL : m->reals != NULL)
        return ML_OK;
    return ml_fail(err, ML_ERR_MEMORY, "%s: no memory for %zu MiB of packed weights", name,
                   m->allocated >> 20);
}

int ml_matvec_pack(ml_matvec *m, const char *name, size_t gates, size_t units, size_t depth,
                   const ml_real *w, const unsigned char *order, int int8, ml_error *err)
{
    const size_t lanes = ml_kernels_get()->lanes;
    const size_t wide = ML_PANEL_VECTORS / gates; // vectors of each gate in a panel
    *m = (ml_matvec){.gates = gates, .units = units, .depth = depth, .lanes = lanes};
    m->width = ml_smaller(wide, ml_ceil_div(units, lanes)) * lanes;
    m->panels = ml_ceil_div(units, m->width);
    if (int8 && depth > ML_INT8_DEPTH)
        return ml_fail(err, ML_ERR_VALUE,
                       "%s: int8 sums at most %d products exactly, got rows of %zu", name,
                       ML_INT8_DEPTH, depth);
    int code = allocate(m, name, int8, err);
    if (code == ML_OK) {
        pack_job job = {.m = m, .w = w, .order = order};
        ml_parallel_for(m->panels, pack_panel, &job);
        size_t bad = atomic_load(&job.bad);
        if (bad > 0)
            code = ml_fail(err, ML_ERR_VALUE,
                           "%s: row %zu has numbers that are not finite; has training diverged?",
                           name, bad - 1);
    }
    if (code != ML_OK)
        ml_matvec_free(m);
    return code;
}

void ml_matvec_free(ml_matvec *m)
{
    ml_aligned_free(m->reals);
    ml_aligned_free(m->bytes);
    ml_aligned_free(m->steps);
    memset(m, 0, sizeof *m);
}

void ml_matvec_row(const ml_matvec *m, size_t index, ml_real *row)
{
    size_t panel = index / m->width, columns = ml_matvec_units(m, panel), j = index % m->width;
    size_t before = rows_before(m, panel);
    if (m->reals != NULL) {
        for (size_t k = 0; k < m->depth; k++)
            row[k] = m->reals[before * m->depth + k * columns + j];
        return;
    }
    const int8_t *bytes = m->bytes + before * 2 * pairs(m) + 2 * j;
    for (size_t k = 0; k < m->depth; k++)
        row[k] = m->steps[before + j] * (ml_real)bytes[k / 2 * 2 * columns + k % 2];
}

// ---- the product ------------------------------------------------------------------------------

void ml_matvec_product(const ml_matvec *m, size_t panel, const ml_operand *x, ml_real *sums)
{
    const ml_kernels *kernels = ml_kernels_get();
    size_t columns = m->gates * ml_matvec_units(m, panel), before = rows_before(m, panel);
    if (m->reals != NULL) {
        kernels->matvec_panel(columns / m->lanes, m->depth, x->reals, m->reals + before * m->depth,
                              sums);
        return;
    }
    int32_t total[ML_PANEL_VECTORS * ML_MAX_LANES];
    kernels->matvec_panel_int8(columns / m->lanes, pairs(m), x->levels,
                               m->bytes + before * 2 * pairs(m), total);
    kernels->add_levels(columns, total, m->steps + before, x->step, sums);
}
