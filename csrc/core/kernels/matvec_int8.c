// The same product in int8: a quarter of the bytes, and bytes are what writing a token costs.
//
//     w[j][k] = weight_step[j] * panel[k][j]     a row of W has one step, panel is int8
//     x[k]    = step * levels[k]                 levels are int16
//     sum[j] += step * weight_step[j] * sum_k levels[k] * panel[k][j]
//
// The sum over k is one of whole numbers, exact in 32 bits (matvec.h says for which depth): so it
// is the same on every instruction set.
#include "kernels.h"
#include "simd_int.h"

ML_INLINE void columns(size_t vectors, size_t pairs, const int16_t *ML_RESTRICT levels,
                       const int8_t *ML_RESTRICT panel, int32_t *ML_RESTRICT total)
{
    ivec sum[ML_PANEL_VECTORS];
    for (size_t j = 0; j < vectors; j++)
        sum[j] = iv_zero();
    for (size_t k = 0; k < pairs; k++, panel += 2 * vectors * ML_LANES)
        for (size_t j = 0; j < vectors; j++)
            sum[j] = iv_add_products(panel + 2 * j * ML_LANES, iv_pair(levels + 2 * k), sum[j]);
    for (size_t j = 0; j < vectors; j++)
        iv_store(total + j * ML_LANES, sum[j]);
}

// levels (2 pairs,), panel (pairs, vectors * ML_LANES, 2), total (vectors * ML_LANES), overwritten;
// 1 <= vectors <= ML_PANEL_VECTORS.
void ML_KERNEL(matvec_panel_int8)(size_t vectors, size_t pairs, const int16_t *levels,
                                  const int8_t *panel, int32_t *total)
{
    switch (vectors) {
    case 1: columns(1, pairs, levels, panel, total); break;
    case 2: columns(2, pairs, levels, panel, total); break;
    case 3: columns(3, pairs, levels, panel, total); break;
    case 4: columns(4, pairs, levels, panel, total); break;
    default: break;
    }
}

// sum[j] += step * weight_step[j] * total[j]; each of them (n,)
void ML_KERNEL(add_levels)(size_t n, const int32_t *ML_RESTRICT total,
                           const ml_real *ML_RESTRICT weight_step, ml_real step,
                           ml_real *ML_RESTRICT sum)
{
    for (size_t j = 0; j < n; j++)
        sum[j] += step * weight_step[j] * (ml_real)total[j];
}

// levels[i] = x[i] * scale, rounded, at most `most` in size. levels (n,).
void ML_KERNEL(to_levels)(size_t n, const ml_real *ML_RESTRICT x, ml_real scale, ml_real most,
                          int16_t *ML_RESTRICT levels)
{
    const ml_real half = (ml_real)0.5;
    for (size_t i = 0; i < n; i++) {
        ml_real scaled = x[i] * scale;
        scaled = scaled < most ? scaled : most;
        scaled = scaled > -most ? scaled : -most;
        levels[i] = (int16_t)(int32_t)(scaled + (scaled < 0 ? -half : half));
    }
}

// The largest |x[i]|; NaN where one is not finite. x (n,).
ml_real ML_KERNEL(largest_size)(size_t n, const ml_real *x)
{
    vec top = v_zero(), zeros = v_zero(); // 0 x is NaN where x is not finite
    for (size_t i = 0; i < n; i += ML_LANES) {
        vec a = v_get(x + i, v_lanes(i, n));
        top = v_max(top, v_max(a, v_sub(v_zero(), a)));
        zeros = v_fma(a, v_zero(), zeros);
    }
    ml_real lane[ML_LANES], zero[ML_LANES], largest = 0;
    v_store(lane, top);
    v_store(zero, zeros);
    for (size_t i = 0; i < ML_LANES; i++)
        largest = lane[i] > largest ? lane[i] : largest;
    for (size_t i = 0; i < ML_LANES; i++)
        largest += zero[i];
    return largest;
}
