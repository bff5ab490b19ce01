// Scores are made a block of 64 queries and 64 keys at a time, used, and forgotten (Dao et al. 2022,
// "FlashAttention", https://arxiv.org/abs/2205.14135):
//
//     s[j][i] = scale q[i] . k[j]        p = softmax over j of s        o[i] = sum_j p[j][i] v[j]
//
// A block has a row for each key: so the queries, transposed, are the panel of its product, once for
// all blocks of keys, and keys and values are read where they lie. Of a block that the causal mask
// cuts, tiles of six rows leave out what is not seen.
#include "attention_head.h"

#include <string.h>

#include "workspace.h"

enum { BLOCK = ML_ATTENTION_BLOCK };

// One block of scores and its place in the head.
typedef struct score_block {
    const ml_attention_head *head;
    const ml_kernels *kernels;
    size_t query, key;        // the first ones
    ml_attention_scores part; // their number, what they see, their scores
} score_block;

// ---- the parts that are seen ------------------------------------------------------------------

size_t ml_attention_keys_before(const ml_attention_head *h, size_t end)
{
    const ptrdiff_t seen = (ptrdiff_t)end + h->reach;
    return seen < 0 ? 0 : ml_smaller((size_t)seen, h->keys);
}

// The first query of a block that sees key j of it; the number of queries where none does.
static size_t first_query(const score_block *b, size_t j)
{
    const ptrdiff_t first = (ptrdiff_t)j - b->part.reach;
    return first < 0 ? 0 : ml_smaller((size_t)first, b->part.queries);
}

// Keys of a block that the queries before `end` of it see.
static size_t last_key(const score_block *b, size_t end)
{
    const ptrdiff_t seen = (ptrdiff_t)end + b->part.reach;
    return seen < 0 ? 0 : ml_smaller((size_t)seen, b->part.keys);
}

static score_block block_at(const ml_attention_head *h, size_t query, size_t key, ml_real *p)
{
    const size_t queries = ml_smaller(BLOCK, h->queries - query);
    return (score_block){
        .head = h,
        .kernels = ml_kernels_get(),
        .query = query,
        .key = key,
        .part = {.keys = ml_smaller(BLOCK, ml_attention_keys_before(h, query + queries) - key),
                 .queries = queries,
                 .reach = (ptrdiff_t)query + h->reach - (ptrdiff_t)key,
                 .key_mask = h->key_mask != NULL ? h->key_mask + key : NULL,
                 .p = p}};
}

// ---- products ---------------------------------------------------------------------------------

static ml_rows from_row(ml_rows rows, size_t i)
{
    return (ml_rows){rows.data + i * rows.row, rows.row};
}

ml_rows ml_rows_as_panel(ml_rows rows, size_t count, size_t size, ml_real *copy)
{
    if (size % ml_kernels_get()->lanes == 0)
        return rows;
    const size_t width = ml_panel_width(size);
    for (size_t i = 0; i < count; i++) {
        memcpy(copy + i * width, rows.data + i * rows.row, size * sizeof *copy);
        memset(copy + i * width + size, 0, (width - size) * sizeof *copy);
    }
    return (ml_rows){copy, width};
}

// c[j][i] = init + x[j] . y[i], keys j, queries i; yt (size, BLOCK) is y transposed. What is left of
// the first vector of queries that see a tile's keys is not written.
static void product_by_keys(const score_block *b, ml_rows x, size_t size, const ml_real *yt,
                            const ml_real *init, ml_real *c)
{
    const size_t lanes = b->kernels->lanes;
    const size_t queries = ml_ceil_div(b->part.queries, lanes) * lanes;
    for (size_t j = 0; j < b->part.keys; j += ML_TILE_ROWS) {
        const size_t first = first_query(b, j) / lanes * lanes;
        const ml_panel_product tile = {
            .rows = ml_smaller(ML_TILE_ROWS, b->part.keys - j),
            .columns = queries - first,
            .depth = size,
            .a = x.data + j * x.row,
            .a_row = x.row,
            .a_k = 1,
            .panel = yt + first,
            .panel_row = BLOCK,
            .init = init != NULL ? init + j * BLOCK + first : NULL,
            .init_row = BLOCK,
            .c = c + j * BLOCK + first,
            .c_row = BLOCK,
        };
        b->kernels->panel_product(&tile);
    }
}

