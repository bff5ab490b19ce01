// The loop over tokens, whatever the model: a kind reads a step's positions, and where text is
// written, the next id is drawn from its logits.
#include "decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decode_kind.h"
#include "platform.h"
#include "sizes.h"

// Multiply-adds of a token that are worth a thread: a smaller model fits the cache of one core, and
// barriers would cost it what a second core could give.
enum { THREAD_WORK = 1 << 19 };

// ---- packed weights ---------------------------------------------------------------------------

void ml_decoder_free(ml_decoder *d)
{
    if (d == NULL)
        return;
    d->kind->free_weights(d);
    ml_matvec_free(&d->head);
    ml_aligned_free(d->head_bias);
    free(d);
}

size_t ml_decoder_vocab(const ml_decoder *d) { return d->vocab; }
size_t ml_decoder_bytes(const ml_decoder *d) { return d->allocated; }
size_t ml_decoder_work(const ml_decoder *d) { return d->work; }
ml_decoder_state ml_decoder_state_of(const ml_decoder *d) { return d->state; }

void *ml_decode_allocate(ml_decoder *d, size_t count, size_t size, ml_error *err)
{
    void *block = count <= SIZE_MAX / size ? ml_aligned_alloc(count * size) : NULL;
    if (block != NULL)
        d->allocated += count * size;
    else
        ml_fail(err, ML_ERR_MEMORY, "decoder: no memory for %zu numbers", count);
    return block;
}

int ml_decode_pack(ml_decoder *d, ml_matvec *m, const char *name, size_t gates, size_t units,
                   size_t depth, const ml_real *w, const unsigned char *order, ml_error *err)
{
    int code = ml_matvec_pack(m, name, gates, units, depth, w, order, d->int8, err);
    if (code == ML_OK) {
        d->allocated += m->allocated;
        d->work += gates * units * depth;
    }
    return code;
}

int ml_decode_pack_head(ml_decoder *d, size_t width, const ml_real *head, const ml_real *bias,
                        ml_error *err)
{
    int code = ml_decode_pack(d, &d->head, "head", 1, d->vocab, width, head, NULL, err);
    if (code != ML_OK)
        return code;
    size_t count = ml_matvec_first(&d->head, d->head.panels); // whole panels: at least V
    d->head_bias = ml_decode_allocate(d, count, sizeof(ml_real), err);
    if (d->head_bias == NULL)
        return err->code;
    for (size_t i = 0; i < count; i++)
        d->head_bias[i] = bias != NULL && i < d->vocab ? bias[i] : 0;
    return ML_OK;
}

// ---- sharing a phase --------------------------------------------------------------------------

// Two threads share a stretch of items, one from its front, the other from its back, until they
// meet: each finds most of its panels in its own cache again, and neither waits for one that is held
// up.
void ml_decode_share(decode_at *at, size_t items, size_t rows,
                     void (*work)(const decode_at *at, size_t item, size_t row))
{
    decode_run *r = at->run;
    size_t pair = at->rank / 2, last = ml_smaller(2 * pair + 2, at->size);
    size_t begin = items * 2 * pair / at->size, end = items * last / at->size;
    atomic_size_t *claimed = &r->claimed[at->phase % DECODE_PHASES][pair];
    // The one of the next phase: nobody has claimed from it since the barrier before the last.
    atomic_store(&r->claimed[++at->phase % DECODE_PHASES][pair], 0);
    for (size_t taken = 0; atomic_fetch_add(claimed, 1) < end - begin; taken++) {
        size_t item = at->rank % 2 == 0 ? begin + taken : end - 1 - taken;
        for (size_t row = 0; row < rows; row++)
            work(at, item, row);
    }
    ml_team_barrier(at->team);
}

// ---- the head ---------------------------------------------------------------------------------

size_t ml_decode_text(const decode_at *at, size_t row) { return row / at->count; }

static size_t position_of(const decode_at *at, size_t row)
{
    return at->position + row % at->count;
}

size_t ml_decode_id(const decode_at *at, size_t row)
{
    const ml_texts *texts = at->run->texts;
    return (size_t)texts->ids[ml_decode_text(at, row) * texts->row + position_of(at, row)];
}

static ml_real *logits_at(const decode_run *r, size_t text, size_t position)
{
    size_t at = r->writing != NULL ? text : text * r->texts->row + position;
    return r->logits + at * r->d->vocab;
}

static void head_panel(const decode_at *at, size_t panel, size_t row)
{
    const ml_decoder *d = at->run->d;
    size_t first = ml_matvec_first(&d->head, panel), units = ml_matvec_units(&d->head, panel);
    ml_real sums[ML_PANEL_VECTORS * ML_MAX_LANES];
    memcpy(sums, d->head_bias + first, units * sizeof *sums);
    ml_operand x = d->kind->head_operand(at, row);
    ml_matvec_product(&d->head, panel, &x, sums);
    ml_real *logits = logits_at(at->run, ml_decode_text(at, row), position_of(at, row));
    memcpy(logits + first, sums, ml_smaller(units, d->vocab - first) * sizeof *sums);
}

