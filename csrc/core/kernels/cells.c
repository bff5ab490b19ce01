// What a recurrent cell does with its gates, a vector of units at a time.
// Letters as in PyTorch: sigma is the sigmoid, * of two vectors is by element.
#include "kernels.h"
#include "minimal.h"
#include "simd.h"
#include "vmath.h"

// ---- rnn: h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) --------------------------------------

ML_INLINE void rnn_forward(const ml_cell_forward *s, int relu)
{
    for (size_t i = 0; i < s->rows; i++) {
        const ml_real *tile = s->tile + i * s->tile_row;
        const ml_real *x = s->x[i];
        ml_real *h = s->h + i * s->hidden;
        for (size_t u = 0; u < s->units; u += ML_LANES) {
            size_t n = v_lanes(u, s->units);
            vec a = v_add(v_get(x + u, n), v_load(tile + u));
            vec result = relu ? v_max(v_zero(), a) : v_tanh(a);
            v_put(h + u, result, n);
            if (s->y != NULL)
                v_put(s->y + i * s->y_row + u, result, n);
        }
    }
}

void ML_KERNEL(rnn_tanh_forward)(const ml_cell_forward *s) { rnn_forward(s, 0); }
void ML_KERNEL(rnn_relu_forward)(const ml_cell_forward *s) { rnn_forward(s, 1); }

// dh of the units u .. u + n of row i: what the layer above and the step after ask for.
ML_INLINE vec incoming_dh(const ml_cell_backward *s, size_t i, size_t u, size_t n)
{
    vec dh = v_zero();
    if (s->dy != NULL)
        dh = v_get(s->dy + i * s->dy_row + u, n);
    if (s->dh_next != NULL)
        dh = v_add(dh, v_get(s->dh_next + i * s->dh_next_row + u, n));
    return dh;
}

// tanh: da = dh (1 - h^2); relu: da = dh where h > 0
ML_INLINE void rnn_backward(const ml_cell_backward *s, int relu)
{
    for (size_t i = 0; i < s->rows; i++) {
        for (size_t u = 0; u < s->units; u += ML_LANES) {
            size_t n = v_lanes(u, s->units);
            vec h = v_get(s->h + i * s->hidden + u, n);
            vec dh = incoming_dh(s, i, u, n);
            vec da =
                relu ? v_zero_where_le(h, v_zero(), dh) : v_mul(dh, v_sub(v_set(1), v_mul(h, h)));
            v_put(s->dgates + i * s->hidden + u, da, n);
        }
    }
}

void ML_KERNEL(rnn_tanh_backward)(const ml_cell_backward *s) { rnn_backward(s, 0); }
void ML_KERNEL(rnn_relu_backward)(const ml_cell_backward *s) { rnn_backward(s, 1); }

// ---- lstm (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000) -----------
//
//     i, f, o = sigma(W_ih x_t + W_hh h_{t-1} + b),  g = tanh(...)
//     c_t = f * c_{t-1} + i * g
//     h_t = o * tanh(c_t)
//
// Saved are i, f, g, o.

void ML_KERNEL(lstm_forward)(const ml_cell_forward *s)
{
    const size_t H = s->hidden, W = s->tile_units;
    for (size_t r = 0; r < s->rows; r++) {
        const ml_real *tile = s->tile + r * s->tile_row;
        const ml_real *x = s->x[r];
        ml_real *gates = s->gates + r * 4 * H;
        for (size_t u = 0; u < s->units; u += ML_LANES) {
            size_t n = v_lanes(u, s->units);
            vec a[4];
            for (size_t k = 0; k < 4; k++)
                a[k] = v_add(v_get(x + k * H + u, n), v_load(tile + k * W + u));
            vec i = v_sigmoid(a[0]), f = v_sigmoid(a[1]), g = v_tanh(a[2]), o = v_sigmoid(a[3]);
            vec c = v_fma(f, v_get(s->c_prev + r * H + u, n), v_mul(i, g));
            vec h = v_mul(o, v_tanh(c));
            v_put(gates + u, i, n);
            v_put(gates + H + u, f, n);
            v_put(gates + 2 * H + u, g, n);
            v_put(gates + 3 * H + u, o, n);
            v_put(s->c + r * H + u, c, n);
            v_put(s->h + r * H + u, h, n);
            if (s->y != NULL)
                v_put(s->y + r * s->y_row + u, h, n);
        }
    }
}

