// Packing a transformer's weights for decode_transformer_step.c.
#include "decode_transformer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "activation.h"
#include "decode_transformer_layout.h"
#include "platform.h"
#include "sizes.h"

// ---- memory -----------------------------------------------------------------------------------

static void free_norm(decode_norm *norm)
{
    ml_aligned_free(norm->weight);
    ml_aligned_free(norm->bias);
}

static void free_linear(decode_linear *linear)
{
    ml_matvec_free(&linear->matrix);
    ml_aligned_free(linear->bias);
}

void ml_transformer_free_weights(ml_decoder *base)
{
    transformer_decoder *d = (transformer_decoder *)base;
    for (size_t l = 0; d->block != NULL && l < d->layers; l++) {
        decode_block *block = &d->block[l];
        free_norm(&block->norm_1);
        free_norm(&block->norm_2);
        free_linear(&block->qkv);
        free_linear(&block->out);
        free_linear(&block->inner);
        free_linear(&block->down);
    }
    free(d->block);
    free_norm(&d->norm);
    ml_matvec_free(&d->embedding);
    ml_aligned_free(d->position);
    ml_aligned_free(d->frequencies);
}

// ---- parts ------------------------------------------------------------------------------------

// A copy of numbers; NULL stays NULL.
static int copy(transformer_decoder *d, size_t count, const ml_real *from, ml_real **to,
                ml_error *err)
{
    if (from == NULL)
        return ML_OK;
    *to = ml_decode_allocate(&d->base, count, sizeof(ml_real), err);
    if (*to == NULL)
        return err->code;
    memcpy(*to, from, count * sizeof(ml_real));
    return ML_OK;
}

static int copy_norm(transformer_decoder *d, const ml_real *weight, const ml_real *bias,
                     decode_norm *norm, ml_error *err)
{
    int code = copy(d, d->width, weight, &norm->weight, err);
    return code == ML_OK ? copy(d, d->width, bias, &norm->bias, err) : code;
}

// A matrix of the model: its name for messages is "h.3.qkv".
typedef struct matrix_spec {
    const char *name;
    size_t gates, units, depth;
    const ml_real *weight, *bias;
} matrix_spec;

static int pack_linear(transformer_decoder *d, size_t layer, const matrix_spec *spec,
                       decode_linear *linear, ml_error *err)
{
    char name[40];
    snprintf(name, sizeof name, "block %zu: %s", layer, spec->name);
    int code = ml_decode_pack(&d->base, &linear->matrix, name, spec->gates, spec->units,
                              spec->depth, spec->weight, NULL, err);
    if (code != ML_OK)
        return code;
    const size_t padded = ml_ceil_div(spec->units, linear->matrix.lanes) * linear->matrix.lanes;
    linear->bias = ml_decode_allocate(&d->base, spec->gates * padded, sizeof(ml_real), err);
    if (linear->bias == NULL)
        return err->code;
    memset(linear->bias, 0, spec->gates * padded * sizeof(ml_real));
    for (size_t gate = 0; spec->bias != NULL && gate < spec->gates; gate++)
        memcpy(linear->bias + gate * padded, spec->bias + gate * spec->units,
               spec->units * sizeof(ml_real));
    return ML_OK;
}

static int pack_block(transformer_decoder *d, size_t l, const ml_transformer_model *m,
                      ml_error *err)
{
    const ml_block_weights *w = &m->block[l];
    decode_block *block = &d->block[l];
    const size_t C = m->width, mixed = m->heads * m->size, shared = m->groups * m->size;
    const matrix_spec qkv = {"qkv", 1, mixed + 2 * shared, C, w->qkv, w->qkv_bias};
    const matrix_spec out = {"out", 1, C, mixed, w->out, w->out_bias};
    const matrix_spec inner = {"inner", m->gated ? 2 : 1, m->inner, C, w->inner, w->inner_bias};
    const matrix_spec down = {"down", 1, C, m->inner, w->down, w->down_bias};
    block->scale = (ml_real)w->scale;
    int code = copy_norm(d, w->norm_1, w->norm_1_bias, &block->norm_1, err);
    if (code == ML_OK)
        code = copy_norm(d, w->norm_2, w->norm_2_bias, &block->norm_2, err);
    if (code == ML_OK)
        code = pack_linear(d, l, &qkv, &block->qkv, err);
    if (code == ML_OK)
        code = pack_linear(d, l, &out, &block->out, err);
    if (code == ML_OK)
        code = pack_linear(d, l, &inner, &block->inner, err);
    if (code == ML_OK)
        code = pack_linear(d, l, &down, &block->down, err);
    return code;
}

