// Attention of one query, for one head: what writing a token asks of the cache of keys and values.
//
//     p[t] = exp(q k[t] - top),  out = sum_t p[t] v[t] / sum_t p[t],  top = max_t q k[t]
#include "kernels.h"
#include "simd.h"
#include "simd_transpose.h"
#include "vmath.h"

#include <math.h>

// The scores of ML_LANES keys. Each has a vector of sums, which are added up side by side, as columns.
ML_INLINE void score_block(size_t size, const ml_real *query, const ml_real *k, ml_real *score)
{
    vec sum[ML_LANES];
    for (size_t j = 0; j < ML_LANES; j++)
        sum[j] = v_zero();
    for (size_t i = 0; i < size; i += ML_LANES) {
        size_t n = v_lanes(i, size);
        vec q = v_get(query + i, n);
        for (size_t j = 0; j < ML_LANES; j++)
            sum[j] = v_fma(q, v_get(k + j * size + i, n), sum[j]);
    }
    ml_real rows[ML_LANES * ML_LANES], columns[ML_LANES * ML_LANES];
    for (size_t j = 0; j < ML_LANES; j++)
        v_store(rows + j * ML_LANES, sum[j]);
    for (size_t i = 0; i < ML_LANES; i += ML_SQUARE)
        for (size_t j = 0; j < ML_LANES; j += ML_SQUARE)
            transpose_square(rows + i * ML_LANES + j, ML_LANES, 1, columns + j * ML_LANES + i,
                             ML_LANES);
    vec total = v_zero();
    for (size_t i = 0; i < ML_LANES; i++)
        total = v_add(total, v_load(columns + i * ML_LANES));
    v_store(score, total);
}

static ml_real score_one(size_t size, const ml_real *query, const ml_real *k)
{
    vec sum = v_zero();
    for (size_t i = 0; i < size; i += ML_LANES) {
        size_t n = v_lanes(i, size);
        sum = v_fma(v_get(query + i, n), v_get(k + i, n), sum);
    }
    ml_real lane[ML_LANES], total = 0;
    v_store(lane, sum);
    for (size_t i = 0; i < ML_LANES; i++)
        total += lane[i];
    return total;
}

// p[t] = exp(p[t] - top), n of them, in whole vectors; returns their sum.
static ml_real exp_all(size_t n, ml_real *p)
{
    vec largest = v_set(-(ml_real)INFINITY), sum = v_zero();
    for (size_t t = 0; t < n; t += ML_LANES)
        largest = v_max(largest, v_load(p + t));
    ml_real lane[ML_LANES], top = -(ml_real)INFINITY, total = 0;
    v_store(lane, largest);
    for (size_t i = 0; i < ML_LANES; i++)
        top = lane[i] > top ? lane[i] : top;
    for (size_t t = 0; t < n; t += ML_LANES) {
        vec e = v_exp(v_sub(v_load(p + t), v_set(top)));
        v_store(p + t, e);
        sum = v_add(sum, e);
    }
    v_store(lane, sum);
    for (size_t i = 0; i < ML_LANES; i++)
        total += lane[i];
    return total;
}

enum { TOGETHER = 4 }; // vectors of a head that are summed at once

// out = factor sum_t p[t] v[t], for `width` vectors, the last of them with `last` lanes; rows of v lie
// `size` apart. Even and odd positions have sums of their own, which do not wait for one another.
ML_INLINE void mix_columns(size_t width, size_t last, size_t keys, size_t size, const ml_real *p,
                           const ml_real *v, ml_real factor, ml_real *out)
{
    vec sum[2][TOGETHER];
    for (size_t j = 0; j < width; j++)
        sum[0][j] = sum[1][j] = v_zero();
    size_t t = 0;
    for (; t + 2 <= keys; t += 2)
        for (size_t c = 0; c < 2; c++)
            for (size_t j = 0; j < width; j++) {
                vec a = v_get(v + (t + c) * size + j * ML_LANES, j + 1 < width ? ML_LANES : last);
                sum[c][j] = v_fma(v_set(p[t + c]), a, sum[c][j]);
            }
    for (size_t j = 0; j < width; j++) {
        size_t n = j + 1 < width ? ML_LANES : last;
        if (t < keys)
            sum[0][j] = v_fma(v_set(p[t]), v_get(v + t * size + j * ML_LANES, n), sum[0][j]);
        v_put(out + j * ML_LANES, v_mul(v_set(factor), v_add(sum[0][j], sum[1][j])), n);
    }
}

void ML_KERNEL(decode_attention)(const ml_decode_attention *a)
{
    const size_t keys = a->keys, size = a->size;
    size_t t = 0;
    for (; t + ML_LANES <= keys; t += ML_LANES)
        score_block(size, a->query, a->k + t * size, a->p + t);
    for (; t < keys; t++)
        a->p[t] = score_one(size, a->query, a->k + t * size);
    size_t whole = (keys + ML_LANES - 1) / ML_LANES * ML_LANES;
    for (; t < whole; t++)
        a->p[t] = -(ml_real)INFINITY;
    const ml_real factor = 1 / exp_all(whole, a->p);

    const size_t step = TOGETHER * ML_LANES;
    size_t i = 0;
    for (; i + step <= size; i += step)
        mix_columns(TOGETHER, ML_LANES, keys, size, a->p, a->v + i, factor, a->out + i);
    for (; i < size; i += ML_LANES)
        mix_columns(1, v_lanes(i, size), keys, size, a->p, a->v + i, factor, a->out + i);
}
