// Rotary positions: pairs of numbers as points of a plane, turned (Su et al. 2021, equation 34).
#include "kernels.h"
#include "simd.h"

// The pairs are (x[i], x[i + half]), i < half:
//     y[i]        = x[i] cos[i] - x[i + half] turn sin[i]
//     y[i + half] = x[i + half] cos[i] + x[i] turn sin[i]
// turn 1, or -1 to turn back, which is the gradient. y may be x.
void ML_KERNEL(rotary_row)(size_t half, ml_real turn, const ml_real *cos, const ml_real *sin,
                           const ml_real *x, ml_real *y)
{
    const vec sign = v_set(turn);
    for (size_t i = 0; i < half; i += ML_LANES) {
        const size_t n = v_lanes(i, half);
        const vec a = v_get(x + i, n), b = v_get(x + half + i, n);
        const vec c = v_get(cos + i, n), s = v_mul(sign, v_get(sin + i, n));
        v_put(y + i, v_sub(v_mul(a, c), v_mul(b, s)), n);
        v_put(y + half + i, v_fma(a, s, v_mul(b, c)), n);
    }
}
