// Scaled dot-product attention (Vaswani et al. 2017, equation 1), causal or not, queries grouped:
//
//     O = softmax(scale Q K^T) V        each head by itself; query head n uses key head n / group
//
// How a head is computed, and why nothing of size (Tq, Tk) is kept: attention_head.c.
#include <stdatomic.h>
#include <string.h>

#include "attention_head.h"
#include "dropout.h"
#include "layer.h"
#include "pool.h"
#include "sizes.h"
#include "workspace.h"

typedef struct attention_config {
    double scale;            // of the products of queries and keys, usually 1 / sqrt(D)
    int heads_first;         // (batch, heads, time, size), or (batch, time, heads, size)
    int64_t packed_kv_heads; // above 0: `query` holds all heads, of queries, keys and values
    int causal;              // query i sees the keys up to i,
    int aligned_to_end;      // or the last query all, the one before it all but one ...
    int64_t key_time; // above 0: key and value have room for more, and only so many are there
    int need_weights; // the probabilities are an output, too
    double dropout;   // of the probabilities
} attention_config;

static const ml_field attention_fields[] = {
    ML_REQUIRED(ML_FIELD_REAL, attention_config, scale),
    ML_OPTIONAL(ML_FIELD_FLAG, attention_config, heads_first, 1),
    ML_OPTIONAL(ML_FIELD_INT, attention_config, packed_kv_heads, 0),
    ML_OPTIONAL(ML_FIELD_FLAG, attention_config, causal, 0),
    ML_OPTIONAL(ML_FIELD_FLAG, attention_config, aligned_to_end, 0),
    ML_OPTIONAL(ML_FIELD_INT, attention_config, key_time, 0),
    ML_OPTIONAL(ML_FIELD_FLAG, attention_config, need_weights, 0),
    ML_OPTIONAL(ML_FIELD_REAL, attention_config, dropout, 0),
    ML_FIELDS_END,
};

enum { QUERY, KEY, VALUE, KEY_MASK };

static int attention_check(const void *config, ml_error *err)
{
    const attention_config *c = config;
    if (c->packed_kv_heads < 0)
        return ml_fail(err, ML_ERR_VALUE,
                       "attention: packed_kv_heads: expected 0 or more, got %lld",
                       (long long)c->packed_kv_heads);
    if (c->key_time < 0 || (c->key_time > 0 && c->packed_kv_heads > 0))
        return ml_fail(err, ML_ERR_VALUE,
                       "attention: key_time: expected 0 or more, and 0 where packed_kv_heads is "
                       "set, got %lld",
                       (long long)c->key_time);
    return ml_check_probability("attention: dropout", c->dropout, err);
}

// ---- sizes ------------------------------------------------------------------------------------

typedef struct sizes {
    size_t batch, heads, kv_heads; // B, heads of queries, heads of keys and values
    size_t queries, keys;          // Tq, Tk
    size_t size, value_size;       // D, Dv
    size_t
        splits; // parts of the queries whose dK and dV are summed apart: enough for several threads
} sizes;

static int heads_axis(const attention_config *c) { return c->heads_first ? 1 : 2; }
static int time_axis(const attention_config *c) { return c->heads_first ? 2 : 1; }

static sizes sizes_of(const ml_call *call)
{
    const attention_config *c = call->config;
    const size_t packed = (size_t)c->packed_kv_heads;
    const ml_array *q = &call->input[QUERY];
    const ml_array *k = packed > 0 ? q : &call->input[KEY];
    const ml_array *v = packed > 0 ? q : &call->input[VALUE];
    sizes s = {
        .batch = q->shape[0],
        .heads = q->shape[heads_axis(c)] - 2 * packed,
        .kv_heads = packed > 0 ? packed : k->shape[heads_axis(c)],
        .queries = q->shape[time_axis(c)],
        .keys = c->key_time > 0 ? (size_t)c->key_time : k->shape[time_axis(c)],
        .size = q->shape[3],
        .value_size = v->shape[3],
        .splits = 1,
    };
    const size_t tasks = s.batch * s.kv_heads, wanted = 8;
    if (tasks > 0 && s.heads > 0) {
        const size_t blocks = s.heads / s.kv_heads * ml_ceil_div(s.queries, ML_ATTENTION_BLOCK);
        s.splits = ml_smaller(ml_ceil_div(wanted, tasks), blocks > 0 ? blocks : 1);
    }
    return s;
}

