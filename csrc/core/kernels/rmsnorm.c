// Normalisation by the root mean square, row by row (Zhang & Sennrich 2019, equation 4). The
// gradient of the weight is that of layer normalisation with a mean of 0:
// layernorm_columns_backward.
#include "kernels.h"
#include "simd.h"

#include <math.h>

// weight NULL: 1
ML_INLINE vec get_weight(const ml_real *weight, size_t at, size_t n)
{
    return weight != NULL ? v_get(weight + at, n) : v_set(1);
}

//     rrms = 1 / sqrt(sum x^2 / n + eps)        y = x rrms weight
void ML_KERNEL(rmsnorm_row)(size_t n, ml_real eps, const ml_real *x, const ml_real *weight,
                            ml_real *y, ml_real *rrms)
{
    vec sum = v_zero();
    for (size_t i = 0; i < n; i += ML_LANES) {
        vec a = v_get(x + i, v_lanes(i, n));
        sum = v_fma(a, a, sum);
    }
    *rrms = 1 / (ml_real)sqrt((double)(v_sum(sum) / (ml_real)n + eps));
    const vec scale = v_set(*rrms);
    for (size_t i = 0; i < n; i += ML_LANES) {
        size_t m = v_lanes(i, n);
        v_put(y + i, v_mul(v_mul(v_get(x + i, m), scale), get_weight(weight, i, m)), m);
    }
}

// With z = x rrms and g = dy weight:
//     dx = rrms (g - z mean(g z))
void ML_KERNEL(rmsnorm_row_backward)(size_t n, const ml_real *x, ml_real rrms,
                                     const ml_real *weight, const ml_real *dy, ml_real *dx)
{
    const vec scale = v_set(rrms);
    vec sum = v_zero();
    for (size_t i = 0; i < n; i += ML_LANES) {
        size_t m = v_lanes(i, n);
        vec g = v_mul(v_get(dy + i, m), get_weight(weight, i, m));
        sum = v_fma(g, v_mul(v_get(x + i, m), scale), sum);
    }
    const vec mean = v_set(v_sum(sum) / (ml_real)n);
    for (size_t i = 0; i < n; i += ML_LANES) {
        size_t m = v_lanes(i, n);
        vec g = v_mul(v_get(dy + i, m), get_weight(weight, i, m));
        vec z = v_mul(v_get(x + i, m), scale);
        v_put(dx + i, v_mul(scale, v_sub(g, v_mul(z, mean))), m);
    }
}
