#include "recurrent_layout.h"

#include <stdio.h>

#include "dropout.h"

// ---- sizes and parameters ---------------------------------------------------------------------

ml_sizes ml_sizes_of(const ml_call *call)
{
    const ml_recurrent_config *c = call->config;
    const ml_array *ids = ml_ids_of(call);
    const ml_array *x = ids->data != NULL ? ids : &call->input[0];
    return (ml_sizes){
        .V = ids->data != NULL ? call->input[0].shape[0] : 0,
        .T = x->shape[c->batch_first ? 1 : 0],
        .B = x->shape[c->batch_first ? 0 : 1],
        .E = c->input_size,
        .H = c->hidden_size,
        .L = c->num_layers,
        .D = c->bidirectional ? 2 : 1,
        .starts = ml_starts_of(call)->data != NULL,
    };
}

size_t ml_input_width(const ml_sizes *n, size_t layer) { return layer == 0 ? n->E : n->D * n->H; }

// Of one place: weights and biases, of the input and, unless the cell is elementwise, of the state.
static size_t params_each(const ml_recurrent_config *c, int elementwise)
{
    return (c->bias ? 2u : 1u) * (elementwise ? 1u : 2u);
}

static size_t param_count(const ml_recurrent_config *c, int elementwise)
{
    return c->num_layers * (c->bidirectional ? 2 : 1) * params_each(c, elementwise);
}

size_t ml_recurrent_param_count(const void *config) { return param_count(config, 0); }

size_t ml_elementwise_param_count(const void *config) { return param_count(config, 1); }

// Of the parameters that a place of this cell has, the one of that kind comes here.
static size_t kind_index(const ml_cell *cell, int kind)
{
    return cell->elementwise ? (kind == ML_B_IH ? 1 : 0) : (size_t)kind;
}

static size_t param_index(const ml_call *call, size_t place, int kind)
{
    const ml_cell *cell = call->layer->family;
    return place * params_each(call->config, cell->elementwise) + kind_index(cell, kind);
}

void ml_recurrent_describe(const ml_layer *layer, const void *config, size_t index,
                           ml_param_spec *param)
{
    const ml_cell *cell = layer->family;
    const ml_recurrent_config *c = config;
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const size_t each = params_each(c, cell->elementwise), place = index / each;
    int kind = ML_W_IH;
    while (kind_index(cell, kind) != index % each)
        kind++;
    size_t directions = c->bidirectional ? 2 : 1, level = place / directions;
    size_t width = level == 0 ? c->input_size : directions * c->hidden_size;
    *param =
        (ml_param_spec){.ndim = kind < ML_B_IH ? 2 : 1, .shape = {cell->gates * c->hidden_size}};
    param->shape[1] = kind == ML_W_IH ? width : c->hidden_size;
    snprintf(param->name, sizeof param->name, "%s_l%zu%s", names[kind], level,
             place % directions == 1 ? "_reverse" : "");
}

const ml_real *ml_param_at(const ml_call *call, size_t place, int kind)
{
    return call->param[param_index(call, place, kind)].data;
}

ml_real *ml_grad_at(const ml_call *call, size_t place, int kind, int *add)
{
    const size_t index = param_index(call, place, kind);
    *add = call->accumulate[index];
    return call->grad_param[index].data;
}

// ---- ids and starts ---------------------------------------------------------------------------

const ml_array *ml_ids_of(const ml_call *call)
{
    const ml_cell *cell = call->layer->family;
    return &call->input[cell->has_c ? 3 : 2];
}

const ml_array *ml_starts_of(const ml_call *call) { return ml_ids_of(call) + 1; }

static void arrange(const ml_call *call, const ml_sizes *n, const int64_t *from, int64_t *to)
{
    const ml_recurrent_config *c = call->config;
    for (size_t t = 0; t < n->T; t++)
        for (size_t b = 0; b < n->B; b++)
            to[t * n->B + b] = from[c->batch_first ? b * n->T + t : t * n->B + b];
}

void ml_arrange_ids(const ml_call *call, const ml_sizes *n, const ml_scratch *scratch)
{
    if (n->V > 0)
        arrange(call, n, ml_ids_of(call)->data, scratch->ids);
    if (n->starts)
        arrange(call, n, ml_starts_of(call)->data, scratch->starts);
}

// ---- memory -----------------------------------------------------------------------------------

int ml_drops(const ml_call *call)
{
    const ml_recurrent_config *c = call->config;
    return call->training && c->dropout > 0 && c->num_layers > 1;
}

// A layer reads its input where it already lies in time-major order: the caller's array, or the
// states of the layer below. Otherwise it has a copy.
static int needs_copy(const ml_call *call, const ml_sizes *n, size_t layer)
{
    const ml_recurrent_config *c = call->config;
    if (layer == 0)
        return n->V == 0 && c->batch_first && n->B > 1 && n->T > 1;
    return n->D == 2 || ml_drops(call);
}

