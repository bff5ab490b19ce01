// A recurrent layer's walk through time, forward and back.
//
// A step is a product of B rows with W_hh and the cell's work on the result. W_hh is packed once a
// call, so that a register tile (a few rows, all gates of some units) holds all that the cell
// needs: the tile goes from the product straight to the cell. A step's work is a grid of panels
// (units) and row blocks. Threads share it by rows or by units, as recurrent_plan.c finds best: a
// thread takes the same part at every step, so that its slice of W_hh stays in its own cache. No
// number is summed across the grid: the bits are the same for any plan and number of threads.
//
// An elementwise cell has no W_hh: its items need no tile, are as wide as is handy, and each walks
// through all of time without waiting for another.
#include <string.h>

#include "packed.h"
#include "platform.h"
#include "pool.h"
#include "recurrent_layout.h"
#include "recurrent_plan.h"
#include "sizes.h"

typedef struct grid {
    const ml_scan *scan;
    const ml_kernels *kernels;
    ml_packed_shape shape;
    ml_plan plan;
    void (*item)(const struct grid *g, size_t panel, size_t block, size_t step);
    int back;
} grid;

// Time of the step with this number.
static size_t time_of(const ml_scan *scan, size_t step)
{
    return scan->memory.reverse ? scan->T - 1 - step : step;
}

// Units in pieces of whole cache lines; no weights.
static ml_packed_shape unpacked_shape(size_t H)
{
    enum { UNITS = 16 * ML_LINE };
    return (ml_packed_shape){
        .units = H, .unit_width = UNITS, .panels = ml_ceil_div(H, UNITS), .panel_size = 0};
}

// forward: the columns are the units of all gates; backward: the units of h, summed over gates
static ml_packed_shape forward_shape(const ml_cell *cell, size_t H)
{
    return cell->elementwise ? unpacked_shape(H) : ml_packed_plan(cell->gates, H, H);
}
static ml_packed_shape backward_shape(const ml_cell *cell, size_t H)
{
    return cell->elementwise ? unpacked_shape(H) : ml_packed_plan(1, H, cell->gates * H);
}

size_t ml_scan_packed_size(const ml_cell *cell, size_t H)
{
    ml_packed_shape forward = forward_shape(cell, H), backward = backward_shape(cell, H);
    size_t a = ml_packed_size(&forward), b = ml_packed_size(&backward);
    return a > b ? a : b;
}

// Where an item of a step's grid lies. Row blocks are of nearly equal height.
typedef struct item {
    size_t panel, block;
    size_t unit, units; // units [unit, unit + units)
    size_t row, rows;   // rows [row, row + rows)
} item;

static item item_at(const grid *g, size_t panel, size_t block)
{
    size_t B = g->scan->B, H = g->scan->H;
    item it = {.panel = panel, .block = block};
    it.unit = panel * g->shape.unit_width;
    it.units = H - it.unit < g->shape.unit_width ? H - it.unit : g->shape.unit_width;
    it.row = B * block / g->plan.blocks;
    it.rows = B * (block + 1) / g->plan.blocks - it.row;
    return it;
}

// The item's share of the panel after its own, to be fetched while its own is multiplied; NULL
// behind the end.
static const ml_real *next_panel(const grid *g, const item *it)
{
    const size_t share = g->shape.depth * ML_LINE;
    const size_t first = it->block * share;
    if (it->panel + 1 == g->shape.panels || first + share > g->shape.panel_size)
        return NULL;
    return g->scan->packed + (it->panel + 1) * g->shape.panel_size + first;
}

// tile (rows, vectors * lanes) = a (rows, depth) times the item's panel
static void multiply(const grid *g, const item *it, const ml_real *a, size_t lda, ml_real *tile)
{
    const size_t width = g->shape.gates * g->shape.unit_width;
    const ml_panel_product product = {
        .rows = it->rows,
        .columns = width,
        .depth = g->shape.depth,
        .a = a + it->row * lda,
        .a_row = lda,
        .a_k = 1,
        .panel = g->scan->packed + it->panel * g->shape.panel_size,
        .panel_row = width,
        .c = tile,
        .c_row = width,
        .ahead = next_panel(g, it),
        .ahead_step = ML_LINE,
    };
    g->kernels->panel_product(&product);
}

static ml_real *row_of(const ml_rows *rows, size_t t, const item *it)
{
    return rows->data == NULL ? NULL
                              : rows->data + t * rows->time + it->row * rows->batch + it->unit;
}

// Asks for what a cell will read or write while the product before it runs: `count` pieces of the
// item's units, `apart` numbers from one to the next, in each of its rows. They are short and far
// apart, so the processor does not foresee them.
static void prefetch(const item *it, const ml_real *first, size_t row, size_t count, size_t apart)
{
    if (first == NULL)
        return;
    for (size_t i = 0; i < it->rows; i++)
        for (size_t piece = 0; piece < count; piece++)
            for (size_t u = 0; u < it->units; u += ML_LINE)
                ML_PREFETCH(first + i * row + piece * apart + u);
}

