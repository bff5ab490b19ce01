// Packing a recurrent model's weights for decode_recurrent_step.c.
#include "decode_recurrent.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode_recurrent_layout.h"
#include "platform.h"
#include "pool.h"
#include "sizes.h"

// The table of a larger vocabulary would crowd what a token reads out of the caches.
static const size_t TABLE_BYTES = (size_t)4 << 20;

static decode_cell_fn rnn_kernel(const ml_kernels *k) { return k->decode_rnn; }
static decode_cell_fn lstm_kernel(const ml_kernels *k) { return k->decode_lstm; }
static decode_cell_fn gru_kernel(const ml_kernels *k) { return k->decode_gru; }
static decode_cell_fn mingru_kernel(const ml_kernels *k) { return k->decode_mingru; }
static decode_cell_fn minlstm_kernel(const ml_kernels *k) { return k->decode_minlstm; }

static const decode_cell cells[] = {
    {.name = "rnn", .kernel = rnn_kernel, .gates = 1, .columns = 1},
    {.name = "lstm",
     .kernel = lstm_kernel,
     .gates = 4,
     .columns = 4,
     .input_order = {0, 1, 2, 3},
     .recurrent_order = {0, 1, 2, 3},
     .has_c = 1},
    {.name = "gru", // r, z, n in PyTorch
     .kernel = gru_kernel,
     .gates = 3,
     .columns = 4,
     .recurrent_at = 1,
     .input_order = {2, 0, 1},
     .recurrent_order = {0, 1, 2}},
    {.name = "mingru", // z, n
     .kernel = mingru_kernel,
     .gates = 2,
     .columns = 2,
     .input_order = {0, 1},
     .minimal = 1},
    {.name = "minlstm", // f, i, n
     .kernel = minlstm_kernel,
     .gates = 3,
     .columns = 3,
     .input_order = {0, 1, 2},
     .minimal = 1},
};
enum { CELLS = sizeof cells / sizeof *cells };

void ml_recurrent_free_weights(ml_decoder *base)
{
    recurrent_decoder *d = (recurrent_decoder *)base;
    for (size_t l = 0; d->layer != NULL && l < d->layers; l++) {
        ml_matvec_free(&d->layer[l].input);
        ml_matvec_free(&d->layer[l].recurrent);
        ml_aligned_free(d->layer[l].bias);
    }
    free(d->layer);
    ml_aligned_free(d->table);
    ml_aligned_free(d->embedding);
    ml_aligned_free(d->embedding_int8);
    ml_aligned_free(d->embedding_steps);
}

// ---- biases -----------------------------------------------------------------------------------

// Adds the biases of the gates to the columns that their matrix adds to.
static void add_bias(const decode_cell *cell, const ml_matvec *m, size_t at,
                     const unsigned char *order, const ml_real *bias, ml_real *sums)
{
    for (size_t p = 0; bias != NULL && p < m->panels; p++) {
        size_t first = ml_matvec_first(m, p), units = ml_matvec_units(m, p);
        for (size_t gate = 0; gate < cell->gates; gate++) {
            ml_real *column = sums + cell->columns * first + (at + gate) * units;
            for (size_t u = 0; u < units && first + u < m->units; u++)
                column[u] += bias[order[gate] * m->units + first + u];
        }
    }
}

static int pack_biases(recurrent_decoder *d, decode_layer *layer, const ml_recurrent_weights *w,
                       ml_error *err)
{
    const decode_cell *cell = d->cell;
    size_t count = cell->columns * d->padded;
    layer->bias = ml_decode_allocate(&d->base, count, sizeof(ml_real), err);
    if (layer->bias == NULL)
        return err->code;
    memset(layer->bias, 0, count * sizeof(ml_real));
    // Both matrices have the same panels, and there is always a W_hh.
    add_bias(cell, &layer->recurrent, cell->input_at, cell->input_order, w->bias_ih, layer->bias);
    add_bias(cell, &layer->recurrent, cell->recurrent_at, cell->recurrent_order, w->bias_hh,
             layer->bias);
    return ML_OK;
}