// c[i] = init + sum_j p[j][i] x[j] for queries i, x (keys, size) as a panel; init NULL: 0, or c.
static void sum_over_keys(const score_block *b, const ml_real *p, ml_rows x, size_t size, int add,
                          ml_rows c)
{
    for (size_t i = 0; i < b->part.queries; i += ML_TILE_ROWS) {
        const size_t rows = ml_smaller(ML_TILE_ROWS, b->part.queries - i);
        const ml_panel_product tile = {
            .rows = rows,
            .columns = size,
            .depth = last_key(b, i + rows),
            .a = p + i,
            .a_row = 1,
            .a_k = BLOCK,
            .panel = x.data,
            .panel_row = x.row,
            .init = add ? c.data + i * c.row : NULL,
            .init_row = c.row,
            .c = c.data + i * c.row,
            .c_row = c.row,
        };
        b->kernels->panel_product(&tile);
    }
}

// c[j] += sum_i p[j][i] x[i] for keys j, x (queries, size) as a panel.
static void sum_over_queries(const score_block *b, const ml_real *p, ml_rows x, size_t size,
                             ml_rows c)
{
    for (size_t j = 0; j < b->part.keys; j += ML_TILE_ROWS) {
        const size_t first = first_query(b, j);
        const ml_panel_product tile = {
            .rows = ml_smaller(ML_TILE_ROWS, b->part.keys - j),
            .columns = size,
            .depth = b->part.queries - first,
            .a = p + j * BLOCK + first,
            .a_row = BLOCK,
            .a_k = 1,
            .panel = x.data + first * x.row,
            .panel_row = x.row,
            .init = c.data + j * c.row,
            .init_row = c.row,
            .c = c.data + j * c.row,
            .c_row = c.row,
        };
        b->kernels->panel_product(&tile);
    }
}

// ---- between products -------------------------------------------------------------------------

// y = x with some elements dropped and the others scaled; twice the same, wherever it is called.
static void drop(const score_block *b, const ml_real *x, ml_real *y)
{
    const ml_attention_head *h = b->head;
    const uint64_t blocks = ml_ceil_div(h->queries, BLOCK);
    for (size_t j = 0; j < b->part.keys; j++) {
        const uint64_t block = h->first_mask + (b->key + j) * blocks + b->query / BLOCK;
        b->kernels->dropout(h->seed, h->stream, block, b->part.queries, h->dropout, x + j * BLOCK,
                            y + j * BLOCK);
    }
}

static void make_probabilities(const score_block *b, const ml_real *qt, const ml_real *top,
                               const ml_real *inverse)
{
    const ml_attention_head *h = b->head;
    product_by_keys(b, from_row(h->k, b->key), h->size, qt, NULL, b->part.p);
    b->kernels->attention_probabilities(&b->part, top, inverse);
}

static void write_weights(const ml_attention_head *h, size_t i, const ml_real *qt,
                          const ml_real *top, const ml_real *inverse, ml_real *p)
{
    const size_t queries = ml_smaller(BLOCK, h->queries - i),
                 end = ml_attention_keys_before(h, i + queries);
    const ml_rows weights = from_row(h->weights, i);
    for (size_t j = 0; j < end; j += BLOCK) {
        const score_block b = block_at(h, i, j, p);
        make_probabilities(&b, qt, top, inverse);
        if (h->dropout > 0)
            drop(&b, p, p);
        b.kernels->transpose(b.part.keys, queries, p, BLOCK, 1, weights.data + j, weights.row,
                             b.part.keys);
    }
    for (size_t r = 0; r < queries; r++)
        memset(weights.data + r * weights.row + end, 0, (h->keys - end) * sizeof *p);
}

static void clear_rows(ml_rows rows, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++)
        memset(rows.data + i * rows.row, 0, size * sizeof *rows.data);
}

// ---- forward ----------------------------------------------------------------------------------

typedef struct forward_scratch {
    ml_real *qt;                 // (D, BLOCK): scaled queries, transposed
    ml_real *p;                  // (BLOCK, BLOCK): scores, probabilities
    ml_real *values;             // (BLOCK, Dv), padded
    ml_real *top, *sum, *factor; // (BLOCK)
} forward_scratch;

