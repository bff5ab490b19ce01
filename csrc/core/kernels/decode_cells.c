// One step of a cell for one text: from the sums of the gates to the state of some units.
//
// sums (S, units): W_ih x_t + W_hh h_{t-1} and the biases, laid out as decode_layout.h says; units
// is a whole number of vectors. The equations are those of cells.c; nothing is kept for a backward.
#include "kernels.h"
#include "minimal.h"
#include "simd.h"
#include "vmath.h"

// h = tanh(a); the state is not needed.
void ML_KERNEL(decode_rnn)(size_t units, const ml_real *sums, ml_real *state, ml_real *h)
{
    (void)state;
    for (size_t u = 0; u < units; u += ML_LANES)
        v_store(h + u, v_tanh(v_load(sums + u)));
}

// c = f * c + i * g, h = o * tanh(c); the state is c.
void ML_KERNEL(decode_lstm)(size_t units, const ml_real *sums, ml_real *state, ml_real *h)
{
    for (size_t u = 0; u < units; u += ML_LANES) {
        vec i = v_sigmoid(v_load(sums + u)), f = v_sigmoid(v_load(sums + units + u));
        vec g = v_tanh(v_load(sums + 2 * units + u)), o = v_sigmoid(v_load(sums + 3 * units + u));
        vec c = v_fma(f, v_load(state + u), v_mul(i, g));
        v_store(state + u, c);
        v_store(h + u, v_mul(o, v_tanh(c)));
    }
}

// h = (1 - z) * n + z * h_{t-1}, n = tanh(x_n + r * q); sums are x_n, r, z, q, the state is h_{t-1}.
void ML_KERNEL(decode_gru)(size_t units, const ml_real *sums, ml_real *state, ml_real *h)
{
    for (size_t u = 0; u < units; u += ML_LANES) {
        vec r = v_sigmoid(v_load(sums + units + u)), z = v_sigmoid(v_load(sums + 2 * units + u));
        vec n = v_tanh(v_fma(r, v_load(sums + 3 * units + u), v_load(sums + u)));
        v_store(h + u, v_fma(z, v_sub(v_load(state + u), n), n));
    }
}

// h = (1 - z) * h_{t-1} + z * n, n = g(a_n); sums are z, n before their functions, the state is
// h_{t-1}.
void ML_KERNEL(decode_mingru)(size_t units, const ml_real *sums, ml_real *state, ml_real *h)
{
    for (size_t u = 0; u < units; u += ML_LANES) {
        vec z = v_sigmoid(v_load(sums + u)), n = above_zero(v_load(sums + units + u));
        vec before = v_load(state + u);
        v_store(h + u, v_fma(z, v_sub(n, before), before));
    }
}

// h = f / (f + i) * h_{t-1} + i / (f + i) * n; sums are f, i, n before their functions, the state is
// h_{t-1}.
void ML_KERNEL(decode_minlstm)(size_t units, const ml_real *sums, ml_real *state, ml_real *h)
{
    for (size_t u = 0; u < units; u += ML_LANES) {
        gate_shares g = shares_of(v_load(sums + u), v_load(sums + units + u));
        vec n = above_zero(v_load(sums + 2 * units + u));
        v_store(h + u, v_fma(g.forget, v_load(state + u), v_mul(g.input, n)));
    }
}
