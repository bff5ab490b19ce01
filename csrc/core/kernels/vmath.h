// exp, sigmoid, tanh and the normal distribution of a vector, the same polynomials on every
// instruction set.
#ifndef ML_VMATH_H
#define ML_VMATH_H

#include "simd.h"

#ifdef ML_DOUBLE

ML_INLINE vec v_exp(vec x) { V_EACH(exp(x.lane[i])); }
ML_INLINE vec v_tanh(vec x) { V_EACH(tanh(x.lane[i])); }
ML_INLINE vec v_normal_pdf(vec x)
{
    V_EACH(0.39894228040143267794 * exp(-0.5 * x.lane[i] * x.lane[i]));
}
ML_INLINE vec v_normal_cdf(vec x, vec *pdf)
{
    *pdf = v_normal_pdf(x);
    V_EACH(0.5 * erfc(-x.lane[i] * 0.70710678118654752440));
}

#else

// Horner's rule: c[0] + c[1] x + ... + c[n - 1] x^(n - 1).
ML_INLINE vec v_polynomial(vec x, const float *c, int n)
{
    vec sum = v_set(c[n - 1]);
    for (int i = n - 2; i >= 0; i--)
        sum = v_fma(sum, x, v_set(c[i]));
    return sum;
}

// exp(y) = 2^n exp(r), n = round(y / ln 2), r = y - n ln 2 in [-0.35, 0.35]; ln 2 is taken away in
// two parts so that r is exact. For y where 2^n is a normal number.
ML_INLINE vec reduce_exp(vec y, vec *n)
{
    *n = v_round(v_mul(y, v_set(1.44269504088896f)));
    vec r = v_fma(*n, v_set(-0.693359375f), y);
    return v_fma(*n, v_set(2.12194440e-4f), r);
}

// (exp(r) - 1 - r) / r^2 for |r| <= 0.35
ML_INLINE vec exp_tail(vec r)
{
    static const float c[] = {0.5f,           1.66666657e-1f, 4.16664853e-2f,
                              8.33345205e-3f, 1.39354356e-3f, 1.98742276e-4f};
    return v_polynomial(r, c, 6);
}

// Below ln of the least normal number the result is 0, above 88.37 it stays at exp(88.37): all that
// calls this (softmax, sigmoid) is flat there.
ML_INLINE vec v_exp(vec x)
{
    const vec lowest = v_set(-87.3365447505f), one = v_set(1.0f);
    vec n, r = reduce_exp(v_min(v_set(88.3762626647949f), v_max(lowest, x)), &n);
    vec power = v_fma(v_mul(r, r), exp_tail(r), v_add(r, one));
    return v_zero_where_lt(x, lowest, v_mul(power, v_pow2(n)));
}

// tanh(|x|) = m / (m + 2) with m = exp(2 |x|) - 1 = 2^n (exp(r) - 1) + (2^n - 1); from |x| = 9.02
// on it is 1 in float. At most 2.5 ULP off; odd, and exact at 0, by form. (A quotient of
// polynomials, as short, is 5 ULP off once its sums are rounded.)
ML_INLINE vec v_tanh(vec x)
{
    const vec one = v_set(1.0f), two = v_set(2.0f);
    vec a = v_min(v_set(9.1f), v_abs(x));
    vec n, r = reduce_exp(v_add(a, a), &n);
    vec grown = v_fma(v_mul(r, r), exp_tail(r), r); // exp(r) - 1
    vec scale = v_pow2(n);
    vec m = v_fma(grown, scale, v_sub(scale, one));
    return v_copysign(v_quotient(m, v_add(m, two)), x);
}

// P(X <= x) of a standard normal X, and its density. With a = |x|,
//     P(X > a) = exp(-a^2 / 2) r(a),    r(a) = u p(u),    u = 1 / (1 + 0.3 a)
// where p was fitted to r for the least relative error, 4e-9. What rounding takes from a^2 is given
// back, where v_fma rounds once: so the tail has its digits, too. At most 7 ULP off.
ML_INLINE vec v_normal_cdf(vec x, vec *pdf)
{
    static const float c[] = {
        1.19686483e-01f,  1.19575615e-01f, 1.10205542e-01f,  7.85218688e-02f, 9.57932583e-02f,
        -7.87777269e-02f, 1.91042033e-01f, -2.27679528e-01f, 1.12217105e-01f, -2.05846514e-02f,
    };
    const vec one = v_set(1.0f), half = v_set(0.5f);
    vec a = v_min(v_set(14.0f), v_abs(x)); // beyond, the density is 0
    vec square = v_mul(a, a), rest = v_fma(a, a, v_sub(v_zero(), square));
    vec bell = v_exp(v_mul(v_set(-0.5f), square));
    bell = v_sub(bell, v_mul(bell, v_mul(half, rest)));
    *pdf = v_mul(v_set(0.39894228f), bell);
    vec u = v_quotient(one, v_fma(v_set(0.3f), a, one));
    vec tail = v_mul(bell, v_mul(u, v_polynomial(u, c, 10)));
    return v_add(tail, v_zero_where_lt(x, v_zero(), v_sub(one, v_add(tail, tail))));
}

#endif

// sigmoid(x) = 1 / (1 + exp(-x))
ML_INLINE vec v_sigmoid(vec x)
{
    const vec one = v_set(1);
    return v_quotient(one, v_add(one, v_exp(v_sub(v_zero(), x))));
}

#endif