// An item's place in a state, (T, B, H); NULL where the cell has none.
static ml_real *state_at(ml_real *states, const ml_scan *s, const item *it, size_t t)
{
    return states == NULL ? NULL : states + (t * s->B + it->row) * s->H + it->unit;
}

// ---- where sequences start anew ---------------------------------------------------------------

static int starts(const ml_scan *s, size_t t, size_t row)
{
    return s->starts != NULL && s->starts[t * s->B + row] != 0;
}

// before_t = after_{t-1}, or 0
static void pass_on(const ml_scan *s, const item *it, const ml_states *states, size_t t)
{
    const ml_real *after = state_at(states->after, s, it, t - 1);
    ml_real *before = state_at(states->before, s, it, t);
    for (size_t i = 0; i < it->rows && states->before != NULL; i++) {
        if (starts(s, t, it->row + i))
            memset(before + i * s->H, 0, it->units * sizeof *before);
        else
            memcpy(before + i * s->H, after + i * s->H, it->units * sizeof *before);
    }
}

// What comes back from a step at t to the states before it; dh NULL: only the carry.
static void hold_back(const ml_scan *s, const item *it, size_t t, ml_real *dh, size_t dh_row)
{
    ml_real *carry = s->carry + it->row * s->H + it->unit;
    for (size_t i = 0; i < it->rows; i++)
        if (starts(s, t, it->row + i)) {
            if (dh != NULL)
                memset(dh + i * dh_row, 0, it->units * sizeof *dh);
            memset(carry + i * s->H, 0, it->units * sizeof *carry);
        }
}

void ml_clear_started(const ml_scan *scan, ml_real *rows)
{
    for (size_t b = 0; b < scan->B; b++)
        if (starts(scan, 0, b))
            memset(rows + b * scan->H, 0, scan->H * sizeof *rows);
}

// ---- forward ----------------------------------------------------------------------------------

// The tile of a step: h_{t-1} W_hh^T.
static void forward_product(const grid *g, const item *it, const ml_cell_forward *cell, size_t step,
                            ml_real *tile)
{
    const ml_scan *s = g->scan;
    const size_t H = s->H, S = s->cell->saved;
    prefetch(it, cell->gates, S * H, S, H);
    prefetch(it, cell->h, H, 1, 0);
    prefetch(it, cell->y, cell->y_row, 1, 0);
    prefetch(it, cell->c_prev, H, 1, 0);
    prefetch(it, cell->c, H, 1, 0);
    if (step == 0 && s->from_zero)
        memset(tile, 0, it->rows * cell->tile_row * sizeof *tile);
    else
        multiply(g, it, s->memory.h.before + time_of(s, step) * s->B * H, H, tile);
}

static void forward_item(const grid *g, size_t panel, size_t block, size_t step)
{
    const item place = item_at(g, panel, block), *it = &place;
    const ml_scan *s = g->scan;
    const size_t B = s->B, H = s->H, S = s->cell->saved, t = time_of(s, step);
    ml_real tile[ML_TILE_SIZE];

    ml_cell_forward cell = {
        .rows = it->rows,
        .units = it->units,
        .hidden = H,
        .tile = tile,
        .tile_units = g->shape.unit_width,
        .tile_row = g->shape.gates * g->shape.unit_width,
        .q_bias = s->bias + (S - 1) * H + it->unit,
        .gates = s->memory.gates + (t * B + it->row) * S * H + it->unit,
        .h_prev = state_at(s->memory.h.before, s, it, t),
        .c_prev = state_at(s->memory.c.before, s, it, t),
        .h = state_at(s->memory.h.after, s, it, t),
        .c = state_at(s->memory.c.after, s, it, t),
        .y = row_of(&s->y, t, it),
        .y_row = s->y.batch,
    };
    if (!s->cell->elementwise)
        forward_product(g, it, &cell, step, tile);
    for (size_t i = 0; i < it->rows; i++)
        cell.x[i] = s->ids == NULL
                        ? cell.gates + i * S * H
                        : s->table + (size_t)s->ids[t * B + it->row + i] * S * H + it->unit;
    s->cell->forward(g->kernels, s->config)(&cell);
    if (s->starts != NULL && step + 1 < s->T) {
        pass_on(s, it, &s->memory.h, t + 1);
        pass_on(s, it, &s->memory.c, t + 1);
    }
}

// ---- backward ---------------------------------------------------------------------------------

// The tile of a step: dgates_{t+1} W_hh, what comes back through the product of the step after.
static void backward_product(const grid *g, const item *it, ml_cell_backward *cell, size_t step,
                             ml_real *tile)
{
    const ml_scan *s = g->scan;
    const size_t B = s->B, H = s->H, S = s->cell->saved;
    const ml_real *next = s->dgates + time_of(s, step + 1) * B * S * H + s->cell->hidden_column * H;
    multiply(g, it, next, S * H, tile);
    cell->dh_next = tile;
    cell->dh_next_row = g->shape.unit_width;
}

