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

static int has_nan(size_t n, const ml_real *x)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] != x[i])
            return 1;
    return 0;
}

// A row of -inf has top -inf; one with +inf has top +inf; one with a NaN anywhere has top NaN or
// log_sum NaN.
ml_log_sum_exp ML_KERNEL(row_log_sum_exp)(size_t n, const ml_real *x)
{
    vec largest = v_set(-(ml_real)INFINITY);
    for (size_t i = 0; i < n; i += ML_LANES)
        largest = v_max(largest, load_or(x + i, v_lanes(i, n), -(ml_real)INFINITY));
    ml_real lane[ML_LANES], top = -(ml_real)INFINITY;
    v_store(lane, largest);
    for (size_t i = 0; i < ML_LANES; i++)
        top = lane[i] > top || lane[i] != lane[i] ? lane[i] : top;
    if (!(top > -(ml_real)INFINITY && top < (ml_real)INFINITY)) {
        // The largest forgets a NaN that a number follows.
        return (ml_log_sum_exp){has_nan(n, x) ? (ml_real)NAN : top, 0};
    }

    vec sum = v_zero(), shift = v_set(top);
    for (size_t i = 0; i < n; i += ML_LANES)
        sum = v_add(sum, v_exp(v_sub(load_or(x + i, v_lanes(i, n), -(ml_real)INFINITY), shift)));
    v_store(lane, sum);
    double total = 0; // lanes in order, so that the sum is the same everywhere
    for (size_t i = 0; i < ML_LANES; i++)
        total += (double)lane[i];
    return (ml_log_sum_exp){top, (ml_real)log(total)};
}

// x_j = exp(x_j - top - log_sum)
void ML_KERNEL(row_softmax)(size_t n, ml_real *x, ml_log_sum_exp sum)
{
    const vec top = v_set(sum.top), log_sum = v_set(sum.log_sum);
    for (size_t i = 0; i < n; i += ML_LANES) {
        size_t m = v_lanes(i, n);
        v_put(x + i, v_exp(v_sub(v_sub(v_get(x + i, m), top), log_sum)), m);
    }
}
