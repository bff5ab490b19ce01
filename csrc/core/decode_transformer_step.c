// Reading tokens with the packed weights of a transformer.
//
//     x = embedding[id] + position[t]
//     in each block:  q, k, v = W norm_1(x) + b, q and k turned by their position
//                     x += W attention(q, all k, all v) + b
//                     x += W f(W norm_2(x) + b) + b,      gated: f(gate) * up
//     logits = W norm(x) of the head
//
// A block is five phases, four matrices and the attention between them, a head of keys at a time. What
// a phase multiplies is normalised, and in int8 rounded, by each thread for itself: that takes less
// time than to wait for another.
#include <math.h>
#include <string.h>

#include "decode_transformer_layout.h"
#include "sizes.h"

typedef struct transformer_run {
    decode_run base;
    // By row, a position of a text; numbers of a row, in whole vectors:
    size_t width, qkv_width, mixed_width, inner_width;
    ml_real *x;      // (rows, width)
    ml_real *qkv;    // (rows, qkv_width)
    ml_real *mixed;  // (rows, mixed_width): what attention gives, head by head
    ml_real *inner;  // (rows, inner_width)
    ml_real *angles; // (rows, 2, D / 2): cosines and sines of rotary positions
    // Of each thread, what it multiplies:
    size_t widest;       // numbers of a row
    ml_operand *operand; // (threads, rows)
    ml_real *normal;     // (threads, rows, width)
    int16_t *levels;     // (threads, rows, widest), in int8
    size_t keys;         // positions that it attends to, in whole vectors
    ml_real *p;          // (threads, keys)
} transformer_run;

static const transformer_decoder *decoder_of(const decode_at *at)
{
    return (const transformer_decoder *)at->run->d;
}

static transformer_run *run_of(const decode_at *at) { return (transformer_run *)at->run; }

static size_t rows_of(const decode_at *at) { return at->run->texts->batch * at->count; }

static const decode_block *block_of(const decode_at *at)
{
    return &decoder_of(at)->block[at->layer];
}

// Where a row stands in its text: so many positions are before it.
static size_t place_of(const decode_at *at, size_t row)
{
    size_t length = (size_t)at->run->texts->lengths[ml_decode_text(at, row)];
    return length + (at->position - at->run->begin) + row % at->count;
}

// ---- what a phase multiplies ------------------------------------------------------------------

static ml_operand *operand_at(const decode_at *at, size_t row)
{
    return run_of(at)->operand + at->rank * at->run->rows + row;
}

static void normalise(const transformer_decoder *d, const decode_norm *norm, const ml_real *x,
                      ml_real *y)
{
    const ml_kernels *kernels = ml_kernels_get();
    ml_real mean, scale;
    if (d->rms)
        kernels->rmsnorm_row(d->width, d->eps, x, norm->weight, y, &scale);
    else
        kernels->layernorm_row(d->width, d->eps, x, norm->weight, norm->bias, y, &mean, &scale);
}

// In whole numbers of up to ML_LEVELS, the largest being that. A vector of zeros, and one that is next
// to nothing beside any weight, is 0; one that is not finite makes a step that is not.
static ml_real round_vector(size_t n, const ml_real *x, int16_t *levels)
{
    const ml_real nothing = (ml_real)1e-30;
    ml_real largest = ml_kernels_get()->largest_size(n, x);
    if (isnan(largest) || largest < nothing) {
        memset(levels, 0, (n + n % 2) * sizeof *levels);
        return isnan(largest) ? largest : 0;
    }
    levels[n - n % 2] = 0; // the second of the last pair, where n is odd
    ml_kernels_get()->to_levels(n, x, ML_LEVELS / largest, ML_LEVELS, levels);
    return largest / ML_LEVELS;
}

// The vectors (rows, n) of a phase, `width` numbers apart, normalised where there is a norm.
static void prepare(const decode_at *at, size_t n, size_t width, const ml_real *from,
                    const decode_norm *norm)
{
    const transformer_run *r = run_of(at);
    for (size_t row = 0; row < rows_of(at); row++) {
        const size_t mine = at->rank * at->run->rows + row;
        const ml_real *x = from + row * width;
        if (norm != NULL) {
            normalise(decoder_of(at), norm, x, r->normal + mine * r->width);
            x = r->normal + mine * r->width;
        }
        ml_operand *operand = operand_at(at, row);
        *operand = (ml_operand){.reals = x};
        if (at->run->d->int8) {
            int16_t *levels = r->levels + mine * r->widest;
            operand->levels = levels;
            operand->step = round_vector(n, x, levels);
        }
    }
}

// sums = W x + b for one panel, gate after gate
static void multiply(const decode_at *at, const decode_linear *linear, size_t panel, size_t row,
                     ml_real *sums)
{
    const ml_matvec *m = &linear->matrix;
    const size_t first = ml_matvec_first(m, panel), units = ml_matvec_units(m, panel);
    const size_t padded = ml_ceil_div(m->units, m->lanes) * m->lanes;
    for (size_t gate = 0; gate < m->gates; gate++)
        memcpy(sums + gate * units, linear->bias + gate * padded + first, units * sizeof *sums);
    ml_matvec_product(m, panel, operand_at(at, row), sums);
}