static ml_states lay_out_states(const ml_sizes *n, int reverse, ml_arena *arena)
{
    if (n->starts) {
        ml_real *before = ml_arena_array(arena, n->T, n->B, n->H);
        return (ml_states){before, ml_arena_array(arena, n->T, n->B, n->H)};
    }
    ml_real *first = ml_arena_array(arena, n->T + 1, n->B, n->H);
    ml_real *second = first != NULL ? first + n->B * n->H : NULL;
    return reverse ? (ml_states){second, first} : (ml_states){first, second};
}

void ml_lay_out_layers(const ml_cell *cell, const ml_call *call, const ml_sizes *n, ml_arena *arena,
                       ml_layer_memory *layers)
{
    ml_layer_memory unused;
    for (size_t l = 0; l < n->L; l++) {
        ml_layer_memory *m = layers != NULL ? &layers[l] : &unused;
        m->x =
            needs_copy(call, n, l) ? ml_arena_array(arena, n->T, n->B, ml_input_width(n, l)) : NULL;
        for (size_t d = 0; d < n->D; d++) {
            ml_direction *dir = &m->direction[d];
            dir->reverse = d == 1;
            dir->gates = ml_arena_array(arena, n->T, n->B, cell->saved * n->H);
            dir->h = lay_out_states(n, dir->reverse, arena);
            dir->c = cell->has_c ? lay_out_states(n, dir->reverse, arena) : (ml_states){0};
        }
    }
}

static int64_t *lay_out_ids(const ml_sizes *n, ml_arena *arena)
{
    const size_t reals = sizeof(int64_t) / sizeof(ml_real);
    return (int64_t *)(void *)ml_arena_array(arena, n->T, n->B, reals);
}

ml_scratch ml_lay_out_scratch(const ml_cell *cell, const ml_sizes *n, int backward, ml_arena *arena)
{
    ml_scratch s = {0};
    s.packed = ml_arena_reals(arena, ml_scan_packed_size(cell, n->H));
    s.bias = ml_arena_reals(arena, cell->saved * n->H);
    if (n->V > 0) {
        s.ids = lay_out_ids(n, arena);
        s.table = ml_arena_array(arena, n->V, cell->saved, n->H);
    }
    if (n->starts)
        s.starts = lay_out_ids(n, arena);
    if (backward) {
        size_t width = n->L > 1 && n->D * n->H > n->E ? n->D * n->H : n->E;
        s.dgates = ml_arena_array(arena, n->T, n->B, cell->saved * n->H);
        s.carry = ml_arena_array(arena, n->B, n->H, 1);
        s.dx[0] = ml_arena_array(arena, n->T, n->B, width);
        s.dx[1] = n->L > 1 ? ml_arena_array(arena, n->T, n->B, width) : NULL;
    }
    return s;
}

ml_rows ml_output_rows(const ml_call *call, const ml_sizes *n, ml_real *data, size_t direction)
{
    const ml_recurrent_config *c = call->config;
    const size_t width = n->D * n->H;
    ml_rows rows = {data, n->B * width, width};
    if (c->batch_first) {
        rows.time = width;
        rows.batch = n->T * width;
    }
    if (data != NULL)
        rows.data += direction * n->H;
    return rows;
}

ml_rows ml_own_rows(const ml_sizes *n, ml_real *data, size_t direction)
{
    const size_t width = n->D * n->H;
    return (ml_rows){data != NULL ? data + direction * n->H : NULL, n->B * width, width};
}

const ml_real *ml_layer_input(const ml_call *call, const ml_layer_memory *layers, size_t l)
{
    if (layers[l].x != NULL)
        return layers[l].x;
    return l == 0 ? call->input[0].data : layers[l - 1].direction[0].h.after;
}

// ---- what both passes set up ------------------------------------------------------------------

ml_scan ml_make_scan(const ml_cell *cell, const ml_call *call, const ml_sizes *n,
                     const ml_scratch *s, const ml_layer_memory *memory, size_t place)
{
    return (ml_scan){
        .cell = cell,
        .config = call->config,
        .T = n->T,
        .B = n->B,
        .H = n->H,
        .memory = memory->direction[place % n->D],
        .ids = place < n->D ? s->ids : NULL,
        .table = s->table,
        .starts = s->starts,
        .w_hh = cell->elementwise ? NULL : ml_param_at(call, place, ML_W_HH),
        .bias = s->bias,
        .packed = s->packed,
        .from_zero = call->input[1].data == NULL,
        .dgates = s->dgates,
        .carry = s->carry,
    };
}

// The stream of random numbers of the dropout below layer l; the caller's own streams count from 0.
static uint64_t dropout_stream(const ml_call *call, size_t l)
{
    return call->stream + ((uint64_t)l << 32);
}

void ml_drop_input(const ml_call *call, const ml_sizes *n, size_t l, ml_real *x)
{
    const ml_recurrent_config *c = call->config;
    if (ml_drops(call))
        ml_dropout(n->T * n->B * ml_input_width(n, l), c->dropout, call->seed,
                   dropout_stream(call, l), x, x);
}