// With k = tanh(c_t) and dc the gradient of c_t:
//     do = dh * k * o (1 - o)            dc = dc_next + dh * o * (1 - k^2)
//     di = dc * g * i (1 - i)            df = dc * c_{t-1} * f (1 - f)
//     dg = dc * i * (1 - g^2)            dc_{t-1} = dc * f
void ML_KERNEL(lstm_backward)(const ml_cell_backward *s)
{
    const size_t H = s->hidden;
    const vec one = v_set(1);
    for (size_t r = 0; r < s->rows; r++) {
        const ml_real *gates = s->gates + r * 4 * H;
        ml_real *dgates = s->dgates + r * 4 * H, *carry = s->carry + r * H;
        for (size_t u = 0; u < s->units; u += ML_LANES) {
            size_t n = v_lanes(u, s->units);
            vec i = v_get(gates + u, n), f = v_get(gates + H + u, n);
            vec g = v_get(gates + 2 * H + u, n), o = v_get(gates + 3 * H + u, n);
            vec k = v_tanh(v_get(s->c + r * H + u, n)), c_prev = v_get(s->c_prev + r * H + u, n);
            vec dh = incoming_dh(s, r, u, n);
            vec dh_o = v_mul(dh, o);
            vec dc = v_fma(dh_o, v_sub(one, v_mul(k, k)), v_get(carry + u, n));
            vec dc_i = v_mul(dc, i), dc_f = v_mul(dc, f);
            v_put(dgates + u, v_mul(v_mul(dc_i, g), v_sub(one, i)), n);
            v_put(dgates + H + u, v_mul(v_mul(dc_f, c_prev), v_sub(one, f)), n);
            v_put(dgates + 2 * H + u, v_mul(dc_i, v_sub(one, v_mul(g, g))), n);
            v_put(dgates + 3 * H + u, v_mul(v_mul(dh_o, k), v_sub(one, o)), n);
            v_put(carry + u, dc_f, n);
        }
    }
}

// ---- gru (Cho et al. 2014, in the form of cuDNN: the reset gate acts after the product) -------
//
//     r, z = sigma(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)
//     q = W_hn h_{t-1} + b_hn
//     n = tanh(W_in x_t + b_in + r * q)
//     h_t = (1 - z) * n + z * h_{t-1}
//
// Saved are n, r, z, q: the columns n, r, z are those of W_ih, and r, z, q, side by side, those of
// W_hh.

void ML_KERNEL(gru_forward)(const ml_cell_forward *s)
{
    const size_t H = s->hidden, W = s->tile_units;
    for (size_t i = 0; i < s->rows; i++) {
        const ml_real *tile = s->tile + i * s->tile_row;
        const ml_real *x = s->x[i];
        ml_real *gates = s->gates + i * 4 * H;
        for (size_t u = 0; u < s->units; u += ML_LANES) {
            size_t m = v_lanes(u, s->units);
            vec r = v_sigmoid(v_add(v_get(x + H + u, m), v_load(tile + u)));
            vec z = v_sigmoid(v_add(v_get(x + 2 * H + u, m), v_load(tile + W + u)));
            vec q = v_add(v_load(tile + 2 * W + u), v_get(s->q_bias + u, m));
            vec n = v_tanh(v_fma(r, q, v_get(x + u, m)));
            vec h = v_fma(z, v_sub(v_get(s->h_prev + i * H + u, m), n), n);
            v_put(gates + u, n, m);
            v_put(gates + H + u, r, m);
            v_put(gates + 2 * H + u, z, m);
            v_put(gates + 3 * H + u, q, m);
            v_put(s->h + i * H + u, h, m);
            if (s->y != NULL)
                v_put(s->y + i * s->y_row + u, h, m);
        }
    }
}