// x += W . + b
static void add_panel(const decode_at *at, const decode_linear *linear, size_t panel, size_t row)
{
    const transformer_run *r = run_of(at);
    const size_t first = ml_matvec_first(&linear->matrix, panel);
    const size_t units = ml_matvec_units(&linear->matrix, panel);
    ml_real sums[ML_PANEL_VECTORS * ML_MAX_LANES], *x = r->x + row * r->width + first;
    multiply(at, linear, panel, row, sums);
    ml_kernels_get()->add_row(units, sums, x);
}

// ---- attention --------------------------------------------------------------------------------

static void qkv_panel(const decode_at *at, size_t panel, size_t row)
{
    const transformer_run *r = run_of(at);
    const ml_matvec *m = &block_of(at)->qkv.matrix;
    ml_real sums[ML_PANEL_VECTORS * ML_MAX_LANES];
    multiply(at, &block_of(at)->qkv, panel, row, sums);
    memcpy(r->qkv + row * r->qkv_width + ml_matvec_first(m, panel), sums,
           ml_matvec_units(m, panel) * sizeof *sums);
}

static void turn(const decode_at *at, size_t row, ml_real *x)
{
    const transformer_decoder *d = decoder_of(at);
    const size_t half = d->size / 2;
    if (d->frequencies == NULL)
        return;
    const ml_real *cosines = run_of(at)->angles + row * 2 * half;
    ml_kernels_get()->rotary_row(half, 1, cosines, cosines + half, x, x);
}

// A text's keys (capacity, D) of one group, or its values.
static ml_real *cache_at(const decode_at *at, int values, size_t text, size_t group)
{
    const transformer_decoder *d = decoder_of(at);
    const ml_texts *texts = at->run->texts;
    size_t row = (at->layer * texts->batch + text) * d->groups + group;
    return texts->state[values] + row * texts->capacity * d->size;
}

// The queries of one head for a row; its key and value are in the cache.
static void attend_head(const decode_at *at, size_t row, size_t head, const ml_real *k,
                        const ml_real *v)
{
    const transformer_decoder *d = decoder_of(at);
    const transformer_run *r = run_of(at);
    ml_real *query = r->qkv + row * r->qkv_width + head * d->size;
    turn(at, row, query);
    for (size_t i = 0; i < d->size; i++)
        query[i] *= block_of(at)->scale;
    const ml_decode_attention attention = {
        .keys = place_of(at, row) + 1,
        .size = d->size,
        .query = query,
        .k = k,
        .v = v,
        .p = r->p + at->rank * r->keys,
        .out = r->mixed + row * r->mixed_width + head * d->size,
    };
    ml_kernels_get()->decode_attention(&attention);
}

// The heads that share keys and values, in one text, for all its rows in order.
static void attend_group(const decode_at *at, size_t item, size_t unused)
{
    (void)unused;
    const transformer_decoder *d = decoder_of(at);
    const transformer_run *r = run_of(at);
    const size_t text = item / d->groups, group = item % d->groups, size = d->size;
    const size_t together = d->heads / d->groups;
    ml_real *k = cache_at(at, 0, text, group), *v = cache_at(at, 1, text, group);
    for (size_t row = text * at->count; row < (text + 1) * at->count; row++) {
        ml_real *key = r->qkv + row * r->qkv_width + (d->heads + group) * size;
        const size_t place = place_of(at, row) * size;
        turn(at, row, key);
        memcpy(k + place, key, size * sizeof *k);
        memcpy(v + place, key + d->groups * size, size * sizeof *v);
        for (size_t head = group * together; head < (group + 1) * together; head++)
            attend_head(at, row, head, k, v);
    }
}

static void out_panel(const decode_at *at, size_t panel, size_t row)
{
    add_panel(at, &block_of(at)->out, panel, row);
}

// ---- the MLP ----------------------------------------------------------------------------------

static void inner_panel(const decode_at *at, size_t panel, size_t row)
{
    const transformer_decoder *d = decoder_of(at);
    const transformer_run *r = run_of(at);
    const ml_matvec *m = &block_of(at)->inner.matrix;
    const size_t units = ml_matvec_units(m, panel);
    ml_real sums[ML_PANEL_VECTORS * ML_MAX_LANES];
    ml_real *y = r->inner + row * r->inner_width + ml_matvec_first(m, panel);
    multiply(at, &block_of(at)->inner, panel, row, sums);
    ml_kernels_get()->activation_forward(d->function, units, sums, y);
    for (size_t i = 0; m->gates == 2 && i < units; i++)
        y[i] *= sums[units + i];
}

static void down_panel(const decode_at *at, size_t panel, size_t row)
{
    add_panel(at, &block_of(at)->down, panel, row);
}

// ---- a step -----------------------------------------------------------------------------------