static int check_packed(const ml_call *call, ml_error *err)
{
    const attention_config *c = call->config;
    const ml_array *q = &call->input[QUERY];
    const size_t heads = q->shape[heads_axis(c)], packed = (size_t)c->packed_kv_heads;
    if (call->input[KEY].data != NULL || call->input[VALUE].data != NULL)
        return ml_fail(err, ML_ERR_VALUE,
                       "attention: key, value: expected none, since query holds them "
                       "(packed_kv_heads=%zu)",
                       packed);
    if (heads / 2 < packed || heads - 2 * packed == 0 || (heads - 2 * packed) % packed != 0)
        return ml_fail(err, ML_ERR_SHAPE,
                       "attention: query: expected heads of queries, a multiple of %zu, and 2 * "
                       "%zu of keys and values, got %zu in all",
                       packed, packed, heads);
    return ML_OK;
}

static int check_keys(const ml_call *call, ml_error *err)
{
    const attention_config *c = call->config;
    const ml_array *q = &call->input[QUERY], *k = &call->input[KEY], *v = &call->input[VALUE];
    char text[96], other[96];
    if (k->data == NULL || v->data == NULL)
        return ml_fail(err, ML_ERR_VALUE,
                       "attention: key, value: expected both, or packed_kv_heads with neither");
    if (k->ndim != 4 || k->shape[0] != q->shape[0] || k->shape[3] != q->shape[3])
        return ml_fail(
            err, ML_ERR_SHAPE,
            "attention: key: expected four axes with batch=%zu and size=%zu as query has, "
            "got %s",
            q->shape[0], q->shape[3], ml_shape_text(k, text, sizeof text));
    if (v->ndim != 4 || memcmp(v->shape, k->shape, 3 * sizeof *k->shape) != 0)
        return ml_fail(err, ML_ERR_SHAPE,
                       "attention: value: expected the axes of key, %s, but for the last, got %s",
                       ml_shape_text(k, text, sizeof text), ml_shape_text(v, other, sizeof other));
    if (c->key_time > 0 && (size_t)c->key_time > k->shape[time_axis(c)])
        return ml_fail(err, ML_ERR_SHAPE, "attention: key: expected key_time=%lld or more, got %s",
                       (long long)c->key_time, ml_shape_text(k, text, sizeof text));
    if (c->key_time > 0 && call->need_grad)
        return ml_fail(err, ML_ERR_VALUE,
                       "attention: key_time: expected 0 where gradients are needed: there is none "
                       "of the room behind the keys; pass the keys alone");
    const size_t heads = q->shape[heads_axis(c)], kv_heads = k->shape[heads_axis(c)];
    if (kv_heads == 0 ? heads != 0 : heads % kv_heads != 0)
        return ml_fail(err, ML_ERR_SHAPE,
                       "attention: key: expected a number of heads that divides the %zu of query, "
                       "got %zu",
                       heads, kv_heads);
    return ML_OK;
}

// Top and inverse of every query, which backward needs.
typedef struct row_statistics {
    ml_real *top, *inverse; // (B, heads, Tq)
} row_statistics;

static row_statistics lay_out(const sizes *s, void *base, size_t *size, int *overflow)
{
    ml_arena arena = {.base = base};
    row_statistics statistics;
    statistics.top = ml_arena_array(&arena, s->batch, s->heads, s->queries);
    statistics.inverse = ml_arena_array(&arena, s->batch, s->heads, s->queries);
    if (size != NULL)
        *size = arena.used;
    if (overflow != NULL)
        *overflow = arena.overflow;
    return statistics;
}

// dK and dV of all splits but the first: each (B kv_heads, splits - 1, Tk, D or Dv).
typedef struct partial_sums {
    ml_real *grad_k, *grad_v;
} partial_sums;