// With dh the whole gradient of h_t (what skipped W_hh in the step after is in `carry`):
//     dn = dh * (1 - z) * (1 - n^2)      dz = dh * (h_{t-1} - n) * z (1 - z)
//     dq = dn * r                        dr = dn * q * r (1 - r)
//     carry = dh * z
void ML_KERNEL(gru_backward)(const ml_cell_backward *s)
{
    const size_t H = s->hidden;
    const vec one = v_set(1);
    for (size_t i = 0; i < s->rows; i++) {
        const ml_real *gates = s->gates + i * 4 * H;
        ml_real *dgates = s->dgates + i * 4 * H, *carry = s->carry + i * H;
        for (size_t u = 0; u < s->units; u += ML_LANES) {
            size_t m = v_lanes(u, s->units);
            vec n = v_get(gates + u, m), r = v_get(gates + H + u, m);
            vec z = v_get(gates + 2 * H + u, m), q = v_get(gates + 3 * H + u, m);
            vec h_prev = v_get(s->h_prev + i * H + u, m);
            vec dh = v_add(incoming_dh(s, i, u, m), v_get(carry + u, m));
            vec dh_z = v_mul(dh, z);
            vec dn = v_mul(v_sub(dh, dh_z), v_sub(one, v_mul(n, n)));
            vec dq = v_mul(dn, r);
            v_put(dgates + u, dn, m);
            v_put(dgates + H + u, v_mul(v_mul(dq, q), v_sub(one, r)), m);
            v_put(dgates + 2 * H + u, v_mul(v_mul(dh_z, v_sub(h_prev, n)), v_sub(one, z)), m);
            v_put(dgates + 3 * H + u, dq, m);
            v_put(carry + u, dh_z, m);
        }
    }
}

// ---- mingru and minlstm (Feng et al. 2024) ----------------------------------------------------
//
// Gates and candidate are of the input alone: the state enters by element. The candidate g is in
// minimal.h.

// g'(a) from n = g(a): 1 where n >= 1/2, else n (1 - n)
ML_INLINE vec above_zero_slope(vec n)
{
    const vec half = v_set((ml_real)0.5), one = v_set(1), low = v_min(half, n);
    vec slope = v_mul(low, v_sub(one, low));
    return v_add(slope, v_zero_where_lt(n, half, v_sub(one, slope)));
}

//     z = sigma(W_z x_t + b_z),  n = g(W_n x_t + b_n)
//     h_t = (1 - z) * h_{t-1} + z * n
//
// Saved are z, n.
void ML_KERNEL(mingru_forward)(const ml_cell_forward *s)
{
    const size_t H = s->hidden;
    for (size_t r = 0; r < s->rows; r++) {
        const ml_real *x = s->x[r];
        ml_real *gates = s->gates + r * 2 * H;
        for (size_t u = 0; u < s->units; u += ML_LANES) {
            size_t m = v_lanes(u, s->units);
            vec z = v_sigmoid(v_get(x + u, m)), n = above_zero(v_get(x + H + u, m));
            vec before = v_get(s->h_prev + r * H + u, m);
            vec h = v_fma(z, v_sub(n, before), before);
            v_put(gates + u, z, m);
            v_put(gates + H + u, n, m);
            v_put(s->h + r * H + u, h, m);
            if (s->y != NULL)
                v_put(s->y + r * s->y_row + u, h, m);
        }
    }
}

