// Stacks of recurrent layers: what lies outside the walk through time.
//
// Inside, everything is time-major, (T, B, ...): a step then reads and writes one piece of memory.
// batch_first costs one copy of the input; the output's rows are written where they belong.
// Projections and weight gradients are products over all T * B rows at once.
#include "recurrent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dropout.h"
#include "gemm.h"
#include "recurrent_layout.h"
#include "rows.h"

// ---- settings and shapes ----------------------------------------------------------------------

int ml_recurrent_check(const void *config, ml_error *err)
{
    const ml_recurrent_config *c = config;
    return ml_check_probability("dropout between recurrent layers", c->dropout, err);
}

static int check_state(const ml_call *call, const ml_sizes *n, size_t index, const char *name,
                       ml_error *err)
{
    const ml_array *state = &call->input[index];
    if (state->data == NULL)
        return ML_OK;
    const size_t places = n->L * n->D;
    if (state->ndim == 3 && state->shape[0] == places && state->shape[1] == n->B &&
        state->shape[2] == n->H)
        return ML_OK;
    char text[96];
    const char *hint = "";
    if (state->ndim == 3 && state->shape[1] == n->T && n->T != n->B)
        hint = "; its batch is as long as the input's time axis: is batch_first set as the data is "
               "laid out?";
    return ml_fail(
        err, ML_ERR_SHAPE,
        "%s: %s: expected (layers * directions=%zu, batch=%zu, hidden_size=%zu), got %s%s",
        call->layer->name, name, places, n->B, n->H, ml_shape_text(state, text, sizeof text), hint);
}

static int check_input(const ml_call *call, ml_error *err)
{
    const ml_recurrent_config *c = call->config;
    const ml_array *x = &call->input[0];
    const char *axes = c->batch_first ? "batch, time" : "time, batch";
    char text[96];
    if (x->ndim != 3 || x->shape[2] != c->input_size)
        return ml_fail(err, ML_ERR_SHAPE, "%s: input: expected (%s, input_size=%zu), got %s",
                       call->layer->name, axes, c->input_size, ml_shape_text(x, text, sizeof text));
    return ML_OK;
}

// With ids, the input is the table that they choose from.
static int check_ids(const ml_call *call, const ml_array *ids, ml_error *err)
{
    const ml_recurrent_config *c = call->config;
    const ml_array *table = &call->input[0];
    char text[96], name[48];
    if (table->ndim != 2 || table->shape[1] != c->input_size)
        return ml_fail(err, ML_ERR_SHAPE,
                       "%s: input: expected a table (ids, input_size=%zu) of which ids choose "
                       "rows, got %s",
                       call->layer->name, c->input_size, ml_shape_text(table, text, sizeof text));
    if (ids->ndim != 2)
        return ml_fail(err, ML_ERR_SHAPE, "%s: ids: expected (%s), got %s", call->layer->name,
                       c->batch_first ? "batch, time" : "time, batch",
                       ml_shape_text(ids, text, sizeof text));
    snprintf(name, sizeof name, "%s: ids", call->layer->name);
    return ml_check_ids(ids, name, table->shape[0], 0, err);
}

static int check_starts(const ml_call *call, const ml_sizes *n, ml_error *err)
{
    const ml_recurrent_config *c = call->config;
    const ml_array *starts = ml_starts_of(call);
    if (starts->data == NULL)
        return ML_OK;
    if (c->bidirectional)
        return ml_fail(err, ML_ERR_VALUE,
                       "%s: starts: a layer of both directions reads sequences from their ends, "
                       "too: give it one sequence in each row of the batch, without starts",
                       call->layer->name);
    const size_t time = c->batch_first ? 1 : 0;
    if (starts->ndim == 2 && starts->shape[time] == n->T && starts->shape[1 - time] == n->B)
        return ML_OK;
    char text[96];
    return ml_fail(err, ML_ERR_SHAPE, "%s: starts: expected (%s) of time %zu and batch %zu, got %s",
                   call->layer->name, c->batch_first ? "batch, time" : "time, batch", n->T, n->B,
                   ml_shape_text(starts, text, sizeof text));
}

int ml_recurrent_prepare(ml_call *call, ml_error *err)
{
    const ml_cell *cell = call->layer->family;
    const ml_array *ids = ml_ids_of(call);
    int code = ids->data != NULL ? check_ids(call, ids, err) : check_input(call, err);
    if (code != ML_OK)
        return code;
    const ml_sizes n = ml_sizes_of(call);
    if (n.T == 0) {
        const ml_array *sequence = ids->data != NULL ? ids : &call->input[0];
        char text[96];
        return ml_fail(err, ML_ERR_SHAPE, "%s: %s: expected time of at least 1, got %s",
                       call->layer->name, ids->data != NULL ? "ids" : "input",
                       ml_shape_text(sequence, text, sizeof text));
    }
    if ((code = check_starts(call, &n, err)) != ML_OK ||
        (code = check_state(call, &n, 1, "h_0", err)) != ML_OK)
        return code;
    if (cell->has_c && (code = check_state(call, &n, 2, "c_0", err)) != ML_OK)
        return code;

    ml_same_shape(&call->output[0], ids->data != NULL ? ids : &call->input[0]);
    call->output[0].ndim = 3;
    call->output[0].shape[2] = n.D * n.H;
    for (size_t i = 1; i < (cell->has_c ? 3u : 2u); i++) {
        const size_t shape[3] = {n.L * n.D, n.B, n.H};
        call->output[i].ndim = 3;
        memcpy(call->output[i].shape, shape, sizeof shape);
    }
    ml_arena layers = {0}, forward = {0}, backward = {0};
    ml_lay_out_layers(cell, call, &n, &layers, NULL);
    ml_lay_out_scratch(cell, &n, 0, &forward);
    ml_lay_out_scratch(cell, &n, 1, &backward);
    if (layers.overflow || forward.overflow || backward.overflow)
        return ml_fail(err, ML_ERR_OVERFLOW,
                       "%s: the sequence needs more bytes than a size can count",
                       call->layer->name);
    call->saved_size = call->need_grad ? layers.used : 0;
    call->forward_size = forward.used + (call->need_grad ? 0 : layers.used);
    call->backward_size = backward.used;
    return ML_OK;
}

