// Layer normalisation, row by row (Ba, Kiros & Hinton 2016, equation 4).
#include "kernels.h"
#include "simd.h"

#include <math.h>

// weight or bias NULL: 1 or 0
ML_INLINE vec get_or(const ml_real *p, size_t at, size_t n, ml_real preset)
{
    return p != NULL ? v_get(p + at, n) : v_set(preset);
}

// (x - shift)^2 summed; lanes beyond n do not count
ML_INLINE ml_real sum_squares(size_t n, const ml_real *x, ml_real shift)
{
    vec sum = v_zero(), mean = v_set(shift);
    ml_real rest = 0;
    size_t i = 0;
    for (; i + ML_LANES <= n; i += ML_LANES) {
        vec d = v_sub(v_load(x + i), mean);
        sum = v_fma(d, d, sum);
    }
    for (; i < n; i++)
        rest += (x[i] - shift) * (x[i] - shift);
    return v_sum(sum) + rest;
}

//     mean = sum x / n,  rstd = 1 / sqrt(sum (x - mean)^2 / n + eps)
//     y = (x - mean) rstd weight + bias
void ML_KERNEL(layernorm_row)(size_t n, ml_real eps, const ml_real *x, const ml_real *weight,
                              const ml_real *bias, ml_real *y, ml_real *mean, ml_real *rstd)
{
    vec sum = v_zero();
    for (size_t i = 0; i < n; i += ML_LANES)
        sum = v_add(sum, v_get(x + i, v_lanes(i, n)));
    *mean = v_sum(sum) / (ml_real)n;
    *rstd = 1 / (ml_real)sqrt((double)(sum_squares(n, x, *mean) / (ml_real)n + eps));
    const vec shift = v_set(*mean), scale = v_set(*rstd);
    for (size_t i = 0; i < n; i += ML_LANES) {
        size_t m = v_lanes(i, n);
        vec normal = v_mul(v_sub(v_get(x + i, m), shift), scale);
        v_put(y + i, v_fma(normal, get_or(weight, i, m, 1), get_or(bias, i, m, 0)), m);
    }
}

// With z = (x - mean) rstd and g = dy weight:
//     dx = rstd (g - mean(g) - z mean(g z))
void ML_KERNEL(layernorm_row_backward)(size_t n, const ml_real *x, ml_real mean, ml_real rstd,
                                       const ml_real *weight, const ml_real *dy, ml_real *dx)
{
    const vec shift = v_set(mean), scale = v_set(rstd);
    vec sum_g = v_zero(), sum_gz = v_zero();
    for (size_t i = 0; i < n; i += ML_LANES) {
        size_t m = v_lanes(i, n); // lanes beyond n hold dy = 0, so g = 0
        vec g = v_mul(v_get(dy + i, m), get_or(weight, i, m, 1));
        vec z = v_mul(v_sub(v_get(x + i, m), shift), scale);
        sum_g = v_add(sum_g, g);
        sum_gz = v_fma(g, z, sum_gz);
    }
    const vec mean_g = v_set(v_sum(sum_g) / (ml_real)n);
    const vec mean_gz = v_set(v_sum(sum_gz) / (ml_real)n);
    for (size_t i = 0; i < n; i += ML_LANES) {
        size_t m = v_lanes(i, n);
        vec g = v_mul(v_get(dy + i, m), get_or(weight, i, m, 1));
        vec z = v_mul(v_sub(v_get(x + i, m), shift), scale);
        v_put(dx + i, v_mul(scale, v_sub(v_sub(g, mean_g), v_mul(z, mean_gz))), m);
    }
}

enum { TOGETHER = 4 }; // vectors of columns that are walked down at once: whole lines of the cache

// `width` vectors of columns, the last of them with `last` lanes.
ML_INLINE void weight_columns(size_t width, size_t last, size_t rows, size_t ld, const ml_real *x,
                              const ml_real *mean, const ml_real *rstd, const ml_real *dy,
                              ml_real *dweight)
{
    vec sum[TOGETHER];
    for (size_t v = 0; v < width; v++)
        sum[v] = v_get(dweight + v * ML_LANES, v + 1 < width ? ML_LANES : last);
    for (size_t i = 0; i < rows; i++) {
        const vec shift = v_set(mean != NULL ? mean[i] : 0), scale = v_set(rstd[i]);
        for (size_t v = 0; v < width; v++) {
            const size_t n = v + 1 < width ? ML_LANES : last, at = i * ld + v * ML_LANES;
            vec z = v_mul(v_sub(v_get(x + at, n), shift), scale);
            sum[v] = v_fma(v_get(dy + at, n), z, sum[v]);
        }
    }
    for (size_t v = 0; v < width; v++)
        v_put(dweight + v * ML_LANES, sum[v], v + 1 < width ? ML_LANES : last);
}

// dweight[j] += sum_i dy[i][j] (x[i][j] - mean[i]) rstd[i], rows in order; rows lie ld apart; mean
// NULL: 0, as where rows are divided by their root mean square.
void ML_KERNEL(layernorm_columns_backward)(size_t rows, size_t columns, size_t ld, const ml_real *x,
                                           const ml_real *mean, const ml_real *rstd,
                                           const ml_real *dy, ml_real *dweight)
{
    size_t j = 0;
    for (; j + TOGETHER * ML_LANES <= columns; j += TOGETHER * ML_LANES)
        weight_columns(TOGETHER, ML_LANES, rows, ld, x + j, mean, rstd, dy + j, dweight + j);
    for (; j < columns; j += ML_LANES)
        weight_columns(1, v_lanes(j, columns), rows, ld, x + j, mean, rstd, dy + j, dweight + j);
}
