// The two passes of a stable softmax, over rows and over columns.
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

enum { TOGETHER = 4 }; // vectors of columns that are walked down at once

// `width` vectors of columns, the last of them with `last` lanes.
ML_INLINE void exp_columns(size_t width, size_t last, size_t rows, size_t ld, const ml_real *bias,
                           ml_real *x, ml_real *top, ml_real *sum)
{
    vec largest[TOGETHER], total[TOGETHER];
    for (size_t j = 0; j < width; j++) {
        largest[j] = v_set(-(ml_real)INFINITY);
        total[j] = v_zero();
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < width; j++) {
            vec a = v_get(x + i * ld + j * ML_LANES, j + 1 < width ? ML_LANES : last);
            largest[j] = v_max(largest[j], bias != NULL ? v_add(a, v_set(bias[i])) : a);
        }
    for (size_t j = 0; j < width; j++) // where all are -inf, exp must see -inf and not a NaN
        largest[j] = v_max(v_set(-(ml_real)3e38), largest[j]);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < width; j++) {
            ml_real *at = x + i * ld + j * ML_LANES;
            size_t n = j + 1 < width ? ML_LANES : last;
            vec a = v_get(at, n);
            a = v_exp(v_sub(bias != NULL ? v_add(a, v_set(bias[i])) : a, largest[j]));
            total[j] = v_add(total[j], a);
            v_put(at, a, n);
        }
    for (size_t j = 0; j < width; j++) {
        size_t n = j + 1 < width ? ML_LANES : last;
        v_put(top + j * ML_LANES, largest[j], n);
        if (sum != NULL)
            v_put(sum + j * ML_LANES, total[j], n);
    }
}

// top[j] = max_i (x[i][j] + bias[i]),  x[i][j] = exp(x[i][j] + bias[i] - top[j]),
// sum[j] = sum_i x[i][j] or NULL                  x (rows, columns), rows ld apart; bias may be NULL
void ML_KERNEL(columns_exp)(size_t rows, size_t columns, size_t ld, const ml_real *bias, ml_real *x,
                            ml_real *top, ml_real *sum)
{
    const size_t step = TOGETHER * ML_LANES;
    size_t j = 0;
    for (; j + step <= columns; j += step)
        exp_columns(TOGETHER, ML_LANES, rows, ld, bias, x + j, top + j,
                    sum != NULL ? sum + j : NULL);
    for (; j < columns; j += ML_LANES)
        exp_columns(1, v_lanes(j, columns), rows, ld, bias, x + j, top + j,
                    sum != NULL ? sum + j : NULL);
}

// x[i][j] *= factor[j]
void ML_KERNEL(columns_scale)(size_t rows, size_t columns, size_t ld, const ml_real *factor,
                              ml_real *x)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j += ML_LANES) {
            size_t n = v_lanes(j, columns);
            ml_real *at = x + i * ld + j;
            v_put(at, v_mul(v_get(at, n), v_get(factor + j, n)), n);
        }
}