// Brings nearer what a step back will read and write.
static void prefetch_backward(const ml_scan *s, const item *it, const ml_cell_backward *cell)
{
    const size_t H = s->H, S = s->cell->saved;
    prefetch(it, cell->gates, S * H, S, H);
    prefetch(it, cell->dgates, S * H, S, H);
    prefetch(it, cell->dy, cell->dy_row, 1, 0);
    prefetch(it, cell->h_prev, H, 1, 0);
    prefetch(it, cell->carry, H, 1, 0);
    prefetch(it, cell->c, H, 1, 0);
    prefetch(it, cell->c_prev, H, 1, 0);
}

static void backward_item(const grid *g, size_t panel, size_t block, size_t step)
{
    const item place = item_at(g, panel, block), *it = &place;
    const ml_scan *s = g->scan;
    const size_t B = s->B, H = s->H, S = s->cell->saved, t = time_of(s, step);
    const size_t state = it->row * H + it->unit;
    const size_t gates = (t * B + it->row) * S * H + it->unit;
    ml_real tile[ML_TILE_SIZE];
    ml_cell_backward cell = {
        .rows = it->rows,
        .units = it->units,
        .hidden = H,
        .dy = row_of(&s->y, t, it),
        .dy_row = s->y.batch,
        .gates = s->memory.gates + gates,
        .h = state_at(s->memory.h.after, s, it, t),
        .h_prev = state_at(s->memory.h.before, s, it, t),
        .c = state_at(s->memory.c.after, s, it, t),
        .c_prev = state_at(s->memory.c.before, s, it, t),
        .carry = s->carry + state,
        .dgates = s->dgates + gates,
    };
    const int elementwise = s->cell->elementwise;
    if (!elementwise)
        prefetch_backward(s, it, &cell);
    if (step + 1 < s->T) {
        if (!elementwise)
            backward_product(g, it, &cell, step, tile);
        if (s->starts != NULL)
            hold_back(s, it, t + 1, elementwise ? NULL : tile, g->shape.unit_width);
    } else if (s->dh_n != NULL) {
        cell.dh_next = s->dh_n + state;
        cell.dh_next_row = H;
    }
    s->cell->backward(g->kernels, s->config)(&cell);
}

// ---- time -------------------------------------------------------------------------------------

// A thread's part of a step: items `begin` to `end` of panels x blocks, panel by panel, so that a
// panel stays in the cache for all blocks that it multiplies.
static void step_by_units(const grid *g, size_t rank, size_t size, size_t step)
{
    size_t items = g->shape.panels * g->plan.blocks;
    size_t begin = items * rank / size, end = items * (rank + 1) / size;
    for (size_t index = begin; index < end; index++)
        g->item(g, index / g->plan.blocks, index % g->plan.blocks, step);
}

static void step_by_rows(const grid *g, size_t rank, size_t size, size_t step)
{
    size_t begin = g->plan.blocks * rank / size, end = g->plan.blocks * (rank + 1) / size;
    for (size_t panel = 0; panel < g->shape.panels; panel++)
        for (size_t block = begin; block < end; block++)
            g->item(g, panel, block, step);
}

static void walk(void *ctx, ml_team *team, size_t rank, size_t size)
{
    const grid *g = ctx;
    const size_t T = g->scan->T;
    for (size_t i = 0; i < T; i++) {
        size_t step = g->back ? T - 1 - i : i;
        if (g->plan.kind == ML_PLAN_BY_ROWS) {
            step_by_rows(g, rank, size, step); // of its own sequences: it waits for nobody
        } else {
            step_by_units(g, rank, size, step);
            if (g->plan.kind != ML_PLAN_APART)
                ml_team_barrier(team);
        }
    }
}

// Packs W_hh, whose element (k, gate, unit) lies as ml_pack takes it, and plans the walk.
static ml_plan prepare_products(const ml_scan *scan, const ml_packed_shape *shape, int back)
{
    const size_t H = scan->H, gates = scan->cell->gates;
    if (back)
        ml_pack(shape, scan->w_hh, H, 0, 1, scan->packed);
    else
        ml_pack(shape, scan->w_hh, 1, H * H, H, scan->packed);
    const double work = (double)scan->B * (double)gates * (double)H * (double)H;
    return ml_plan_scan(scan->T, scan->B, shape->panels, work,
                        (double)ml_packed_size(shape) * sizeof(ml_real), ml_usable_threads());
}

static ml_plan plan_elementwise(const ml_scan *scan, const ml_packed_shape *shape)
{
    const double numbers = (double)scan->B * (double)scan->cell->saved * (double)scan->H;
    return ml_plan_elementwise(scan->T, scan->B, shape->panels, numbers, ml_usable_threads());
}

static void run(const ml_scan *scan, ml_packed_shape shape, int back)
{
    grid g = {.scan = scan,
              .kernels = ml_kernels_get(),
              .shape = shape,
              .item = back ? backward_item : forward_item,
              .back = back};
    g.plan = scan->cell->elementwise ? plan_elementwise(scan, &g.shape)
                                     : prepare_products(scan, &g.shape, back);
    ml_parallel_team(g.plan.threads, walk, &g);
}

void ml_scan_forward(const ml_scan *scan) { run(scan, forward_shape(scan->cell, scan->H), 0); }

void ml_scan_backward(const ml_scan *scan) { run(scan, backward_shape(scan->cell, scan->H), 1); }