// A head that is the embedding, as in most small models, is kept once: a token reads one row of it.
static int pack_embedding(transformer_decoder *d, const ml_transformer_model *m, ml_error *err)
{
    if (m->head == NULL)
        return ML_OK;
    int code = ml_matvec_pack(&d->embedding, "embedding", 1, m->vocab, m->width, m->embedding, NULL,
                              d->base.int8, err);
    d->base.allocated += d->embedding.allocated;
    return code;
}

// ---- all of it --------------------------------------------------------------------------------

static int pack(transformer_decoder *d, const ml_transformer_model *m, ml_error *err)
{
    d->block = calloc(d->layers, sizeof *d->block);
    if (d->block == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "decoder: no memory for %zu blocks", d->layers);
    int code = pack_embedding(d, m, err);
    if (code == ML_OK)
        code = copy(d, m->positions * m->width, m->position, &d->position, err);
    if (code == ML_OK)
        code = copy(d, m->size / 2, m->frequencies, &d->frequencies, err);
    for (size_t l = 0; code == ML_OK && l < d->layers; l++)
        code = pack_block(d, l, m, err);
    if (code == ML_OK)
        code = copy_norm(d, m->norm, m->norm_bias, &d->norm, err);
    if (code == ML_OK)
        code = ml_decode_pack_head(&d->base, m->width, m->head != NULL ? m->head : m->embedding,
                                   NULL, err);
    return code;
}

static int check(const ml_transformer_model *m, ml_error *err)
{
    if (m->vocab == 0 || m->width == 0 || m->layers == 0 || m->positions == 0 || m->heads == 0 ||
        m->groups == 0 || m->size == 0 || m->inner == 0)
        return ml_fail(err, ML_ERR_SHAPE,
                       "decoder: expected sizes of at least 1, got a vocabulary of %zu, width %zu, "
                       "%zu blocks, %zu positions, %zu heads in %zu groups of size %zu, %zu inner "
                       "units",
                       m->vocab, m->width, m->layers, m->positions, m->heads, m->groups, m->size,
                       m->inner);
    if (m->heads % m->groups != 0)
        return ml_fail(err, ML_ERR_VALUE, "kv_heads: expected a divisor of the %zu heads, got %zu",
                       m->heads, m->groups);
    if (m->frequencies != NULL && m->size % 2 != 0)
        return ml_fail(err, ML_ERR_VALUE,
                       "head_size: rotary positions turn pairs of numbers, got %zu", m->size);
    if (ml_activation_name(m->function) == NULL)
        return ml_fail(err, ML_ERR_VALUE, "activation: expected 0 to %d, got %d",
                       ML_ACTIVATION_COUNT - 1, m->function);
    return ML_OK;
}

int ml_transformer_decoder_new(ml_decoder **decoder, const ml_transformer_model *m, int int8,
                               ml_error *err)
{
    *decoder = NULL;
    if (check(m, err) != ML_OK)
        return err->code;
    transformer_decoder *d = calloc(1, sizeof *d);
    if (d == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "decoder: no memory");
    *d = (transformer_decoder){.base = {.kind = &ml_transformer_kind,
                                        .vocab = m->vocab,
                                        .int8 = int8,
                                        .state = {.arrays = 2,
                                                  .dims = 5,
                                                  .shape = {m->layers, 0, m->groups, 0, m->size},
                                                  .positions = m->positions}},
                               .width = m->width,
                               .layers = m->layers,
                               .heads = m->heads,
                               .groups = m->groups,
                               .size = m->size,
                               .inner_size = m->inner,
                               .function = m->function,
                               .rms = m->rms,
                               .eps = (ml_real)m->eps};
    int code = pack(d, m, err);
    if (code == ML_OK)
        *decoder = &d->base;
    else
        ml_decoder_free(&d->base);
    return code;
}
