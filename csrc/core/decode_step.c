// Reading and writing tokens with packed weights.
//
//     x = embedding[id]; in each layer: sums = b + W_ih x + W_hh h, h = cell(sums), x = h
//     logits = W h + b of the head
//
// Threads take panels of one matrix after the other, and meet at its end: a panel's sums are nobody
// else's, so the bits do not depend on who takes it. It is gone through once a token, for all texts
// side by side.
#include "decode.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "decode_layout.h"
#include "pool.h"
#include "sizes.h"
#include "workspace.h"

// Multiply-adds of a token that are worth a thread: a smaller model fits the cache of one core, and
// barriers would cost it what a second core could give.
enum { THREAD_WORK = 1 << 19, MOST_THREADS = 64, PHASES = 3 };

typedef struct decode_run {
    const ml_decoder *d;
    const ml_texts *texts;
    size_t begin, end; // positions that are read
    ml_real *h;        // (2, layers, batch, padded): of this token and the one before, by turns
    ml_real *c;        // (layers, batch, padded), lstm
    int16_t *h_levels; // like h, in int8
    int16_t *x_levels; // (batch, E rounded up to even), in int8 without a table
    ml_real *logits;   // (batch, row, V) of all that is read, or (batch, V) to draw from, or NULL
    const ml_writing *writing; // NULL: only read
    void *workspace;           // of the sampler
    // Panels that the two threads of a pair have claimed, of the matrix that is gone through now, of
    // the one before it and of the one after it.
    atomic_size_t claimed[PHASES][MOST_THREADS / 2];
    int code;  // of what was drawn last
    int ended; // all texts have
    ml_error *err;
} decode_run;

// ---- where things lie -------------------------------------------------------------------------

static size_t even(size_t n) { return n + n % 2; }

static size_t id_at(const decode_run *r, size_t text, size_t position)
{
    return (size_t)r->texts->ids[text * r->texts->row + position];
}

// h of a layer and text after so many positions of this run, as a place in h and h_levels.
static size_t h_at(const decode_run *r, size_t after, size_t layer, size_t text)
{
    size_t turn = after % 2;
    return ((turn * r->d->layers + layer) * r->texts->batch + text) * r->d->padded;
}

static ml_real *logits_at(const decode_run *r, size_t text, size_t position)
{
    size_t at = r->writing != NULL ? text : text * r->texts->row + position;
    return r->logits + at * r->d->vocab;
}

static ml_operand h_operand(const decode_run *r, size_t at)
{
    return (ml_operand){r->h + at, r->d->int8 ? r->h_levels + at : NULL, (ml_real)1 / ML_LEVELS};
}

// What the layer multiplies by W_ih.
static ml_operand input_operand(const decode_run *r, size_t position, size_t layer, size_t text)
{
    const ml_decoder *d = r->d;
    if (layer > 0)
        return h_operand(r, h_at(r, position - r->begin + 1, layer - 1, text));
    size_t id = id_at(r, text, position);
    if (d->int8)
        return (ml_operand){NULL, r->x_levels + text * even(d->embed), d->embedding_steps[id]};
    return (ml_operand){d->embedding + id * d->embed, NULL, 0};
}

// ---- a token ----------------------------------------------------------------------------------

typedef struct team_part {
    ml_team *team;
    size_t rank, size;
    size_t phase; // matrices gone through so far
} team_part;

// Calls `work` for all panels and texts, and returns when all threads are done. Two threads share a
// stretch of panels, one from its front, the other from its back, until they meet: each finds most of
// its panels in its own cache again, and neither waits for one that is held up.
static void each_panel(decode_run *r, size_t position, size_t layer, size_t panels, team_part *part,
                       void (*work)(const decode_run *r, size_t position, size_t layer,
                                    size_t panel, size_t text))
{
    size_t pair = part->rank / 2, last = ml_smaller(2 * pair + 2, part->size);
    size_t begin = panels * 2 * pair / part->size, end = panels * last / part->size;
    atomic_size_t *claimed = &r->claimed[part->phase % PHASES][pair];
    // The one of the next phase: nobody has claimed from it since the barrier before the last.
    atomic_store(&r->claimed[++part->phase % PHASES][pair], 0);
    for (size_t taken = 0; atomic_fetch_add(claimed, 1) < end - begin; taken++) {
        size_t panel = part->rank % 2 == 0 ? begin + taken : end - 1 - taken;
        for (size_t text = 0; text < r->texts->batch; text++)
            work(r, position, layer, panel, text);
    }
    ml_team_barrier(part->team);
}

static void run_cell(const decode_run *r, size_t units, const ml_real *sums, ml_real *state,
                     ml_real *h)
{
    const ml_kernels *kernels = ml_kernels_get();
    if (r->d->cell->has_c)
        kernels->decode_lstm(units, sums, state, h);
    else if (r->d->cell->columns == 1)
        kernels->decode_rnn(units, sums, state, h);
    else
        kernels->decode_gru(units, sums, state, h);
}