// ---- what the first layer reads ---------------------------------------------------------------

typedef struct table_job {
    const recurrent_decoder *d;
    const ml_matvec *input;   // W_ih in reals
    const ml_real *embedding; // (V, E)
} table_job;

// table[v] = bias + W_ih embedding[v], for the units of one panel
static void fill_table(void *ctx, size_t panel)
{
    const table_job *job = ctx;
    const recurrent_decoder *d = job->d;
    size_t units = ml_matvec_units(job->input, panel);
    size_t at = d->cell->columns * ml_matvec_first(job->input, panel);
    for (size_t v = 0; v < d->base.vocab; v++) {
        ml_real *sums = d->table + v * d->cell->columns * d->padded + at;
        ml_operand x = {.reals = job->embedding + v * d->embed};
        memcpy(sums, d->layer[0].bias + at, d->cell->columns * units * sizeof *sums);
        ml_matvec_product(job->input, panel, &x, sums + d->cell->input_at * units);
    }
}

// Also of an int8 decoder the table is of reals: a row is all that a token reads of it.
static int make_table(recurrent_decoder *d, const ml_recurrent_model *w, ml_error *err)
{
    d->table = ml_decode_allocate(&d->base, d->base.vocab * d->cell->columns * d->padded,
                                  sizeof(ml_real), err);
    if (d->table == NULL)
        return err->code;
    ml_matvec input = {0};
    int code = ml_matvec_pack(&input, "weight_ih_l0", d->cell->gates, d->hidden, d->embed,
                              w->layer[0].weight_ih, d->cell->input_order, 0, err);
    if (code == ML_OK) {
        table_job job = {d, &input, w->embedding};
        ml_parallel_for(input.panels, fill_table, &job);
    }
    ml_matvec_free(&input);
    return code;
}

static int copy_embedding(recurrent_decoder *d, const ml_recurrent_model *w, ml_error *err)
{
    size_t count = d->base.vocab * d->embed;
    d->embedding = ml_decode_allocate(&d->base, count, sizeof(ml_real), err);
    if (d->embedding == NULL)
        return err->code;
    memcpy(d->embedding, w->embedding, count * sizeof(ml_real));
    return ML_OK;
}

// A row of the embedding has a step of its own, as a row of a matrix has.
static int round_embedding(recurrent_decoder *d, const ml_recurrent_model *w, ml_error *err)
{
    d->embedding_int8 = ml_decode_allocate(&d->base, d->base.vocab * d->embed, 1, err);
    d->embedding_steps = ml_decode_allocate(&d->base, d->base.vocab, sizeof(ml_real), err);
    if (d->embedding_int8 == NULL || d->embedding_steps == NULL)
        return err->code;
    for (size_t v = 0; v < d->base.vocab; v++) {
        const ml_real *row = w->embedding + v * d->embed;
        double step = ml_int8_step(d->embed, row);
        if (isnan(step))
            return ml_fail(err, ML_ERR_VALUE,
                           "embedding: row %zu has numbers that are not finite; has training "
                           "diverged?",
                           v);
        d->embedding_steps[v] = (ml_real)step;
        for (size_t i = 0; i < d->embed; i++)
            d->embedding_int8[v * d->embed + i] = ml_int8_level(row[i], step);
    }
    return ML_OK;
}

// A small table spares a product. In int8 it must not cost the memory that int8 saves.
static int wants_table(const recurrent_decoder *d)
{
    size_t row = d->cell->columns * d->padded * sizeof(ml_real), limit = TABLE_BYTES;
    size_t rest = (2 * d->layers - 1) * d->cell->gates * d->hidden * d->hidden;
    if (d->base.int8 && rest / 4 < limit)
        limit = rest / 4;
    return d->base.vocab <= limit / row;
}

static int pack_first_input(recurrent_decoder *d, const ml_recurrent_model *w, ml_error *err)
{
    if (wants_table(d))
        return make_table(d, w, err);
    int code = d->base.int8 ? round_embedding(d, w, err) : copy_embedding(d, w, err);
    if (code != ML_OK)
        return code;
    return ml_decode_pack(&d->base, &d->layer[0].input, "weight_ih_l0", d->cell->gates, d->hidden,
                          d->embed, w->layer[0].weight_ih, d->cell->input_order, err);
}