static partial_sums lay_out_partial(const sizes *s, void *base, size_t *size, int *overflow)
{
    ml_arena arena = {.base = base};
    const size_t parts = s->batch * s->kv_heads * (s->splits - 1);
    partial_sums partial;
    partial.grad_k = ml_arena_array(&arena, parts, s->keys, s->size);
    partial.grad_v = ml_arena_array(&arena, parts, s->keys, s->value_size);
    if (size != NULL)
        *size = arena.used;
    if (overflow != NULL)
        *overflow = arena.overflow;
    return partial;
}

static void set_outputs(ml_call *call, const sizes *s)
{
    const attention_config *c = call->config;
    ml_array *o = &call->output[0], *weights = &call->output[1];
    ml_same_shape(o, &call->input[QUERY]);
    o->shape[heads_axis(c)] = s->heads;
    o->shape[3] = s->value_size;
    *weights = (ml_array){.ndim = 1, .shape = {0}};
    if (c->need_weights)
        *weights = (ml_array){.ndim = 4, .shape = {s->batch, s->heads, s->queries, s->keys}};
}

static int attention_prepare(ml_call *call, ml_error *err)
{
    const attention_config *c = call->config;
    const ml_array *q = &call->input[QUERY], *mask = &call->input[KEY_MASK];
    char text[96];
    if (q->ndim != 4)
        return ml_fail(err, ML_ERR_SHAPE, "attention: query: expected %s, got %s",
                       c->heads_first ? "(batch, heads, time, size)" : "(batch, time, heads, size)",
                       ml_shape_text(q, text, sizeof text));
    int code = c->packed_kv_heads > 0 ? check_packed(call, err) : check_keys(call, err);
    if (code != ML_OK)
        return code;
    const sizes s = sizes_of(call);
    if (mask->data != NULL &&
        (mask->ndim != 2 || mask->shape[0] != s.batch || mask->shape[1] != s.keys))
        return ml_fail(err, ML_ERR_SHAPE,
                       "attention: key_mask: expected (batch=%zu, key time=%zu), got %s", s.batch,
                       s.keys, ml_shape_text(mask, text, sizeof text));
    set_outputs(call, &s);
    int overflow[2];
    lay_out(&s, NULL, &call->saved_size, &overflow[0]);
    lay_out_partial(&s, NULL, &call->backward_size, &overflow[1]);
    if (overflow[0] || overflow[1])
        return ml_fail(err, ML_ERR_OVERFLOW, "attention: %s is too large for this machine",
                       ml_shape_text(q, text, sizeof text));
    return ML_OK;
}

// ---- one head of an array ---------------------------------------------------------------------

static ml_rows head_rows(const attention_config *c, const ml_array *array, size_t batch,
                         size_t head)
{
    const size_t heads = array->shape[heads_axis(c)], time = array->shape[time_axis(c)];
    const size_t size = array->shape[3];
    ml_real *data = array->data;
    if (data == NULL)
        return (ml_rows){NULL, 0};
    if (c->heads_first)
        return (ml_rows){data + (batch * heads + head) * time * size, size};
    return (ml_rows){data + (batch * time * heads + head) * size, heads * size};
}

// One head of three arrays, or of the one that holds all three.
static void take_heads(const attention_config *c, const sizes *s, const ml_array *arrays,
                       size_t batch, size_t head, ml_rows *q, ml_rows *k, ml_rows *v)
{
    const int packed = c->packed_kv_heads > 0;
    const size_t kv_head = head / (s->heads / s->kv_heads);
    *q = head_rows(c, &arrays[QUERY], batch, head);
    *k = head_rows(c, &arrays[packed ? QUERY : KEY], batch, packed ? s->heads + kv_head : kv_head);
    *v = head_rows(c, &arrays[packed ? QUERY : VALUE], batch,
                   packed ? s->heads + s->kv_heads + kv_head : kv_head);
}

static ml_rows weights_of(const sizes *s, const ml_array *weights, size_t index)
{
    ml_real *data = weights->data;
    if (data == NULL || weights->ndim != 4)
        return (ml_rows){NULL, 0};
    return (ml_rows){data + index * s->queries * s->keys, s->keys};
}

