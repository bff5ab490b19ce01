// Rotary positions (Su et al. 2021, https://arxiv.org/abs/2104.09864), the halves of a head paired
// as Hugging Face's Llama has them: number i with number i + R, i < R. What is beyond 2 R stays.
#include <string.h>

#include "kernels/kernels.h"
#include "layer.h"
#include "pool.h"
#include "rows.h"

typedef struct rotary_config {
    int heads_first; // (batch, heads, time, size), or (batch, time, heads, size)
} rotary_config;

static const ml_field rotary_fields[] = {
    ML_OPTIONAL(ML_FIELD_FLAG, rotary_config, heads_first, 1),
    ML_FIELDS_END,
};

enum { X, COS, SIN };

static int time_axis(const ml_call *call)
{
    const rotary_config *c = call->config;
    return c->heads_first ? 2 : 1;
}

static int check_angles(const ml_call *call, ml_error *err)
{
    const ml_array *x = &call->input[X], *angles = &call->input[COS];
    const size_t time = x->shape[time_axis(call)];
    char text[96];
    if (angles->ndim == 3 && (angles->shape[0] == 1 || angles->shape[0] == x->shape[0]) &&
        angles->shape[1] == time && angles->shape[2] <= x->shape[3] / 2)
        return ML_OK;
    return ml_fail(
        err, ML_ERR_SHAPE,
        "rotary: cos: expected (1 or batch=%zu, time=%zu, at most half of size=%zu), got %s",
        x->shape[0], time, x->shape[3], ml_shape_text(angles, text, sizeof text));
}

static int rotary_prepare(ml_call *call, ml_error *err)
{
    const ml_array *x = &call->input[X];
    char text[96];
    if (x->ndim != 4)
        return ml_fail(err, ML_ERR_SHAPE, "rotary: input: expected four axes, got %s",
                       ml_shape_text(x, text, sizeof text));
    const ml_array *cos = &call->input[COS], *sin = &call->input[SIN];
    int code = check_angles(call, err);
    if (code != ML_OK)
        return code;
    if (sin->ndim != 3 || memcmp(sin->shape, cos->shape, 3 * sizeof *cos->shape) != 0)
        return ml_fail(err, ML_ERR_SHAPE, "rotary: sin: expected the shape of cos, got %s",
                       ml_shape_text(sin, text, sizeof text));
    ml_same_shape(&call->output[0], x);
    return ML_OK;
}

typedef struct rotary_job {
    const ml_call *call;
    ml_real turn; // 1: forward, -1: backward
    const ml_real *from;
    ml_real *to;
} rotary_job;

// Rows are heads at a time: (batch, heads, time), or (batch, time, heads).
static void turn_rows(void *ctx, size_t begin, size_t end)
{
    const rotary_job *job = ctx;
    const ml_call *call = job->call;
    const ml_array *x = &call->input[X], *angles = &call->input[COS];
    const size_t size = x->shape[3], half = angles->shape[2], time = x->shape[time_axis(call)];
    const size_t rows = x->shape[1] * x->shape[2]; // of a sequence
    const int time_last = time_axis(call) == 2;
    const ml_real *cos = angles->data, *sin = call->input[SIN].data; // (1 or B, T, R)
    for (size_t n = begin; n < end; n++) {
        const size_t row = n % rows, t = time_last ? row % time : row / x->shape[2];
        const size_t at = ((angles->shape[0] > 1 ? n / rows * time : 0) + t) * half;
        const ml_real *from = job->from + n * size;
        ml_real *to = job->to + n * size;
        ml_kernels_get()->rotary_row(half, job->turn, cos + at, sin + at, from, to);
        memcpy(to + 2 * half, from + 2 * half, (size - 2 * half) * sizeof *to);
    }
}

static void turn(const ml_call *call, ml_real direction, const ml_array *from, const ml_array *to)
{
    const ml_array *x = &call->input[X];
    rotary_job job = {call, direction, from->data, to->data};
    ml_parallel_ranges(x->shape[0] * x->shape[1] * x->shape[2], ml_row_grain(x->shape[3]),
                       turn_rows, &job);
}

static int rotary_forward(ml_call *call, ml_error *err)
{
    (void)err;
    turn(call, 1, &call->input[X], &call->output[0]);
    return ML_OK;
}

static int rotary_backward(ml_call *call, ml_error *err)
{
    (void)err;
    if (call->grad_input[X].data != NULL)
        turn(call, -1, &call->grad_output[0], &call->grad_input[X]);
    return ML_OK;
}

const ml_layer ml_layer_rotary = {
    .name = "rotary",
    .config_size = sizeof(rotary_config),
    .fields = rotary_fields,
    .inputs = 3,
    .outputs = 1,
    .input = {{"input", "(batch, heads, time, size)", ML_REALS, 0},
              {"cos", "(1 or batch, time, pairs)", ML_REALS, 0, 1},
              {"sin", "(1 or batch, time, pairs)", ML_REALS, 0, 1}},
    .output = {{"output", "(batch, heads, time, size)", ML_REALS, 0}},
    .prepare = rotary_prepare,
    .forward = rotary_forward,
    .backward = rotary_backward,
};
