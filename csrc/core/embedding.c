// A table of vectors, one row for each id:   y[n] = W[id[n]]
#include "layer.h"
#include "rows.h"

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

static int embedding_prepare(ml_call *call, ml_error *err)
{
    const embedding_config *c = call->config;
    const ml_array *ids = &call->input[0];
    if (ids->ndim >= ML_MAX_DIMS)
        return ml_fail(err, ML_ERR_SHAPE, "embedding: ids: at most %d axes, got %d",
                       ML_MAX_DIMS - 1, ids->ndim);
    ml_same_shape(&call->output[0], ids);
    call->output[0].shape[call->output[0].ndim++] = c->embedding_dim;
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

// dW[id[n]] += dy[n]
static int embedding_backward(ml_call *call, ml_error *err)
{
    (void)err;
    const embedding_config *c = call->config;
    if (call->grad_param[0].data == NULL)
        return ML_OK;
    if (!call->accumulate[0])
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