static ml_attention_head head_of(const ml_call *call, const sizes *s, size_t batch, size_t head)
{
    const attention_config *c = call->config;
    const size_t index = batch * s->heads + head;
    const row_statistics statistics = lay_out(s, call->saved, NULL, NULL);
    const int64_t *mask = call->input[KEY_MASK].data;
    const ptrdiff_t from_end = (ptrdiff_t)s->keys - (ptrdiff_t)s->queries;
    ml_attention_head h = {
        .queries = s->queries,
        .keys = s->keys,
        .size = s->size,
        .value_size = s->value_size,
        .reach = !c->causal          ? (ptrdiff_t)s->keys
                 : c->aligned_to_end ? from_end
                                     : 0,
        .key_mask = mask != NULL ? mask + batch * s->keys : NULL,
        .scale = (ml_real)c->scale,
        .dropout = call->training ? c->dropout : 0,
        .seed = call->seed,
        .stream = call->stream,
        .first_mask = (uint64_t)index * s->keys * ml_ceil_div(s->queries, ML_ATTENTION_BLOCK),
        .o = head_rows(c, &call->output[0], batch, head),
        .weights = weights_of(s, &call->output[1], index),
        .top = statistics.top + index * s->queries,
        .inverse = statistics.inverse + index * s->queries,
    };
    take_heads(c, s, call->input, batch, head, &h.q, &h.k, &h.v);
    return h;
}

// ---- forward ----------------------------------------------------------------------------------

typedef struct attention_job {
    const ml_call *call;
    sizes sizes;
    partial_sums partial;
    atomic_int failed; // a task found no memory
} attention_job;

// A single query goes along its keys; more go by blocks.
static int is_row(const ml_attention_head *head)
{
    return head->queries == 1 && !(head->dropout > 0);
}

// Tasks are (batch, head, block of queries); the long ones of a causal mask come first.
static void forward_task(void *ctx, size_t index)
{
    attention_job *job = ctx;
    const sizes *s = &job->sizes;
    const size_t blocks = ml_ceil_div(s->queries, ML_ATTENTION_BLOCK), pairs = s->batch * s->heads;
    const size_t block = blocks - 1 - index / pairs, pair = index % pairs;
    const ml_attention_head head = head_of(job->call, s, pair / s->heads, pair % s->heads);
    const size_t size =
        is_row(&head) ? ml_attention_row_scratch(&head) : ml_attention_forward_scratch(&head);
    ml_real *scratch = ml_buffer_acquire(size * sizeof *scratch);
    if (scratch == NULL)
        atomic_store(&job->failed, 1);
    else if (is_row(&head))
        ml_attention_row(&head, scratch);
    else
        ml_attention_forward(&head, block * ML_ATTENTION_BLOCK, scratch);
    ml_buffer_release(scratch);
}

static int result_of(attention_job *job, ml_error *err)
{
    if (!atomic_load(&job->failed))
        return ML_OK;
    return ml_fail(err, ML_ERR_MEMORY, "attention: no memory for a block of scores");
}

static int attention_forward(ml_call *call, ml_error *err)
{
    attention_job job = {.call = call, .sizes = sizes_of(call)};
    const sizes *s = &job.sizes;
    const size_t blocks = ml_ceil_div(s->queries, ML_ATTENTION_BLOCK);
    ml_parallel_for(s->batch * s->heads * blocks, forward_task, &job);
    return result_of(&job, err);
}

// ---- backward ---------------------------------------------------------------------------------

// Where a split adds up dK and dV: the first where they are wanted, the others beside one another.
static ml_rows sums_of(ml_rows wanted, ml_real *partial, size_t part, size_t split, size_t splits,
                       size_t keys, size_t size)
{
    if (wanted.data == NULL || split == 0)
        return wanted;
    return (ml_rows){partial + (part * (splits - 1) + split - 1) * keys * size, size};
}

static void clear_rows(ml_rows rows, size_t count, size_t size)
{
    for (size_t i = 0; i < count && rows.data != NULL; i++)
        memset(rows.data + i * rows.row, 0, size * sizeof *rows.data);
}

