// A table of vectors, one row for each id:   y[n] = W[id[n]]
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "layer.h"
#include "pool.h"
#include "rows.h"
#include "sizes.h"

typedef struct embedding_config {
    size_t num_embeddings, embedding_dim; // V, E
    int64_t padding_idx;                  // the row that gets no gradient; -1: none
} embedding_config;

static const ml_field embedding_fields[] = {
    ML_REQUIRED(ML_FIELD_SIZE, embedding_config, num_embeddings),
    ML_REQUIRED(ML_FIELD_SIZE, embedding_config, embedding_dim),
    ML_OPTIONAL(ML_FIELD_INT, embedding_config, padding_idx, -1),
    ML_FIELDS_END,
};

static int embedding_check(const void *config, ml_error *err)
{
    const embedding_config *c = config;
    if (c->padding_idx < -1 || c->padding_idx >= (int64_t)c->num_embeddings)
        return ml_fail(err, ML_ERR_VALUE,
                       "embedding: padding_idx %lld is outside the table of %zu rows",
                       (long long)c->padding_idx, c->num_embeddings);
    return ML_OK;
}

static size_t embedding_param_count(const void *config)
{
    (void)config;
    return 1;
}

static void embedding_describe(const ml_layer *layer, const void *config, size_t index,
                               ml_param_spec *param)
{
    (void)layer;
    (void)index;
    const embedding_config *c = config;
    *param = (ml_param_spec){"weight", 2, {c->num_embeddings, c->embedding_dim}};
}

// An id and its place in the input.
typedef struct occurrence {
    int64_t id;
    size_t place;
} occurrence;

static int embedding_prepare(ml_call *call, ml_error *err)
{
    const embedding_config *c = call->config;
    const ml_array *ids = &call->input[0];
    if (ids->ndim >= ML_MAX_DIMS)
        return ml_fail(err, ML_ERR_SHAPE, "embedding: ids: at most %d axes, got %d",
                       ML_MAX_DIMS - 1, ids->ndim);
    ml_same_shape(&call->output[0], ids);
    call->output[0].shape[call->output[0].ndim++] = c->embedding_dim;
    call->backward_size = ml_array_size(ids) * sizeof(occurrence);
    return ml_check_ids(ids, "embedding: ids", c->num_embeddings, 0, err);
}

static int embedding_forward(ml_call *call, ml_error *err)
{
    (void)err;
    const embedding_config *c = call->config;
    ml_gather_rows(ml_array_size(&call->input[0]), c->embedding_dim, call->input[0].data,
                   call->param[0].data, call->output[0].data);
    return ML_OK;
}

// ---- backward: dW[id[n]] += dy[n] -------------------------------------------------------------

static int by_id(const void *first, const void *second)
{
    const occurrence *a = first, *b = second;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

typedef struct addition {
    size_t n, width;
    const occurrence *sorted; // (n,)
    int64_t skip;
    const ml_real *rows; // (n, width)
    ml_real *table;
} addition;

// table row += the sum of the rows of these occurrences, all of one id
static void add_sum(const addition *job, const occurrence *begin, const occurrence *end)
{
    enum { CHUNK = 256 };
    ml_real sum[CHUNK];
    const ml_kernels *kernels = ml_kernels_get();
    for (size_t at = 0; at < job->width; at += CHUNK) {
        const size_t length = ml_smaller(CHUNK, job->width - at);
        memcpy(sum, job->rows + begin->place * job->width + at, length * sizeof *sum);
        for (const occurrence *o = begin + 1; o < end; o++)
            kernels->add_row(length, job->rows + o->place * job->width + at, sum);
        kernels->add_row(length, sum, job->table + (size_t)begin->id * job->width + at);
    }
}

static void add_sums(void *ctx, size_t begin, size_t end)
{
    const addition *job = ctx;
    const occurrence *all = job->sorted;
    for (size_t i = begin; i < end; i++) {
        if (all[i].id == job->skip || (i > 0 && all[i - 1].id == all[i].id))
            continue;
        size_t next = i + 1;
        while (next < job->n && all[next].id == all[i].id)
            next++;
        add_sum(job, all + i, all + next);
    }
}

// Touches only the rows that were read. Each gets one addition, of its whole sum: so a gradient that
// comes from two places has the same bits whichever of them came first.
static void add_to_table(const ml_call *call)
{
    const embedding_config *c = call->config;
    occurrence *sorted = call->workspace;
    const size_t n = ml_array_size(&call->input[0]);
    const int64_t *id = call->input[0].data;
    for (size_t i = 0; i < n; i++)
        sorted[i] = (occurrence){id[i], i};
    qsort(sorted, n, sizeof *sorted, by_id);
    addition job = {.n = n,
                    .width = c->embedding_dim,
                    .sorted = sorted,
                    .skip = c->padding_idx,
                    .rows = call->grad_output[0].data,
                    .table = call->grad_param[0].data};
    ml_parallel_ranges(n, ml_row_grain(c->embedding_dim), add_sums, &job);
}

static int embedding_backward(ml_call *call, ml_error *err)
{
    (void)err;
    const embedding_config *c = call->config;
    if (call->grad_param[0].data == NULL)
        return ML_OK;
    if (call->accumulate[0]) {
        add_to_table(call);
        return ML_OK;
    }
    ml_clear(&call->grad_param[0]);
    ml_scatter_rows(ml_array_size(&call->input[0]), c->embedding_dim, call->input[0].data,
                    c->padding_idx, call->grad_output[0].data, c->num_embeddings,
                    call->grad_param[0].data);
    return ML_OK;
}

const ml_layer ml_layer_embedding = {
    .name = "embedding",
    .config_size = sizeof(embedding_config),
    .fields = embedding_fields,
    .inputs = 1,
    .outputs = 1,
    .input = {{"ids", "(...)", ML_IDS, 0}},
    .output = {{"output", "(..., embedding_dim)", ML_REALS, 0}},
    .check = embedding_check,
    .param_count = embedding_param_count,
    .describe = embedding_describe,
    .prepare = embedding_prepare,
    .forward = embedding_forward,
    .backward = embedding_backward,
};