void ml_decode_head(decode_at *at)
{
    ml_decode_share(at, at->run->d->head.panels, at->run->texts->batch * at->count, head_panel);
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

// ---- a run ------------------------------------------------------------------------------------

static void walk(void *ctx, ml_team *team, size_t rank, size_t size)
{
    decode_run *r = ctx;
    const size_t block = r->writing != NULL ? 1 : r->d->kind->block;
    decode_at at = {.run = r, .team = team, .rank = rank, .size = size};
    for (at.position = r->begin; at.position < r->end; at.position += at.count) {
        at.count = ml_smaller(block, r->end - at.position);
        r->d->kind->step(&at);
        if (r->writing == NULL)
            continue;
        if (rank == 0) {
            draw(r, at.position);
            if (r->code != ML_OK || r->ended)
                r->end = at.position + 1;
        }
        ml_team_barrier(team);
        // No thread writes `end` again before the others have read it: there is a layer's barrier.
    }
}

void *ml_decode_bytes(ml_arena *arena, size_t a, size_t b, size_t size)
{
    return ml_arena_array(arena, a, b, ml_ceil_div(size, sizeof(ml_real)));
}

static void lay_out(decode_run *r, ml_arena *arena)
{
    if (r->writing != NULL) {
        r->logits = ml_arena_array(arena, r->texts->batch, r->d->vocab, 1);
        r->workspace = ml_decode_bytes(arena, 1, 1, ml_sample_workspace(r->d->vocab));
    }
    r->d->kind->lay_out(r, arena);
}

static int run_in_memory(decode_run *r)
{
    ml_arena count = {0};
    lay_out(r, &count);
    void *block = count.overflow ? NULL : ml_buffer_acquire(count.used);
    if (block == NULL)
        return ml_fail(r->err, ML_ERR_MEMORY, "decoder: no memory for %zu texts side by side",
                       r->texts->batch);
    ml_arena arena = {.base = block};
    lay_out(r, &arena);
    int code = r->d->kind->take_states(r);
    if (code == ML_OK) {
        ml_parallel_team(r->threads, walk, r);
        code = r->code;
    }
    if (code == ML_OK)
        r->d->kind->give_states(r);
    ml_buffer_release(block);
    return code;
}

// Reads from `begin` to *end, or writes; sets *end to where it stopped.
static int run(const ml_decoder *d, const ml_texts *texts, const ml_writing *writing, size_t begin,
               size_t *end, ml_real *logits, ml_error *err)
{
    if (ml_decoder_check_room(d, texts, *end - begin, err) != ML_OK)
        return err->code;
    decode_run *r = calloc(1, d->kind->run_size);
    if (r == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "decoder: no memory");
    r->d = d;
    r->texts = texts;
    r->begin = begin;
    r->end = *end;
    r->logits = logits;
    r->writing = writing;
    r->err = err;
    r->rows = texts->batch * (writing != NULL ? 1 : ml_smaller(d->kind->block, *end - begin));
    size_t worth = 1 + d->work * r->rows / THREAD_WORK;
    r->threads = ml_smaller(ml_smaller(worth, DECODE_THREADS), ml_get_threads());
    int code = run_in_memory(r);
    *end = r->end;
    free(r);
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

int ml_decoder_check_room(const ml_decoder *d, const ml_texts *texts, size_t tokens, ml_error *err)
{
    const size_t positions = d->state.positions;
    if (positions == 0)
        return ML_OK;
    const size_t room = ml_smaller(positions, texts->capacity);
    for (size_t text = 0; text < texts->batch; text++) {
        int64_t length = texts->lengths[text];
        if (length < 0 || (uint64_t)length > room)
            return ml_fail(err, ML_ERR_VALUE, "lengths[%zu]: expected 0 to %zu, got %lld", text,
                           room, (long long)length);
        if (tokens > room - (size_t)length)
            return ml_fail(err, ML_ERR_VALUE,
                           "text %zu: %zu tokens after %lld are more than there is room for: the "
                           "model has %zu positions, the states were made for %zu",
                           text, tokens, (long long)length, positions, texts->capacity);
    }
    return ML_OK;
}

int ml_decoder_read(const ml_decoder *d, const ml_texts *texts, size_t begin, size_t end,
                    ml_real *logits, ml_error *err)
{
    if (check_ids(d, texts, begin, end, err) != ML_OK)
        return err->code;
    return run(d, texts, NULL, begin, &end, logits, err);
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
    size_t last = end - 1;
    int code = run(d, texts, writing, begin - 1, &last, NULL, err);
    *written = last + 1;
    return code;
}