static forward_scratch lay_out_forward(const ml_attention_head *h, ml_real *base, size_t *size)
{
    ml_arena arena = {.base = (char *)base};
    forward_scratch s;
    s.qt = ml_arena_array(&arena, h->size, BLOCK, 1);
    s.p = ml_arena_array(&arena, BLOCK, BLOCK, 1);
    s.values = ml_arena_array(&arena, BLOCK, ml_panel_width(h->value_size), 1);
    s.top = ml_arena_reals(&arena, BLOCK);
    s.sum = ml_arena_reals(&arena, BLOCK);
    s.factor = ml_arena_reals(&arena, BLOCK);
    if (size != NULL)
        *size = arena.used / sizeof *base;
    return s;
}

size_t ml_attention_forward_scratch(const ml_attention_head *head)
{
    size_t size;
    lay_out_forward(head, NULL, &size);
    return size;
}

void ml_attention_forward(const ml_attention_head *h, size_t i, ml_real *scratch)
{
    const ml_kernels *kernels = ml_kernels_get();
    const forward_scratch s = lay_out_forward(h, scratch, NULL);
    const size_t queries = ml_smaller(BLOCK, h->queries - i),
                 end = ml_attention_keys_before(h, i + queries);
    const ml_rows q = from_row(h->q, i), o = from_row(h->o, i);
    kernels->transpose(queries, h->size, q.data, q.row, h->scale, s.qt, BLOCK, BLOCK);
    for (size_t r = 0; r < BLOCK; r++) {
        s.top[r] = (ml_real)-3e38;
        s.sum[r] = 0;
    }
    if (end == 0)
        clear_rows(o, queries, h->value_size);
    for (size_t j = 0; j < end; j += BLOCK) {
        const score_block b = block_at(h, i, j, s.p);
        product_by_keys(&b, from_row(h->k, j), h->size, s.qt, NULL, s.p);
        kernels->attention_softmax(&b.part, s.top, s.sum, s.factor);
        if (h->dropout > 0)
            drop(&b, s.p, s.p);
        if (j > 0)
            kernels->rows_scale(queries, h->value_size, o.row, s.factor, o.data);
        const ml_rows values =
            ml_rows_as_panel(from_row(h->v, j), b.part.keys, h->value_size, s.values);
        sum_over_keys(&b, s.p, values, h->value_size, j > 0, o);
    }
    for (size_t r = 0; r < BLOCK; r++)
        s.sum[r] = s.sum[r] > 0 ? 1 / s.sum[r] : 0;
    kernels->rows_scale(queries, h->value_size, o.row, s.sum, o.data);
    memcpy(h->top + i, s.top, queries * sizeof *s.top);
    memcpy(h->inverse + i, s.sum, queries * sizeof *s.sum);
    if (h->weights.data != NULL)
        write_weights(h, i, s.qt, s.top, s.sum, s.p);
}

// ---- backward ---------------------------------------------------------------------------------

typedef struct backward_scratch {
    ml_real *qt, *grad_ot;          // (D, BLOCK), (Dv, BLOCK): scaled q, and do, transposed
    ml_real *q, *k, *grad_o;        // (BLOCK, D or Dv), padded
    ml_real *p, *dp;                // (BLOCK, BLOCK)
    ml_real *top, *inverse, *delta; // (BLOCK)
} backward_scratch;

static backward_scratch lay_out_backward(const ml_attention_head *h, ml_real *base, size_t *size)
{
    ml_arena arena = {.base = (char *)base};
    backward_scratch s;
    s.qt = ml_arena_array(&arena, h->size, BLOCK, 1);
    s.grad_ot = ml_arena_array(&arena, h->value_size, BLOCK, 1);
    s.q = ml_arena_array(&arena, BLOCK, ml_panel_width(h->size), 1);
    s.k = ml_arena_array(&arena, BLOCK, ml_panel_width(h->size), 1);
    s.grad_o = ml_arena_array(&arena, BLOCK, ml_panel_width(h->value_size), 1);
    s.p = ml_arena_array(&arena, BLOCK, BLOCK, 1);
    s.dp = ml_arena_array(&arena, BLOCK, BLOCK, 1);
    s.top = ml_arena_reals(&arena, BLOCK);
    s.inverse = ml_arena_reals(&arena, BLOCK);
    s.delta = ml_arena_reals(&arena, BLOCK);
    if (size != NULL)
        *size = arena.used / sizeof *base;
    return s;
}

size_t ml_attention_backward_scratch(const ml_attention_head *head)
{
    size_t size;
    lay_out_backward(head, NULL, &size);
    return size;
}