// With dh the whole gradient of h_t, of which the step after left its part in `carry`:
//     dz = dh * (n - h_{t-1}) * z (1 - z)      dn = dh * z * g'
//     carry = dh * (1 - z)
void ML_KERNEL(mingru_backward)(const ml_cell_backward *s)
{
    const size_t H = s->hidden;
    for (size_t r = 0; r < s->rows; r++) {
        const ml_real *gates = s->gates + r * 2 * H;
        ml_real *dgates = s->dgates + r * 2 * H, *carry = s->carry + r * H;
        for (size_t u = 0; u < s->units; u += ML_LANES) {
            size_t m = v_lanes(u, s->units);
            vec z = v_get(gates + u, m), n = v_get(gates + H + u, m);
            vec before = v_get(s->h_prev + r * H + u, m);
            vec dh = v_add(incoming_dh(s, r, u, m), v_get(carry + u, m));
            vec dh_z = v_mul(dh, z), skipped = v_sub(dh, dh_z);
            v_put(dgates + u, v_mul(v_mul(skipped, z), v_sub(n, before)), m);
            v_put(dgates + H + u, v_mul(dh_z, above_zero_slope(n)), m);
            v_put(carry + u, skipped, m);
        }
    }
}

//     f = sigma(W_f x_t + b_f),  i = sigma(W_i x_t + b_i),  n = g(W_n x_t + b_n)
//     h_t = f / (f + i) * h_{t-1} + i / (f + i) * n
//
// Saved are a_f, a_i (f and i before their sigmoids) and n.
void ML_KERNEL(minlstm_forward)(const ml_cell_forward *s)
{
    const size_t H = s->hidden;
    for (size_t r = 0; r < s->rows; r++) {
        const ml_real *x = s->x[r];
        ml_real *gates = s->gates + r * 3 * H;
        for (size_t u = 0; u < s->units; u += ML_LANES) {
            size_t m = v_lanes(u, s->units);
            vec a_f = v_get(x + u, m), a_i = v_get(x + H + u, m);
            vec n = above_zero(v_get(x + 2 * H + u, m));
            gate_shares g = shares_of(a_f, a_i);
            vec h = v_fma(g.forget, v_get(s->h_prev + r * H + u, m), v_mul(g.input, n));
            v_put(gates + u, a_f, m);
            v_put(gates + H + u, a_i, m);
            v_put(gates + 2 * H + u, n, m);
            v_put(s->h + r * H + u, h, m);
            if (s->y != NULL)
                v_put(s->y + r * s->y_row + u, h, m);
        }
    }
}

// With F and I the shares, dh as for mingru, and k = dh * (h_{t-1} - n), the gradient of F:
//     df = k * F * I (1 - f) = k * F * u / total      dn = dh * I * g'
//     di = -k * F * I (1 - i) = -k * I * v / total    carry = dh * F
void ML_KERNEL(minlstm_backward)(const ml_cell_backward *s)
{
    const size_t H = s->hidden;
    for (size_t r = 0; r < s->rows; r++) {
        const ml_real *gates = s->gates + r * 3 * H;
        ml_real *dgates = s->dgates + r * 3 * H, *carry = s->carry + r * H;
        for (size_t u = 0; u < s->units; u += ML_LANES) {
            size_t m = v_lanes(u, s->units);
            gate_shares g = shares_of(v_get(gates + u, m), v_get(gates + H + u, m));
            vec n = v_get(gates + 2 * H + u, m), before = v_get(s->h_prev + r * H + u, m);
            vec dh = v_add(incoming_dh(s, r, u, m), v_get(carry + u, m));
            vec k = v_quotient(v_mul(dh, v_sub(before, n)), g.total);
            v_put(dgates + u, v_mul(v_mul(k, g.forget), g.u), m);
            v_put(dgates + H + u, v_mul(v_mul(v_sub(v_zero(), k), g.input), g.v), m);
            v_put(dgates + 2 * H + u, v_mul(v_mul(dh, g.input), above_zero_slope(n)), m);
            v_put(carry + u, v_mul(dh, g.forget), m);
        }
    }
}
