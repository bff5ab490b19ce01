// Reading tokens with the packed weights of a recurrent model.
//
//     x = embedding[id]; in each layer: sums = b + W_ih x + W_hh h, h = cell(sums), x = h
//     logits = W h + b of the head
//
// A phase is a layer: a panel's sums are nobody else's, so the bits do not depend on who takes it. It
// is gone through once a token, for all texts side by side.
#include <math.h>
#include <string.h>

#include "decode_recurrent_layout.h"

typedef struct recurrent_run {
    decode_run base;
    ml_real *h;        // (2, layers, batch, padded): of this token and the one before, by turns
    ml_real *c;        // (layers, batch, padded), lstm
    int16_t *h_levels; // like h, in int8
    int16_t *x_levels; // (batch, E rounded up to even), in int8 without a table
} recurrent_run;

// ---- where things lie -------------------------------------------------------------------------

static const recurrent_decoder *decoder_of(const decode_run *r)
{
    return (const recurrent_decoder *)r->d;
}

static const recurrent_run *run_of(const decode_at *at) { return (const recurrent_run *)at->run; }

static size_t even(size_t n) { return n + n % 2; }

// h of a layer and text after so many positions of this run, as a place in h and h_levels.
static size_t h_at(const decode_run *r, size_t after, size_t layer, size_t text)
{
    const recurrent_decoder *d = decoder_of(r);
    size_t turn = after % 2;
    return ((turn * d->layers + layer) * r->texts->batch + text) * d->padded;
}

// Positions of this run before the one that is read.
static size_t before(const decode_at *at) { return at->position - at->run->begin; }

static ml_operand h_operand(const recurrent_run *r, size_t at)
{
    return (ml_operand){r->h + at, r->base.d->int8 ? r->h_levels + at : NULL,
                        (ml_real)1 / ML_LEVELS};
}

// What the layer multiplies by W_ih.
static ml_operand input_operand(const decode_at *at, size_t text)
{
    const recurrent_run *r = run_of(at);
    const recurrent_decoder *d = decoder_of(at->run);
    if (at->layer > 0)
        return h_operand(r, h_at(at->run, before(at) + 1, at->layer - 1, text));
    size_t id = ml_decode_id(at, text);
    if (d->base.int8)
        return (ml_operand){NULL, r->x_levels + text * even(d->embed), d->embedding_steps[id]};
    return (ml_operand){d->embedding + id * d->embed, NULL, 0};
}

static ml_operand head_operand(const decode_at *at, size_t text)
{
    size_t last = decoder_of(at->run)->layers - 1;
    return h_operand(run_of(at), h_at(at->run, before(at) + 1, last, text));
}

// ---- a token ----------------------------------------------------------------------------------

// The units of one panel of a layer, for one text.
static void step_panel(const decode_at *at, size_t panel, size_t text)
{
    const recurrent_run *r = run_of(at);
    const recurrent_decoder *d = decoder_of(at->run);
    const decode_layer *layer = &d->layer[at->layer];
    const decode_cell *cell = d->cell;
    size_t first = ml_matvec_first(&layer->recurrent, panel);
    size_t units = ml_matvec_units(&layer->recurrent, panel);
    ml_real sums[ML_PANEL_VECTORS * ML_MAX_LANES];
    const ml_real *start = layer->bias;
    if (at->layer == 0 && d->table != NULL)
        start = d->table + ml_decode_id(at, text) * cell->columns * d->padded;
    memcpy(sums, start + cell->columns * first, cell->columns * units * sizeof *sums);

    if (layer->input.panels > 0) {
        ml_operand x = input_operand(at, text);
        ml_matvec_product(&layer->input, panel, &x, sums + cell->input_at * units);
    }
    size_t from = h_at(at->run, before(at), at->layer, text);
    size_t to = h_at(at->run, before(at) + 1, at->layer, text);
    ml_operand h = h_operand(r, from);
    ml_matvec_product(&layer->recurrent, panel, &h, sums + cell->recurrent_at * units);

    ml_real *state = r->h + from + first;
    if (cell->has_c)
        state = r->c + (at->layer * at->run->texts->batch + text) * d->padded + first;
    cell->kernel(ml_kernels_get())(units, sums, state, r->h + to + first);
    if (d->base.int8)
        ml_kernels_get()->to_levels(units, r->h + to + first, ML_LEVELS, ML_LEVELS,
                                    r->h_levels + to + first);
}

