// Attention of a single query. Blocks have a lane for each query, which would leave most of them empty;
// so here the lanes hold numbers of a key, and then keys.
#include <math.h>
#include <string.h>

#include "attention_head.h"
#include "workspace.h"

typedef struct row_scratch {
    ml_real *p;      // (Tk)
    ml_real *values; // (Tk, Dv), padded
} row_scratch;

static row_scratch lay_out(const ml_attention_head *h, ml_real *base, size_t *size)
{
    ml_arena arena = {.base = (char *)base};
    row_scratch s;
    s.p = ml_arena_reals(&arena, h->keys);
    s.values = ml_arena_array(&arena, h->value_size % ml_kernels_get()->lanes > 0 ? h->keys : 0,
                              ml_panel_width(h->value_size), 1);
    if (size != NULL)
        *size = arena.used / sizeof *base;
    return s;
}

size_t ml_attention_row_scratch(const ml_attention_head *head)
{
    size_t size;
    lay_out(head, NULL, &size);
    return size;
}

void ml_attention_row(const ml_attention_head *h, ml_real *scratch)
{
    const ml_kernels *kernels = ml_kernels_get();
    const row_scratch s = lay_out(h, scratch, NULL);
    const size_t end = ml_attention_keys_before(h, 1);
    kernels->rows_times(end, h->size, h->k.row, h->k.data, h->q.data, h->scale, s.p);
    for (size_t j = 0; j < end && h->key_mask != NULL; j++)
        if (h->key_mask[j] == 0)
            s.p[j] = -(ml_real)INFINITY;
    const ml_log_sum_exp sum = kernels->row_log_sum_exp(end, s.p);
    const int blind = sum.top == -(ml_real)INFINITY;
    h->top[0] = blind ? 0 : sum.top;
    h->inverse[0] = blind ? 0 : (ml_real)exp(-(double)sum.log_sum);
    if (blind)
        memset(s.p, 0, end * sizeof *s.p);
    else
        kernels->row_softmax(end, s.p, sum);
    const ml_rows values = ml_rows_as_panel(h->v, end, h->value_size, s.values);
    const ml_panel_product product = {
        .rows = 1,
        .columns = h->value_size,
        .depth = end,
        .a = s.p,
        .a_k = 1,
        .panel = values.data,
        .panel_row = values.row,
        .c = h->o.data,
    };
    kernels->panel_product(&product);
    if (h->weights.data == NULL)
        return;
    memcpy(h->weights.data, s.p, end * sizeof *s.p);
    memset(h->weights.data + end, 0, (h->keys - end) * sizeof *s.p);
}
