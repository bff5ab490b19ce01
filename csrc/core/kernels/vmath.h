// exp, sigmoid and tanh of a vector, the same polynomials on every instruction set.
#ifndef ML_VMATH_H
#define ML_VMATH_H

#include "simd.h"

#ifdef ML_DOUBLE

ML_INLINE vec v_exp(vec x) { V_EACH(exp(x.lane[i])); }
ML_INLINE vec v_tanh(vec x) { V_EACH(tanh(x.lane[i])); }

#else

// Horner's rule: c[0] + c[1] x + ... + c[n - 1] x^(n - 1).
ML_INLINE vec v_polynomial(vec x, const float *c, int n)
{
    vec sum = v_set(c[n - 1]);
    for (int i = n - 2; i >= 0; i--)
        sum = v_fma(sum, x, v_set(c[i]));
    return sum;
}

// exp(x) = 2^n exp(r), n = round(x / ln 2), r = x - n ln 2 in [-0.35, 0.35]; ln 2 is taken away in
// two parts so that r is exact. Below ln of the least normal number the result is 0, above 88.37
// it stays at exp(88.37): all that calls this (softmax, sigmoid) is flat there.
ML_INLINE vec v_exp(vec x)
{
    static const float taylor[] = {1.0f,           1.0f,           0.5f,           1.66666657e-1f,
                                   4.16664853e-2f, 8.33345205e-3f, 1.39354356e-3f, 1.98742276e-4f};
    const vec lowest = v_set(-87.3365447505f);
    vec y = v_min(v_set(88.3762626647949f), v_max(lowest, x));
    vec n = v_round(v_mul(y, v_set(1.44269504088896f)));
    vec r = v_fma(n, v_set(-0.693359375f), y);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    vec result = v_mul(v_polynomial(r, taylor, 8), v_pow2(n));
    return v_zero_where_lt(x, lowest, result);
}

// tanh(x) = x P(x^2) / Q(x^2): a minimax fit of the relative error on |x| <= 9.02, from where on
// tanh is 1 in float; at most 3.5 ULP off once its own sums are rounded. Odd and exact at 0 by
// form.
ML_INLINE vec v_tanh(vec x)
{
    static const float p[] = {9.999995232e-01f, 1.367992014e-01f, 3.868334228e-03f,
                              2.800762559e-05f, 3.058529785e-08f, -1.220368685e-11f};
    static const float q[] = {9.999995232e-01f, 4.701323807e-01f, 2.724586427e-02f,
                              3.938644659e-04f, 1.287376108e-06f};
    const vec limit = v_set(9.02f), one = v_set(1.0f);
    vec y = v_min(limit, v_max(v_sub(v_zero(), limit), x));
    vec s = v_mul(y, y);
    vec ratio = v_div(v_mul(y, v_polynomial(s, p, 6)), v_polynomial(s, q, 5));
    return v_min(one, v_max(v_sub(v_zero(), one), ratio));
}

#endif

// sigmoid(x) = 1 / (1 + exp(-x))
ML_INLINE vec v_sigmoid(vec x)
{
    const vec one = v_set(1);
    return v_div(one, v_add(one, v_exp(v_sub(v_zero(), x))));
}

#endif
