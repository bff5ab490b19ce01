#include "recurrent_plan.h"

#include "kernels/kernels.h"
#include "platform.h"
#include "sizes.h"

// What a core does in a microsecond, and what meeting costs. They only have to be right enough to
// tell the plans apart: csrc/tests/test_recurrent_plan.c holds what they choose.
#define MULTIPLY_ADDS 6.0e4 // a microsecond, of panel_product and the cell behind it
#define FULL_TILE 4.0       // rows from which a tile is as quick as it can be
#define STREAMED 2.5e4      // bytes a microsecond from beyond a core's own cache
#define WAITED_FOR 0.2      // share of that which does not hide behind arithmetic
#define MEETING 0.7         // microseconds at a barrier
#define STARTING 5.0        // microseconds until other threads have begun, and are waited for
#define CACHE_SHARE 0.75    // of a core's own cache, for weights
#define BY_ELEMENT 1.5e3    // numbers a microsecond that pass through a cell without a product

// A thread's time for a step, with `share` of the arithmetic, of which tiles have `height` rows, and
// `bytes` of weights: those stay in its cache from step to step, or are read again while it computes,
// for the most part.
static double step_time(double work, double share, double height, double bytes)
{
    double busy = height < FULL_TILE ? FULL_TILE / height : 1; // a low tile waits for its panel
    double compute = work * share * busy / MULTIPLY_ADDS;
    double stream = bytes > CACHE_SHARE * (double)ml_core_cache_bytes() ? bytes / STREAMED : 0;
    return (compute > stream ? compute : stream) + WAITED_FOR * stream;
}

ml_plan ml_plan_scan(size_t steps, size_t rows, size_t panels, double work, double weight_bytes,
                     size_t threads)
{
    const double T = (double)steps;
    const size_t blocks = ml_ceil_div(rows, ML_TILE_ROWS);
    const double height = blocks > 0 ? (double)rows / (double)blocks : FULL_TILE;
    ml_plan best = {ML_PLAN_ALONE, 1, blocks, T * step_time(work, 1, height, weight_bytes)};
    if (threads > 1 && rows > 1) {
        const size_t used = threads < rows ? threads : rows, each = ml_ceil_div(rows, used);
        const double share = (double)each / (double)rows;
        const double low = (double)each / (double)ml_ceil_div(each, ML_TILE_ROWS);
        const double time = STARTING + T * step_time(work, share, low, weight_bytes);
        if (time < best.time)
            best = (ml_plan){ML_PLAN_BY_ROWS, used, used * ml_ceil_div(each, ML_TILE_ROWS), time};
    }
    if (threads > 1 && panels * blocks > 1) {
        const size_t items = panels * blocks, used = threads < items ? threads : items;
        const double share = (double)ml_ceil_div(items, used) / (double)items;
        const double step = step_time(work, share, height, weight_bytes / (double)used);
        const double time = STARTING + T * (step + MEETING);
        if (time < best.time)
            best = (ml_plan){ML_PLAN_BY_UNITS, used, blocks, time};
    }
    return best;
}

ml_plan ml_plan_elementwise(size_t steps, size_t rows, size_t panels, double numbers,
                            size_t threads)
{
    const double alone = (double)steps * numbers / BY_ELEMENT;
    const ml_plan one = {ML_PLAN_ALONE, 1, ml_ceil_div(rows, ML_TILE_ROWS), alone};
    if (threads < 2 || rows * panels < 2)
        return one;
    // Blocks in equal numbers for all threads, where there are sequences enough.
    const size_t used = ml_smaller(threads, rows), each = ml_ceil_div(rows, used);
    const size_t blocks = used * ml_ceil_div(each, ML_TILE_ROWS);
    const size_t items = panels * blocks, team = ml_smaller(threads, items);
    const double share = (double)ml_ceil_div(items, team) / (double)items;
    const ml_plan apart = {ML_PLAN_APART, team, blocks, STARTING + alone * share};
    return apart.time < one.time ? apart : one;
}