// ---- forward ----------------------------------------------------------------------------------

// b_ih and b_hh in the columns of the saved gates.
static void add_biases(const ml_cell *cell, const ml_call *call, const ml_sizes *n, size_t place,
                       ml_real *bias)
{
    const ml_recurrent_config *c = call->config;
    const size_t H = n->H;
    memset(bias, 0, cell->saved * H * sizeof *bias);
    if (!c->bias)
        return;
    const ml_real *b_ih = ml_param_at(call, place, ML_B_IH);
    for (size_t r = 0; r < cell->runs; r++) {
        const ml_gate_run run = cell->input_run[r];
        memcpy(bias + run.column * H, b_ih + run.row * H, run.count * H * sizeof *bias);
    }
    if (cell->elementwise)
        return;
    const ml_real *b_hh = ml_param_at(call, place, ML_B_HH);
    for (size_t i = 0; i < cell->gates * H; i++)
        bias[cell->hidden_column * H + i] += b_hh[i];
}

// gates = x W_ih^T + b, in the columns of the saved gates.   x (rows, width), gates (rows, S, H)
static int project(const ml_cell *cell, size_t H, size_t rows, const ml_real *x, size_t width,
                   const ml_real *w_ih, const ml_real *bias, ml_real *gates, ml_error *err)
{
    const size_t S = cell->saved;
    int code = ML_OK;
    for (size_t r = 0; r < cell->runs && code == ML_OK; r++) {
        const ml_gate_run run = cell->input_run[r];
        code = ml_gemm_bias(ML_NO_TRANS, ML_TRANS, rows, run.count * H, width, x, width,
                            w_ih + run.row * H * width, width, bias + run.column * H,
                            gates + run.column * H, S * H, err);
    }
    return code;
}

// Puts an initial state (or 0) where the first step reads it.
static void begin_state(const ml_scan *scan, const ml_array *initial, size_t place,
                        const ml_states *states)
{
    const size_t size = scan->B * scan->H;
    ml_real *first = states->before + (scan->memory.reverse ? scan->T - 1 : 0) * size;
    if (initial->data == NULL) {
        memset(first, 0, size * sizeof *first);
        return;
    }
    memcpy(first, (const ml_real *)initial->data + place * size, size * sizeof *first);
    ml_clear_started(scan, first);
}

// Copies the state that the last step left to the output.
static void end_state(const ml_scan *scan, const ml_states *states, ml_array *final, size_t place)
{
    const size_t size = scan->B * scan->H;
    const ml_real *last = states->after + (scan->memory.reverse ? 0 : scan->T - 1) * size;
    memcpy((ml_real *) final->data + place * size, last, size * sizeof *last);
}

static int forward_direction(const ml_cell *cell, ml_call *call, const ml_sizes *n,
                             const ml_scratch *s, const ml_layer_memory *layers, size_t place,
                             ml_error *err)
{
    const size_t l = place / n->D, d = place % n->D;
    ml_scan scan = ml_make_scan(cell, call, n, s, &layers[l], place);
    const int by_table = scan.ids != NULL;
    add_biases(cell, call, n, place, s->bias);
    int code = project(cell, n->H, by_table ? n->V : n->T * n->B,
                       by_table ? call->input[0].data : ml_layer_input(call, layers, l),
                       ml_input_width(n, l), ml_param_at(call, place, ML_W_IH), s->bias,
                       by_table ? s->table : scan.memory.gates, err);
    if (code != ML_OK)
        return code;
    begin_state(&scan, &call->input[1], place, &scan.memory.h);
    if (cell->has_c)
        begin_state(&scan, &call->input[2], place, &scan.memory.c);
    scan.y = l + 1 == n->L ? ml_output_rows(call, n, call->output[0].data, d)
                           : ml_own_rows(n, layers[l + 1].x, d);
    ml_scan_forward(&scan);
    end_state(&scan, &scan.memory.h, &call->output[1], place);
    if (cell->has_c)
        end_state(&scan, &scan.memory.c, &call->output[2], place);
    return ML_OK;
}

int ml_recurrent_forward(ml_call *call, ml_error *err)
{
    const ml_cell *cell = call->layer->family;
    const ml_sizes n = ml_sizes_of(call);
    ml_layer_memory *layers = calloc(n.L, sizeof *layers);
    if (layers == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "%s: no memory for %zu layers", call->layer->name, n.L);
    ml_arena workspace = {.base = call->workspace}, saved = {.base = call->saved};
    const ml_scratch s = ml_lay_out_scratch(cell, &n, 0, &workspace);
    ml_lay_out_layers(cell, call, &n, call->need_grad ? &saved : &workspace, layers);

    int code = ML_OK;
    ml_arrange_ids(call, &n, &s);
    if (layers[0].x != NULL)
        ml_swap_axes(n.B, n.T, n.E, call->input[0].data, layers[0].x);
    for (size_t place = 0; place < n.L * n.D && code == ML_OK; place++) {
        if (place % n.D == 0 && place > 0)
            ml_drop_input(call, &n, place / n.D, layers[place / n.D].x);
        code = forward_direction(cell, call, &n, &s, layers, place, err);
    }
    free(layers);
    return code;
}