// What a block of queries needs for all blocks of keys, and
//     delta[i] = sum_j p[j][i] dp[j][i] = do[i] . o[i] + sum_j weights[i][j] dweights[i][j]
// Returns do as a panel.
static ml_rows begin_backward(const ml_attention_head *h, size_t i, size_t queries,
                              const backward_scratch *s)
{
    const ml_kernels *kernels = ml_kernels_get();
    const ml_rows q = from_row(h->q, i);
    kernels->transpose(queries, h->size, q.data, q.row, h->scale, s->qt, BLOCK, BLOCK);
    memset(s->top, 0, BLOCK * sizeof *s->top);
    memset(s->inverse, 0, BLOCK * sizeof *s->inverse);
    memset(s->delta, 0, BLOCK * sizeof *s->delta);
    memcpy(s->top, h->top + i, queries * sizeof *s->top);
    memcpy(s->inverse, h->inverse + i, queries * sizeof *s->inverse);
    if (h->grad_weights.data != NULL)
        kernels->rows_dot(queries, h->keys, from_row(h->weights, i).data, h->weights.row,
                          from_row(h->grad_weights, i).data, h->grad_weights.row, s->delta);
    if (h->grad_o.data == NULL) {
        memset(s->grad_ot, 0, h->value_size * BLOCK * sizeof *s->grad_ot);
        return (ml_rows){.data = NULL};
    }
    const ml_rows grad_o = from_row(h->grad_o, i), o = from_row(h->o, i);
    kernels->rows_dot(queries, h->value_size, o.data, o.row, grad_o.data, grad_o.row, s->delta);
    kernels->transpose(queries, h->value_size, grad_o.data, grad_o.row, 1, s->grad_ot, BLOCK,
                       BLOCK);
    return ml_rows_as_panel(grad_o, queries, h->value_size, s->grad_o);
}

// dp[j][i] = v[j] . do[i] + dweights[i][j], of those that were not dropped
static void make_grad_probabilities(const score_block *b, const backward_scratch *s)
{
    const ml_attention_head *h = b->head;
    const ml_rows given = h->grad_weights;
    if (given.data != NULL)
        b->kernels->transpose(b->part.queries, b->part.keys,
                              given.data + b->query * given.row + b->key, given.row, 1, s->dp,
                              BLOCK, BLOCK);
    product_by_keys(b, from_row(h->v, b->key), h->value_size, s->grad_ot,
                    given.data != NULL ? s->dp : NULL, s->dp);
    if (h->dropout > 0)
        drop(b, s->dp, s->dp);
}

void ml_attention_backward(const ml_attention_head *h, size_t i, ml_real *scratch)
{
    const ml_kernels *kernels = ml_kernels_get();
    const backward_scratch s = lay_out_backward(h, scratch, NULL);
    const size_t queries = ml_smaller(BLOCK, h->queries - i),
                 end = ml_attention_keys_before(h, i + queries);
    const ml_rows grad_o = begin_backward(h, i, queries, &s);
    const ml_rows q = ml_rows_as_panel(from_row(h->q, i), queries, h->size, s.q);
    const ml_rows grad_q = h->grad_q.data != NULL ? from_row(h->grad_q, i) : h->grad_q;
    if (end == 0 && grad_q.data != NULL)
        clear_rows(grad_q, queries, h->size);
    for (size_t j = 0; j < end; j += BLOCK) {
        const score_block b = block_at(h, i, j, s.p);
        make_probabilities(&b, s.qt, s.top, s.inverse);
        if (h->grad_v.data != NULL && grad_o.data != NULL) {
            if (h->dropout > 0)
                drop(&b, s.p, s.dp);
            sum_over_queries(&b, h->dropout > 0 ? s.dp : s.p, grad_o, h->value_size,
                             from_row(h->grad_v, j));
        }
        if (grad_q.data == NULL && h->grad_k.data == NULL)
            continue;
        make_grad_probabilities(&b, &s);
        kernels->attention_backward(&b.part, h->scale, s.delta, s.dp);
        if (h->grad_k.data != NULL)
            sum_over_queries(&b, s.dp, q, h->size, from_row(h->grad_k, j));
        if (grad_q.data != NULL) {
            const ml_rows k = ml_rows_as_panel(from_row(h->k, j), b.part.keys, h->size, s.k);
            sum_over_keys(&b, s.dp, k, h->size, j > 0, grad_q);
        }
    }
}