// ---- all of it --------------------------------------------------------------------------------

static int pack_layer(recurrent_decoder *d, size_t l, const ml_recurrent_model *w, ml_error *err)
{
    const decode_cell *cell = d->cell;
    decode_layer *layer = &d->layer[l];
    char name[40];
    snprintf(name, sizeof name, "weight_hh_l%zu", l);
    int code = ml_decode_pack(&d->base, &layer->recurrent, name, cell->gates, d->hidden,
                              cell->minimal ? 0 : d->hidden, w->layer[l].weight_hh,
                              cell->recurrent_order, err);
    if (code == ML_OK)
        code = pack_biases(d, layer, &w->layer[l], err);
    if (code != ML_OK)
        return code;
    if (l == 0)
        return pack_first_input(d, w, err);
    snprintf(name, sizeof name, "weight_ih_l%zu", l);
    return ml_decode_pack(&d->base, &layer->input, name, cell->gates, d->hidden, d->hidden,
                          w->layer[l].weight_ih, cell->input_order, err);
}

static int pack(recurrent_decoder *d, const ml_recurrent_model *w, ml_error *err)
{
    d->layer = calloc(d->layers, sizeof *d->layer);
    if (d->layer == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "decoder: no memory for %zu layers", d->layers);
    for (size_t l = 0; l < d->layers; l++) {
        int code = pack_layer(d, l, w, err);
        if (code != ML_OK)
            return code;
    }
    return ml_decode_pack_head(&d->base, d->hidden, w->head, w->head_bias, err);
}

static const decode_cell *find_cell(const char *name)
{
    for (size_t i = 0; i < CELLS; i++)
        if (strcmp(cells[i].name, name) == 0)
            return &cells[i];
    return NULL;
}

static int check(const ml_recurrent_model *w, int int8, ml_error *err)
{
    const decode_cell *cell = find_cell(w->cell);
    if (cell == NULL)
        return ml_fail(err, ML_ERR_VALUE,
                       "cell: expected rnn, lstm, gru, mingru or minlstm, got '%s'", w->cell);
    if (cell->minimal && int8)
        return ml_fail(err, ML_ERR_VALUE,
                       "cell: there is no int8 form of a %s, whose states may be above 1",
                       cell->name);
    if (w->vocab == 0 || w->embed == 0 || w->hidden == 0 || w->layers == 0)
        return ml_fail(err, ML_ERR_SHAPE,
                       "decoder: expected a vocabulary, embedding, hidden size and layers of at "
                       "least 1, got %zu, %zu, %zu, %zu",
                       w->vocab, w->embed, w->hidden, w->layers);
    return ML_OK;
}

static ml_decoder_state state_of(const ml_recurrent_model *w)
{
    return (ml_decoder_state){
        .arrays = find_cell(w->cell)->has_c ? 2 : 1, .dims = 3, .shape = {w->layers, 0, w->hidden}};
}

int ml_recurrent_decoder_new(ml_decoder **decoder, const ml_recurrent_model *w, int int8,
                             ml_error *err)
{
    *decoder = NULL;
    if (check(w, int8, err) != ML_OK)
        return err->code;
    recurrent_decoder *d = calloc(1, sizeof *d);
    if (d == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "decoder: no memory");
    const size_t lanes = ml_kernels_get()->lanes;
    *d = (recurrent_decoder){
        .base = {.kind = &ml_recurrent_kind, .vocab = w->vocab, .int8 = int8, .state = state_of(w)},
        .cell = find_cell(w->cell),
        .embed = w->embed,
        .hidden = w->hidden,
        .layers = w->layers,
        .padded = ml_ceil_div(w->hidden, lanes) * lanes};
    int code = pack(d, w, err);
    if (code == ML_OK)
        *decoder = &d->base;
    else
        ml_decoder_free(&d->base);
    return code;
}