// The units of one panel of a layer, for one text.
static void step_panel(const decode_run *r, size_t position, size_t l, size_t panel, size_t text)
{
    const ml_decoder *d = r->d;
    const decode_layer *layer = &d->layer[l];
    const decode_cell *cell = d->cell;
    size_t first = ml_matvec_first(&layer->recurrent, panel);
    size_t units = ml_matvec_units(&layer->recurrent, panel);
    ml_real sums[ML_PANEL_VECTORS * ML_MAX_LANES];
    const ml_real *start = layer->bias;
    if (l == 0 && d->table != NULL)
        start = d->table + id_at(r, text, position) * cell->columns * d->padded;
    memcpy(sums, start + cell->columns * first, cell->columns * units * sizeof *sums);

    if (layer->input.panels > 0) {
        ml_operand x = input_operand(r, position, l, text);
        ml_matvec_product(&layer->input, panel, &x, sums + cell->input_at * units);
    }
    size_t before = h_at(r, position - r->begin, l, text);
    size_t after = h_at(r, position - r->begin + 1, l, text);
    ml_operand h = h_operand(r, before);
    ml_matvec_product(&layer->recurrent, panel, &h, sums + cell->recurrent_at * units);

    ml_real *state = r->h + before + first;
    if (cell->has_c)
        state = r->c + (l * r->texts->batch + text) * d->padded + first;
    run_cell(r, units, sums, state, r->h + after + first);
    if (d->int8)
        ml_kernels_get()->to_levels(units, r->h + after + first, ML_LEVELS,
                                    r->h_levels + after + first);
}

static void step_head(const decode_run *r, size_t position, size_t layer, size_t panel, size_t text)
{
    const ml_decoder *d = r->d;
    size_t first = ml_matvec_first(&d->head, panel), units = ml_matvec_units(&d->head, panel);
    ml_real sums[ML_PANEL_VECTORS * ML_MAX_LANES];
    memcpy(sums, d->head_bias + first, units * sizeof *sums);
    ml_operand h = h_operand(r, h_at(r, position - r->begin + 1, layer - 1, text));
    ml_matvec_product(&d->head, panel, &h, sums);
    size_t real_units = units < d->vocab - first ? units : d->vocab - first;
    memcpy(logits_at(r, text, position) + first, sums, real_units * sizeof *sums);
}

// The vectors of the tokens as levels, for a first layer that multiplies them in int8.
static void widen_embeddings(const decode_run *r, size_t position)
{
    const ml_decoder *d = r->d;
    for (size_t text = 0; text < r->texts->batch; text++) {
        const int8_t *row = d->embedding_int8 + id_at(r, text, position) * d->embed;
        int16_t *levels = r->x_levels + text * even(d->embed);
        for (size_t i = 0; i < d->embed; i++)
            levels[i] = row[i];
        if (d->embed % 2 != 0)
            levels[d->embed] = 0;
    }
}

static void step(decode_run *r, size_t position, team_part *part)
{
    const ml_decoder *d = r->d;
    if (d->embedding_int8 != NULL) {
        if (part->rank == 0)
            widen_embeddings(r, position);
        ml_team_barrier(part->team);
    }
    for (size_t l = 0; l < d->layers; l++)
        each_panel(r, position, l, d->layer[l].recurrent.panels, part, step_panel);
    if (r->logits != NULL)
        each_panel(r, position, d->layers, d->head.panels, part, step_head);
}

// ---- drawing ----------------------------------------------------------------------------------

static int draw_one(const decode_run *r, size_t position, size_t text, size_t *token)
{
    const ml_writing *w = r->writing;
    ml_real *logits = logits_at(r, text, position);
    for (size_t i = 0; i < w->suppressions; i++)
        logits[w->suppressed[i]] = -(ml_real)INFINITY;
    return ml_sample_in(logits, r->d->vocab, &w->sampler, w->seed + text,
                        w->offset + (position - r->begin), r->workspace, token, r->err);
}

// Writes the id after `position` in each text.
static void draw(decode_run *r, size_t position)
{
    const ml_writing *w = r->writing;
    r->ended = w->end_id >= 0;
    for (size_t text = 0; text < r->texts->batch; text++) {
        size_t token = (size_t)w->end_id;
        if (w->end_id < 0 || !w->ended[text]) {
            r->code = draw_one(r, position, text, &token);
            if (r->code != ML_OK)
                return;
            if (w->end_id >= 0)
                w->ended[text] = (int64_t)token == w->end_id;
        }
        r->texts->ids[text * r->texts->row + position + 1] = (int64_t)token;
        r->ended = r->ended && w->ended[text];
    }
}

static void walk(void *ctx, ml_team *team, size_t rank, size_t size)
{
    decode_run *r = ctx;
    team_part part = {team, rank, size, 0};
    for (size_t position = r->begin; position < r->end; position++) {
        step(r, position, &part);
        if (r->writing == NULL)
            continue;
        if (rank == 0) {
            draw(r, position);
            if (r->code != ML_OK || r->ended)
                r->end = position + 1;
        }
        ml_team_barrier(team);
        // No thread writes `end` again before the others have read it: there is a layer's barrier.
    }
}

