// Rows of logits: the two passes of a stable softmax.
#include "kernels.h"
#include "simd.h"
#include "vmath.h"

#include <math.h>

// Lanes beyond n get `fill`, so that a whole vector may be reduced.
ML_INLINE vec load_or(const ml_real *p, size_t n, ml_real fill)
{
    if (n == ML_LANES)
        return v_load(p);
    ml_real part[ML_LANES];
    for (size_t i = 0; i < ML_LANES; i++)
        part[i] = i < n ? p[i] : fill;
    return v_load(part);
}

// log sum_j exp(x_j), as max + log sum_j exp(x_j - max). -inf for a row of -inf; NaN where there is
// one (max lets it through).
ml_real ML_KERNEL(row_log_sum_exp)(size_t n, const ml_real *x)
{
    vec largest = v_set(-(ml_real)INFINITY);
    for (size_t i = 0; i < n; i += ML_LANES)
        largest = v_max(largest, load_or(x + i, v_lanes(i, n), -(ml_real)INFINITY));
    ml_real lane[ML_LANES], top = -(ml_real)INFINITY;
    v_store(lane, largest);
    for (size_t i = 0; i < ML_LANES; i++)
        top = lane[i] > top || lane[i] != lane[i] ? lane[i] : top;
    if (!(top > -(ml_real)INFINITY && top < (ml_real)INFINITY))
        return top; // all -inf, or an infinity or NaN that the result cannot hide

    vec sum = v_zero(), shift = v_set(top);
    for (size_t i = 0; i < n; i += ML_LANES)
        sum = v_add(sum, v_exp(v_sub(load_or(x + i, v_lanes(i, n), -(ml_real)INFINITY), shift)));
    v_store(lane, sum);
    double total = 0; // lanes in order, so that the sum is the same everywhere
    for (size_t i = 0; i < ML_LANES; i++)
        total += (double)lane[i];
    return top + (ml_real)log(total);
}

// x_j = exp(x_j - log_sum_exp)
void ML_KERNEL(row_softmax)(size_t n, ml_real *x, ml_real log_sum_exp)
{
    const vec shift = v_set(log_sum_exp);
    for (size_t i = 0; i < n; i += ML_LANES) {
        size_t m = v_lanes(i, n);
        v_put(x + i, v_exp(v_sub(v_get(x + i, m), shift)), m);
    }
}