static ml_attention_head head_backward_of(const attention_job *job, size_t batch, size_t head,
                                          size_t split)
{
    const ml_call *call = job->call;
    const attention_config *c = call->config;
    const sizes *s = &job->sizes;
    const size_t index = batch * s->heads + head;
    const size_t part = batch * s->kv_heads + head / (s->heads / s->kv_heads);
    ml_attention_head h = head_of(call, s, batch, head);
    h.grad_o = head_rows(c, &call->grad_output[0], batch, head);
    h.grad_weights = weights_of(s, &call->grad_output[1], index);
    take_heads(c, s, call->grad_input, batch, head, &h.grad_q, &h.grad_k, &h.grad_v);
    h.grad_k = sums_of(h.grad_k, job->partial.grad_k, part, split, s->splits, s->keys, s->size);
    h.grad_v =
        sums_of(h.grad_v, job->partial.grad_v, part, split, s->splits, s->keys, s->value_size);
    return h;
}

// Tasks are (batch, head of keys, split); a split takes every splits-th block of the queries of all
// the heads that use these keys, in order.
static void backward_task(void *ctx, size_t index)
{
    attention_job *job = ctx;
    const sizes *s = &job->sizes;
    const size_t split = index % s->splits, part = index / s->splits;
    const size_t batch = part / s->kv_heads, group = s->heads / s->kv_heads;
    const size_t first = part % s->kv_heads * group;
    const size_t blocks = ml_ceil_div(s->queries, ML_ATTENTION_BLOCK);
    ml_attention_head head = head_backward_of(job, batch, first, split);
    ml_real *scratch = ml_buffer_acquire(ml_attention_backward_scratch(&head) * sizeof *scratch);
    if (scratch == NULL) {
        atomic_store(&job->failed, 1);
        return;
    }
    clear_rows(head.grad_k, s->keys, s->size);
    clear_rows(head.grad_v, s->keys, s->value_size);
    for (size_t n = split; n < group * blocks; n += s->splits) {
        head = head_backward_of(job, batch, first + n / blocks, split);
        ml_attention_backward(&head, n % blocks * ML_ATTENTION_BLOCK, scratch);
    }
    ml_buffer_release(scratch);
}

// to += the sums of the other splits, in their order
static void add_parts(ml_rows to, const ml_real *partial, size_t parts, size_t keys, size_t size)
{
    for (size_t split = 0; split < parts && to.data != NULL; split++)
        for (size_t j = 0; j < keys; j++)
            ml_kernels_get()->add_row(size, partial + (split * keys + j) * size,
                                      to.data + j * to.row);
}

static void add_task(void *ctx, size_t part)
{
    const attention_job *job = ctx;
    const sizes *s = &job->sizes;
    const size_t parts = s->splits - 1;
    const size_t group = s->heads / s->kv_heads, first = part % s->kv_heads * group;
    const ml_attention_head h = head_backward_of(job, part / s->kv_heads, first, 0);
    add_parts(h.grad_k, job->partial.grad_k + part * parts * s->keys * s->size, parts, s->keys,
              s->size);
    add_parts(h.grad_v, job->partial.grad_v + part * parts * s->keys * s->value_size, parts,
              s->keys, s->value_size);
}

static int attention_backward(ml_call *call, ml_error *err)
{
    attention_job job = {.call = call, .sizes = sizes_of(call)};
    const sizes *s = &job.sizes;
    job.partial = lay_out_partial(s, call->workspace, NULL, NULL);
    ml_parallel_for(s->batch * s->kv_heads * s->splits, backward_task, &job);
    if (s->splits > 1 && !atomic_load(&job.failed))
        ml_parallel_for(s->batch * s->kv_heads, add_task, &job);
    return result_of(&job, err);
}

const ml_layer ml_layer_attention = {
    .name = "attention",
    .config_size = sizeof(attention_config),
    .fields = attention_fields,
    .inputs = 4,
    .outputs = 2,
    .input = {{"query", "(batch, heads, time, size)", ML_REALS, 0},
              {"key", "(batch, kv_heads, key time, size)", ML_REALS, 1},
              {"value", "(batch, kv_heads, key time, value size)", ML_REALS, 1},
              {"key_mask", "(batch, key time)", ML_IDS, 1}},
    .output = {{"output", "(batch, heads, time, value size)", ML_REALS, 0},
               {"weights", "(batch, heads, time, key time)", ML_REALS, 0}},
    .check = attention_check,
    .prepare = attention_prepare,
    .forward = attention_forward,
    .backward = attention_backward,
};