// ---- memory and states ------------------------------------------------------------------------

static void *take_bytes(ml_arena *arena, size_t a, size_t b, size_t size)
{
    return ml_arena_array(arena, a, b, (size + sizeof(ml_real) - 1) / sizeof(ml_real));
}

// Lays out what a run needs; with a base of NULL it only counts.
static void lay_out(decode_run *r, ml_arena *arena)
{
    const ml_decoder *d = r->d;
    size_t batch = r->texts->batch;
    r->h = ml_arena_array(arena, 2 * d->layers, batch, d->padded);
    if (d->cell->has_c)
        r->c = ml_arena_array(arena, d->layers, batch, d->padded);
    if (d->int8)
        r->h_levels = take_bytes(arena, 2 * d->layers, batch, d->padded * sizeof(int16_t));
    if (d->embedding_int8 != NULL)
        r->x_levels = take_bytes(arena, batch, even(d->embed), sizeof(int16_t));
    if (r->writing != NULL) {
        r->logits = ml_arena_array(arena, batch, d->vocab, 1);
        r->workspace = take_bytes(arena, 1, 1, ml_sample_workspace(d->vocab));
    }
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

static int take_states(decode_run *r)
{
    const ml_decoder *d = r->d;
    const ml_texts *texts = r->texts;
    size_t rows = d->layers * texts->batch;
    int code = check_state(texts->h, rows * d->hidden, "h", r->err);
    if (code == ML_OK && d->cell->has_c)
        code = check_state(texts->c, rows * d->hidden, "c", r->err);
    if (code != ML_OK)
        return code;
    pad_rows(rows, d->hidden, d->padded, texts->h, r->h);
    if (d->cell->has_c)
        pad_rows(rows, d->hidden, d->padded, texts->c, r->c);
    if (d->int8)
        ml_kernels_get()->to_levels(rows * d->padded, r->h, ML_LEVELS, r->h_levels);
    return ML_OK;
}

static void give_states(const decode_run *r)
{
    const ml_decoder *d = r->d;
    size_t rows = d->layers * r->texts->batch;
    unpad_rows(rows, d->hidden, d->padded, r->h + h_at(r, r->end - r->begin, 0, 0), r->texts->h);
    if (d->cell->has_c)
        unpad_rows(rows, d->hidden, d->padded, r->c, r->texts->c);
}

static int run(decode_run *r)
{
    ml_arena count = {0};
    lay_out(r, &count);
    void *block = count.overflow ? NULL : ml_buffer_acquire(count.used);
    if (block == NULL)
        return ml_fail(r->err, ML_ERR_MEMORY, "decoder: no memory for %zu texts side by side",
                       r->texts->batch);
    ml_arena arena = {.base = block};
    lay_out(r, &arena);
    int code = take_states(r);
    if (code == ML_OK) {
        size_t wanted = 1 + ml_decoder_work(r->d) * r->texts->batch / THREAD_WORK;
        ml_parallel_team(ml_smaller(wanted, MOST_THREADS), walk, r);
        code = r->code;
    }
    if (code == ML_OK)
        give_states(r);
    ml_buffer_release(block);
    return code;
}

// ---- public -----------------------------------------------------------------------------------

static int check_ids(const ml_decoder *d, const ml_texts *texts, size_t begin, size_t end,
                     ml_error *err)
{
    for (size_t text = 0; text < texts->batch; text++)
        for (size_t t = begin; t < end; t++) {
            int64_t id = texts->ids[text * texts->row + t];
            if (id < 0 || (uint64_t)id >= d->vocab)
                return ml_fail(err, ML_ERR_INDEX,
                               "ids[%zu, %zu]: expected 0 to %zu, one of the vocabulary, got %lld; "
                               "is it another model's tokenizer?",
                               text, t, d->vocab - 1, (long long)id);
        }
    return ML_OK;
}

int ml_decoder_read(const ml_decoder *d, const ml_texts *texts, size_t begin, size_t end,
                    ml_real *logits, ml_error *err)
{
    if (check_ids(d, texts, begin, end, err) != ML_OK)
        return err->code;
    decode_run r = {.d = d, .texts = texts, .begin = begin, .end = end, .err = err};
    r.logits = logits;
    return run(&r);
}

int ml_decoder_write(const ml_decoder *d, const ml_texts *texts, const ml_writing *writing,
                     size_t begin, size_t end, size_t *written, ml_error *err)
{
    if (check_ids(d, texts, begin - 1, begin, err) != ML_OK)
        return err->code;
    // A text that has ended goes on reading it.
    if (writing->end_id >= 0 && (uint64_t)writing->end_id >= d->vocab)
        return ml_fail(err, ML_ERR_INDEX,
                       "end_id: expected 0 to %zu, one of the vocabulary, got %lld; is it another "
                       "tokenizer's?",
                       d->vocab - 1, (long long)writing->end_id);
    decode_run r = {.d = d, .texts = texts, .begin = begin - 1, .end = end - 1, .err = err};
    r.writing = writing;
    int code = run(&r);
    *written = r.end + 1;
    return code;
}