// As nn.rotary has them: angles in double, since a float is too coarse at large positions.
static void find_angles(const transformer_decoder *d, size_t place, ml_real *cosines)
{
    const size_t half = d->size / 2;
    for (size_t i = 0; i < half; i++) {
        double angle = (double)place * (double)d->frequencies[i];
        cosines[i] = (ml_real)cos(angle);
        cosines[half + i] = (ml_real)sin(angle);
    }
}

static void embed_row(const decode_at *at, size_t row, size_t unused)
{
    (void)unused;
    const transformer_decoder *d = decoder_of(at);
    const transformer_run *r = run_of(at);
    const size_t place = place_of(at, row);
    ml_real *x = r->x + row * r->width;
    ml_matvec_row(d->embedding.panels > 0 ? &d->embedding : &d->base.head, ml_decode_id(at, row),
                  x);
    memset(x + d->width, 0, (r->width - d->width) * sizeof *x);
    if (d->position != NULL)
        ml_kernels_get()->add_row(d->width, d->position + place * d->width, x);
    if (d->frequencies != NULL)
        find_angles(d, place, r->angles + row * d->size);
}

static void step_block(decode_at *at)
{
    const transformer_decoder *d = decoder_of(at);
    const transformer_run *r = run_of(at);
    const decode_block *block = block_of(at);
    const size_t rows = rows_of(at);
    prepare(at, d->width, r->width, r->x, &block->norm_1);
    ml_decode_share(at, block->qkv.matrix.panels, rows, qkv_panel);
    ml_decode_share(at, at->run->texts->batch * d->groups, 1, attend_group);
    prepare(at, d->heads * d->size, r->mixed_width, r->mixed, NULL);
    ml_decode_share(at, block->out.matrix.panels, rows, out_panel);
    prepare(at, d->width, r->width, r->x, &block->norm_2);
    ml_decode_share(at, block->inner.matrix.panels, rows, inner_panel);
    prepare(at, d->inner_size, r->inner_width, r->inner, NULL);
    ml_decode_share(at, block->down.matrix.panels, rows, down_panel);
}

static void step(decode_at *at)
{
    const transformer_decoder *d = decoder_of(at);
    const transformer_run *r = run_of(at);
    ml_decode_share(at, rows_of(at), 1, embed_row);
    for (at->layer = 0; at->layer < d->layers; at->layer++)
        step_block(at);
    if (at->run->logits == NULL)
        return;
    prepare(at, d->width, r->width, r->x, &d->norm);
    ml_decode_head(at);
}

static ml_operand head_operand(const decode_at *at, size_t row) { return *operand_at(at, row); }

// ---- memory and states ------------------------------------------------------------------------

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static void lay_out(decode_run *base, ml_arena *arena)
{
    transformer_run *r = (transformer_run *)base;
    const transformer_decoder *d = (const transformer_decoder *)base->d;
    const size_t lanes = ml_kernels_get()->lanes, rows = base->rows, threads = base->threads;
    const size_t mixed = d->heads * d->size;
    r->width = ml_ceil_div(d->width, lanes) * lanes;
    r->qkv_width = ml_ceil_div(mixed + 2 * d->groups * d->size, lanes) * lanes;
    r->mixed_width = ml_ceil_div(mixed, lanes) * lanes;
    r->inner_width = ml_ceil_div(d->inner_size, lanes) * lanes;
    r->x = ml_arena_array(arena, rows, r->width, 1);
    r->qkv = ml_arena_array(arena, rows, r->qkv_width, 1);
    r->mixed = ml_arena_array(arena, rows, r->mixed_width, 1);
    r->inner = ml_arena_array(arena, rows, r->inner_width, 1);
    if (d->frequencies != NULL)
        r->angles = ml_arena_array(arena, rows, 2, d->size / 2);
    r->operand = ml_decode_bytes(arena, threads, rows, sizeof *r->operand);
    r->normal = ml_arena_array(arena, threads, rows, r->width);
    r->widest = larger(larger(r->width, r->mixed_width), r->inner_width) + 1; // and one to be even
    r->widest += r->widest % 2;
    if (base->d->int8)
        r->levels = ml_decode_bytes(arena, threads, rows, r->widest * sizeof *r->levels);
    r->keys = ml_ceil_div(base->texts->capacity, lanes) * lanes;
    r->p = ml_arena_array(arena, threads, r->keys, 1);
}

// Keys and values are used as they lie; those beyond a text's length may be anything.
static int take_states(decode_run *r)
{
    (void)r;
    return ML_OK;
}

static void give_states(const decode_run *r)
{
    for (size_t text = 0; text < r->texts->batch; text++)
        r->texts->lengths[text] += (int64_t)(r->end - r->begin);
}

const decode_kind ml_transformer_kind = {
    .run_size = sizeof(transformer_run),
    .block = ML_DECODER_BLOCK,
    .free_weights = ml_transformer_free_weights,
    .lay_out = lay_out,
    .take_states = take_states,
    .step = step,
    .head_operand = head_operand,
    .give_states = give_states,
};
