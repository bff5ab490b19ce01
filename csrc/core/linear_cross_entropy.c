// A linear head and its cross-entropy in one: some rows at a time (head_blocks.c), scores, loss and
// gradients. The (N, V) scores are never held.
//
// When gradients are wanted they are made in the forward pass, for a loss that is used as it is,
// and scaled in the backward pass by what the loss is multiplied with.
#include "linear_cross_entropy.h"

#include <string.h>

#include "layer.h"
#include "rows.h"

typedef struct head_config {
    size_t in_features, out_features; // I, V
    int bias;
    ml_loss_config loss;
} head_config;

static const ml_field head_fields[] = {
    ML_REQUIRED(ML_FIELD_SIZE, head_config, in_features),
    ML_REQUIRED(ML_FIELD_SIZE, head_config, out_features),
    ML_OPTIONAL(ML_FIELD_FLAG, head_config, bias, 1),
    ML_LOSS_FIELDS(head_config, loss),
    ML_FIELDS_END,
};

static int head_check(const void *config, ml_error *err)
{
    const head_config *c = config;
    if (c->loss.reduction == ML_REDUCE_NONE)
        return ml_fail(
            err, ML_ERR_VALUE,
            "linear_cross_entropy: reduction: expected mean or sum: gradients are made before "
            "a weight for each row could be known");
    return ml_loss_check("linear_cross_entropy", &c->loss, err);
}

static size_t head_param_count(const void *config)
{
    const head_config *c = config;
    return c->bias ? 2 : 1;
}

static void head_describe(const ml_layer *layer, const void *config, size_t index,
                          ml_param_spec *param)
{
    (void)layer;
    const head_config *c = config;
    if (index == 0)
        *param = (ml_param_spec){"weight", 2, {c->out_features, c->in_features}};
    else
        *param = (ml_param_spec){"bias", 1, {c->out_features}};
}

// Gradients for a loss that counts once, from the forward pass to the backward pass.
static ml_head_gradients lay_out_gradients(const head_config *c, size_t N, ml_arena *arena)
{
    ml_head_gradients g;
    g.dx = ml_arena_array(arena, N, c->in_features, 1);
    g.dweight = ml_arena_array(arena, c->out_features, c->in_features, 1);
    g.dbias = ml_arena_reals(arena, c->out_features);
    return g;
}

static int head_prepare(ml_call *call, ml_error *err)
{
    const head_config *c = call->config;
    const ml_array *x = &call->input[0];
    char text[96];
    if (x->ndim != 2 || x->shape[1] != c->in_features)
        return ml_fail(err, ML_ERR_SHAPE,
                       "linear_cross_entropy: input: expected (rows, in_features=%zu), got %s",
                       c->in_features, ml_shape_text(x, text, sizeof text));
    size_t N = x->shape[0], V = c->out_features;
    ml_arena saved = {0}, workspace = {0};
    ml_head head = {.I = c->in_features, .V = V};
    if (call->need_grad)
        lay_out_gradients(c, N, &saved);
    ml_head_plan(&head, N);
    ml_head_lay_out(&head, N, &workspace);
    if (saved.overflow || workspace.overflow)
        return ml_fail(err, ML_ERR_OVERFLOW, "linear_cross_entropy: %zu rows of %zu classes", N, V);
    call->output[0].ndim = 0;
    call->saved_size = saved.used;
    call->forward_size = workspace.used;
    return ml_loss_check_inputs("linear_cross_entropy", &c->loss, &call->input[1], &call->input[2],
                                N, V, err);
}

static int head_forward(ml_call *call, ml_error *err)
{
    const head_config *c = call->config;
    const size_t N = call->input[0].shape[0], I = c->in_features, V = c->out_features;
    ml_head head = {
        .loss = ml_loss_begin(&c->loss, &call->input[1], &call->input[2], N, V),
        .I = I,
        .V = V,
        .x = call->input[0].data,
        .weight = call->param[0].data,
        .bias = c->bias ? call->param[1].data : NULL,
    };
    ml_arena saved = {.base = call->saved}, workspace = {.base = call->workspace};
    ml_head_gradients gradients = {0};
    if (call->need_grad)
        gradients = lay_out_gradients(c, N, &saved);
    ml_head_plan(&head, N);
    ml_head_lay_out(&head, N, &workspace);
    if (call->need_grad && N == 0) { // no rows will write them
        memset(gradients.dweight, 0, V * I * sizeof *gradients.dweight);
        memset(gradients.dbias, 0, V * sizeof *gradients.dbias);
    }
    for (; head.first < N; head.first += head.group) {
        head.rows = N - head.first < head.group ? N - head.first : head.group;
        int code = ml_head_group(&head, call->need_grad ? &gradients : NULL, err);
        if (code != ML_OK)
            return code;
    }
    *(ml_real *)call->output[0].data = (ml_real)ml_loss_reduce(&head.loss, head.row_loss);
    return ML_OK;
}

static int head_backward(ml_call *call, ml_error *err)
{
    (void)err;
    const head_config *c = call->config;
    const size_t N = call->input[0].shape[0], I = c->in_features, V = c->out_features;
    const ml_real scale = *(const ml_real *)call->grad_output[0].data;
    ml_arena saved = {.base = call->saved};
    const ml_head_gradients g = lay_out_gradients(c, N, &saved);
    if (call->grad_input[0].data != NULL)
        ml_scale(N * I, scale, g.dx, 0, call->grad_input[0].data);
    if (call->grad_param[0].data != NULL)
        ml_scale(V * I, scale, g.dweight, call->accumulate[0], call->grad_param[0].data);
    if (c->bias && call->grad_param[1].data != NULL)
        ml_scale(V, scale, g.dbias, call->accumulate[1], call->grad_param[1].data);
    return ML_OK;
}

const ml_layer ml_layer_linear_cross_entropy = {
    .name = "linear_cross_entropy",
    .config_size = sizeof(head_config),
    .fields = head_fields,
    .inputs = 3,
    .outputs = 1,
    .input = {{"input", "(rows, in_features)", ML_REALS, 0},
              {"target", "(rows,)", ML_IDS, 0},
              {"weight", "(classes,)", ML_REALS, 1, 1}},
    .output = {{"loss", "()", ML_REALS, 0}},
    .check = head_check,
    .param_count = head_param_count,
    .describe = head_describe,
    .prepare = head_prepare,
    .forward = head_forward,
    .backward = head_backward,
};
