// The backward pass of stacks of recurrent layers: from the last layer to the first, each
// direction's walk back through time, then the products that make the gradients of weights and
// inputs.
#include <stdlib.h>
#include <string.h>

#include "gemm.h"
#include "recurrent_layout.h"
#include "rows.h"

// What a layer reads, and the gradient of its projection: a row for each step of each sequence, or,
// where a table was projected, for each row of the table.
typedef struct input_side {
    size_t rows, width;
    const ml_real *x;      // (rows, width)
    const ml_real *dgates; // (rows, S, H)
} input_side;

// The steps that read a row of the table add up to its gradient.
static input_side make_input_side(const ml_cell *cell, const ml_call *call, const ml_sizes *n,
                                  const ml_scratch *s, const ml_layer_memory *layers,
                                  const ml_scan *scan, size_t layer)
{
    const size_t width = ml_input_width(n, layer), N = n->T * n->B, SH = cell->saved * n->H;
    if (scan->ids == NULL)
        return (input_side){N, width, ml_layer_input(call, layers, layer), scan->dgates};
    memset(s->table, 0, n->V * SH * sizeof *s->table);
    ml_scatter_rows(N, SH, scan->ids, -1, scan->dgates, n->V, s->table);
    return (input_side){n->V, width, call->input[0].data, s->table};
}

// db = sum over rows of dgates; b_ih and b_hh share the columns that both are added to.
static void bias_gradients(const ml_cell *cell, const ml_call *call, const ml_scan *scan,
                           size_t place, const input_side *in, ml_real *sums)
{
    const size_t H = scan->H, G = cell->gates, S = cell->saved;
    for (size_t r = 0; r < cell->runs; r++) {
        const size_t column = cell->input_run[r].column * H;
        ml_column_sums(in->rows, cell->input_run[r].count * H, S * H, in->dgates + column, 0,
                       sums + column);
    }
    if (S > G) // the columns of W_hh alone
        ml_column_sums(scan->T * scan->B, (S - G) * H, S * H, scan->dgates + G * H, 0,
                       sums + G * H);
    int add;
    ml_real *grad = cell->elementwise ? NULL : ml_grad_at(call, place, ML_B_HH, &add);
    if (grad != NULL)
        ml_scale(G * H, 1, sums + cell->hidden_column * H, add, grad);
    grad = ml_grad_at(call, place, ML_B_IH, &add);
    for (size_t r = 0; r < cell->runs && grad != NULL; r++) {
        const ml_gate_run run = cell->input_run[r];
        ml_scale(run.count * H, 1, sums + run.column * H, add, grad + run.row * H);
    }
}

// dW_ih = dgates^T x,  dW_hh = dgates^T h_{t-1}
static int weight_gradients(const ml_cell *cell, const ml_call *call, const ml_scan *scan,
                            size_t place, const input_side *in, ml_error *err)
{
    const size_t H = scan->H, S = cell->saved;
    int code = ML_OK, add;
    ml_real *grad = cell->elementwise ? NULL : ml_grad_at(call, place, ML_W_HH, &add);
    if (grad != NULL)
        code = ml_gemm(ML_TRANS, ML_NO_TRANS, cell->gates * H, H, scan->T * scan->B,
                       scan->dgates + cell->hidden_column * H, S * H, scan->memory.h.before, H, add,
                       grad, H, err);
    grad = ml_grad_at(call, place, ML_W_IH, &add);
    for (size_t r = 0; r < cell->runs && grad != NULL && code == ML_OK; r++) {
        const ml_gate_run run = cell->input_run[r];
        code = ml_gemm(ML_TRANS, ML_NO_TRANS, run.count * H, in->width, in->rows,
                       in->dgates + run.column * H, S * H, in->x, in->width, add,
                       grad + run.row * H * in->width, in->width, err);
    }
    return code;
}

// dx (+)= dgates W_ih
static int input_gradient(const ml_cell *cell, const ml_call *call, const ml_scan *scan,
                          size_t place, const input_side *in, int add, ml_real *dx, ml_error *err)
{
    const size_t H = scan->H, S = cell->saved;
    const ml_real *w_ih = ml_param_at(call, place, ML_W_IH);
    int code = ML_OK;
    for (size_t r = 0; r < cell->runs && code == ML_OK; r++) {
        const ml_gate_run run = cell->input_run[r];
        code = ml_gemm(ML_NO_TRANS, ML_NO_TRANS, in->rows, in->width, run.count * H,
                       in->dgates + run.column * H, S * H, w_ih + run.row * H * in->width,
                       in->width, add || r > 0, dx, in->width, err);
    }
    return code;
}