// The vectors of the tokens as levels, for a first layer that multiplies them in int8.
static void widen_embeddings(const decode_at *at)
{
    const recurrent_decoder *d = decoder_of(at->run);
    for (size_t text = 0; text < at->run->texts->batch; text++) {
        const int8_t *row = d->embedding_int8 + ml_decode_id(at, text) * d->embed;
        int16_t *levels = run_of(at)->x_levels + text * even(d->embed);
        for (size_t i = 0; i < d->embed; i++)
            levels[i] = row[i];
        if (d->embed % 2 != 0)
            levels[d->embed] = 0;
    }
}

static void step(decode_at *at)
{
    const recurrent_decoder *d = decoder_of(at->run);
    const size_t batch = at->run->texts->batch;
    if (d->embedding_int8 != NULL) {
        if (at->rank == 0)
            widen_embeddings(at);
        ml_team_barrier(at->team);
    }
    for (at->layer = 0; at->layer < d->layers; at->layer++)
        ml_decode_share(at, d->layer[at->layer].recurrent.panels, batch, step_panel);
    if (at->run->logits != NULL)
        ml_decode_head(at);
}

// ---- memory and states ------------------------------------------------------------------------

static void lay_out(decode_run *base, ml_arena *arena)
{
    recurrent_run *r = (recurrent_run *)base;
    const recurrent_decoder *d = decoder_of(base);
    size_t batch = base->texts->batch;
    r->h = ml_arena_array(arena, 2 * d->layers, batch, d->padded);
    if (d->cell->has_c)
        r->c = ml_arena_array(arena, d->layers, batch, d->padded);
    if (d->base.int8)
        r->h_levels = ml_decode_bytes(arena, 2 * d->layers, batch, d->padded * sizeof(int16_t));
    if (d->embedding_int8 != NULL)
        r->x_levels = ml_decode_bytes(arena, batch, even(d->embed), sizeof(int16_t));
}

static int check_state(const ml_real *state, size_t n, const char *name, ml_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(state[i]))
            return ml_fail(err, ML_ERR_VALUE,
                           "%s: expected finite numbers, got %g at %zu; has training diverged?",
                           name, (double)state[i], i);
    return ML_OK;
}

// From (rows, hidden) to (rows, padded) and back.
static void pad_rows(size_t rows, size_t hidden, size_t padded, const ml_real *from, ml_real *to)
{
    memset(to, 0, rows * padded * sizeof *to);
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * padded, from + i * hidden, hidden * sizeof *to);
}

static void unpad_rows(size_t rows, size_t hidden, size_t padded, const ml_real *from, ml_real *to)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * hidden, from + i * padded, hidden * sizeof *to);
}

static int take_states(decode_run *base)
{
    recurrent_run *r = (recurrent_run *)base;
    const recurrent_decoder *d = decoder_of(base);
    ml_real *const *state = base->texts->state;
    size_t rows = d->layers * base->texts->batch;
    int code = check_state(state[0], rows * d->hidden, "h", base->err);
    if (code == ML_OK && d->cell->has_c)
        code = check_state(state[1], rows * d->hidden, "c", base->err);
    if (code != ML_OK)
        return code;
    pad_rows(rows, d->hidden, d->padded, state[0], r->h);
    if (d->cell->has_c)
        pad_rows(rows, d->hidden, d->padded, state[1], r->c);
    if (d->base.int8)
        ml_kernels_get()->to_levels(rows * d->padded, r->h, ML_LEVELS, ML_LEVELS, r->h_levels);
    return ML_OK;
}

static void give_states(const decode_run *base)
{
    const recurrent_run *r = (const recurrent_run *)base;
    const recurrent_decoder *d = decoder_of(base);
    size_t rows = d->layers * base->texts->batch, last = h_at(base, base->end - base->begin, 0, 0);
    unpad_rows(rows, d->hidden, d->padded, r->h + last, base->texts->state[0]);
    if (d->cell->has_c)
        unpad_rows(rows, d->hidden, d->padded, r->c, base->texts->state[1]);
}

const decode_kind ml_recurrent_kind = {
    .run_size = sizeof(recurrent_run),
    .block = 1,
    .free_weights = ml_recurrent_free_weights,
    .lay_out = lay_out,
    .take_states = take_states,
    .step = step,
    .head_operand = head_operand,
    .give_states = give_states,
};
