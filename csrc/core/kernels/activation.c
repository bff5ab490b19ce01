// Functions by element and their derivatives.
#include "kernels.h"
#include "simd.h"
#include "vmath.h"

#include "../activation.h"

static const ml_real SQRT_2_OVER_PI = (ml_real)0.79788456080286535588;
static const ml_real GELU_CUBIC = (ml_real)0.044715;

// The inner part of GELU's tanh form: sqrt(2 / pi) (x + 0.044715 x^3)
ML_INLINE vec gelu_inner(vec x)
{
    vec cube = v_mul(v_mul(x, x), x);
    return v_mul(v_set(SQRT_2_OVER_PI), v_fma(v_set(GELU_CUBIC), cube, x));
}

ML_INLINE vec activate(int function, vec x)
{
    switch (function) {
    case ML_TANH: return v_tanh(x);
    case ML_SIGMOID: return v_sigmoid(x);
    case ML_RELU: return v_max(v_zero(), x);
    case ML_SILU: return v_mul(x, v_sigmoid(x));
    case ML_GELU: { // x P(X <= x) (Hendrycks & Gimpel 2016, equation 1)
        vec density;
        return v_mul(x, v_normal_cdf(x, &density));
    }
    default: // ML_GELU_TANH: 0.5 x (1 + tanh(inner))
        return v_mul(v_mul(v_set((ml_real)0.5), x), v_add(v_set(1), v_tanh(gelu_inner(x))));
    }
}

// dy/dx, from x and y = f(x)
ML_INLINE vec derivative(int function, vec x, vec y)
{
    const vec one = v_set(1), half = v_set((ml_real)0.5);
    switch (function) {
    case ML_TANH: return v_sub(one, v_mul(y, y));
    case ML_SIGMOID: return v_mul(y, v_sub(one, y));
    case ML_RELU: return v_zero_where_le(y, v_zero(), one);
    case ML_SILU: { // s + y (1 - s), s = sigmoid(x)
        vec s = v_sigmoid(x);
        return v_fma(y, v_sub(one, s), s);
    }
    case ML_GELU: {
        vec density, below = v_normal_cdf(x, &density);
        return v_fma(x, density, below);
    }
    default: { // 0.5 (1 + t) + 0.5 x (1 - t^2) inner'(x), t = tanh(inner)
        vec t = v_tanh(gelu_inner(x));
        vec slope = v_mul(v_set(SQRT_2_OVER_PI), v_fma(v_set(3 * GELU_CUBIC), v_mul(x, x), one));
        vec tail = v_mul(v_mul(half, x), v_mul(v_sub(one, v_mul(t, t)), slope));
        return v_fma(half, v_add(one, t), tail);
    }
    }
}

ML_INLINE void forward(int function, size_t n, const ml_real *x, ml_real *y)
{
    for (size_t i = 0; i < n; i += ML_LANES) {
        size_t m = v_lanes(i, n);
        v_put(y + i, activate(function, v_get(x + i, m)), m);
    }
}

ML_INLINE void backward(int function, size_t n, const ml_real *x, const ml_real *y,
                        const ml_real *dy, ml_real *dx)
{
    for (size_t i = 0; i < n; i += ML_LANES) {
        size_t m = v_lanes(i, n);
        vec slope = derivative(function, v_get(x + i, m), v_get(y + i, m));
        v_put(dx + i, v_mul(v_get(dy + i, m), slope), m);
    }
}

// y[i] = f(x[i]); the switch is taken once, each case is a loop of its own.
void ML_KERNEL(activation_forward)(int function, size_t n, const ml_real *x, ml_real *y)
{
    switch (function) {
    case ML_TANH: forward(ML_TANH, n, x, y); break;
    case ML_SIGMOID: forward(ML_SIGMOID, n, x, y); break;
    case ML_RELU: forward(ML_RELU, n, x, y); break;
    case ML_SILU: forward(ML_SILU, n, x, y); break;
    case ML_GELU: forward(ML_GELU, n, x, y); break;
    default: forward(ML_GELU_TANH, n, x, y); break;
    }
}

// dx[i] = dy[i] f'(x[i]), given y = f(x)
void ML_KERNEL(activation_backward)(int function, size_t n, const ml_real *x, const ml_real *y,
                                    const ml_real *dy, ml_real *dx)
{
    switch (function) {
    case ML_TANH: backward(ML_TANH, n, x, y, dy, dx); break;
    case ML_SIGMOID: backward(ML_SIGMOID, n, x, y, dy, dx); break;
    case ML_RELU: backward(ML_RELU, n, x, y, dy, dx); break;
    case ML_SILU: backward(ML_SILU, n, x, y, dy, dx); break;
    case ML_GELU: backward(ML_GELU, n, x, y, dy, dx); break;
    default: backward(ML_GELU_TANH, n, x, y, dy, dx); break;
    }
}