// dh_0 = dgates of the first step W_hh + what skipped it;  dc_0 = carry
// Where the cell is elementwise, all of dh_0 skips the product that is not there.
static int state_gradients(const ml_cell *cell, ml_call *call, const ml_scan *scan, size_t place,
                           ml_error *err)
{
    const size_t B = scan->B, H = scan->H, S = cell->saved, size = B * H;
    const size_t first = scan->memory.reverse ? scan->T - 1 : 0;
    const ml_real *dgates = scan->dgates + first * B * S * H + cell->hidden_column * H;
    int code = ML_OK;
    if (call->grad_input[1].data != NULL) {
        ml_real *dh = (ml_real *)call->grad_input[1].data + place * size;
        if (!cell->elementwise)
            code = ml_gemm(ML_NO_TRANS, ML_NO_TRANS, B, H, cell->gates * H, dgates, S * H,
                           scan->w_hh, H, 0, dh, H, err);
        if (!cell->has_c)
            ml_scale(size, 1, scan->carry, !cell->elementwise, dh);
        ml_clear_started(scan, dh);
    }
    if (cell->has_c && call->grad_input[2].data != NULL) {
        ml_real *dc = (ml_real *)call->grad_input[2].data + place * size;
        memcpy(dc, scan->carry, size * sizeof *dc);
        ml_clear_started(scan, dc);
    }
    return code;
}

// dy: gradient of the layer's output; dx: of its input, NULL when nobody wants it.
static int backward_direction(const ml_cell *cell, ml_call *call, const ml_sizes *n,
                              const ml_scratch *s, const ml_layer_memory *layers, size_t place,
                              ml_rows dy, ml_real *dx, ml_error *err)
{
    const size_t l = place / n->D, size = n->B * n->H;
    ml_scan scan = ml_make_scan(cell, call, n, s, &layers[l], place);
    const ml_real *dh_n = call->grad_output[1].data;
    const ml_real *dc_n = cell->has_c ? call->grad_output[2].data : NULL;
    scan.y = dy;
    scan.dh_n = dh_n != NULL ? dh_n + place * size : NULL;
    if (dc_n != NULL)
        memcpy(s->carry, dc_n + place * size, size * sizeof *s->carry);
    else
        memset(s->carry, 0, size * sizeof *s->carry);
    ml_scan_backward(&scan);

    const ml_recurrent_config *c = call->config;
    const input_side in = make_input_side(cell, call, n, s, layers, &scan, l);
    int code = weight_gradients(cell, call, &scan, place, &in, err);
    if (c->bias)
        bias_gradients(cell, call, &scan, place, &in, s->bias);
    if (code == ML_OK)
        code = state_gradients(cell, call, &scan, place, err);
    if (code == ML_OK && dx != NULL)
        code = input_gradient(cell, call, &scan, place, &in, place % n->D == 1, dx, err);
    return code;
}

int ml_recurrent_backward(ml_call *call, ml_error *err)
{
    const ml_cell *cell = call->layer->family;
    const ml_sizes n = ml_sizes_of(call);
    ml_layer_memory *layers = calloc(n.L, sizeof *layers);
    if (layers == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "%s: no memory for %zu layers", call->layer->name, n.L);
    ml_arena workspace = {.base = call->workspace}, saved = {.base = call->saved};
    const ml_scratch s = ml_lay_out_scratch(cell, &n, 1, &workspace);
    ml_lay_out_layers(cell, call, &n, &saved, layers);
    ml_arrange_ids(call, &n, &s);

    ml_real *wanted = call->grad_input[0].data;
    const int swapped = layers[0].x != NULL; // into time-major order
    int code = ML_OK;
    for (size_t l = n.L; l-- > 0 && code == ML_OK;) {
        ml_real *above = s.dx[(l + 1) % 2]; // the gradient of the input of layer l + 1
        ml_real *dx = l > 0 || swapped ? s.dx[l % 2] : wanted;
        if (l == 0 && wanted == NULL)
            dx = NULL;
        for (size_t d = 0; d < n.D && code == ML_OK; d++) {
            ml_rows dy = l + 1 == n.L ? ml_output_rows(call, &n, call->grad_output[0].data, d)
                                      : ml_own_rows(&n, above, d);
            code = backward_direction(cell, call, &n, &s, layers, l * n.D + d, dy, dx, err);
        }
        if (l > 0)
            ml_drop_input(call, &n, l, dx);
    }
    if (code == ML_OK && swapped && wanted != NULL)
        ml_swap_axes(n.T, n.B, n.E, s.dx[0], wanted);
    free(layers);
    return code;
}
