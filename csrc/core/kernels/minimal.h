// What minGRU and minLSTM (Feng et al. 2024) compute of their gates, for training and for writing.
#ifndef ML_MINIMAL_H
#define ML_MINIMAL_H

#include "simd.h"
#include "vmath.h"

// The candidate g(a): a + 1/2 where a >= 0, else sigma(a), which is above 0.
ML_INLINE vec above_zero(vec a) { return v_add(v_max(v_zero(), a), v_sigmoid(v_min(v_zero(), a))); }

// The gates of a minLSTM, f = sigma(a_f) and i = sigma(a_i), only ever act by their shares of their
// sum. Multiplied out, and each exponential less by the largest one, m = max(0, -a_f, -a_i),
//     f / (f + i) = (e + v) / total        e = exp(-m), u = exp(-a_f - m), v = exp(-a_i - m)
//     i / (f + i) = (e + u) / total        total = 2 e + u + v >= 1
// nothing overflows, and both gates may be as small as they like.
typedef struct gate_shares {
    vec forget, input; // f / (f + i), i / (f + i)
    vec u, v, total;
} gate_shares;

ML_INLINE gate_shares shares_of(vec a_f, vec a_i)
{
    const vec minus_f = v_sub(v_zero(), a_f), minus_i = v_sub(v_zero(), a_i);
    const vec m = v_max(v_max(v_zero(), minus_f), minus_i);
    const vec e = v_exp(v_sub(v_zero(), m));
    gate_shares g = {.u = v_exp(v_sub(minus_f, m)), .v = v_exp(v_sub(minus_i, m))};
    const vec f = v_add(e, g.v), i = v_add(e, g.u);
    g.total = v_add(f, i);
    g.forget = v_quotient(f, g.total);
    g.input = v_quotient(i, g.total);
    return g;
}

#endif
