// The product of one vector with a panel of a packed matrix: what writing a token consists of.
//
//     sum[j] += sum_k x[k] * panel[k][j]        j < vectors * ML_LANES
//
// A sum waits for its last multiply-add, some cycles each. So x is taken in turns by several chains
// of sums, which do not wait for one another and are added up at the end.
#include "kernels.h"
#include "simd.h"

// `vectors` and `chains` are constants where this is inlined: the sums are registers.
ML_INLINE void columns(size_t vectors, size_t chains, size_t depth, const ml_real *ML_RESTRICT x,
                       const ml_real *ML_RESTRICT panel, ml_real *ML_RESTRICT sum)
{
    const size_t row = vectors * ML_LANES;
    vec part[8][ML_PANEL_VECTORS];
    for (size_t c = 0; c < chains; c++)
        for (size_t j = 0; j < vectors; j++)
            part[c][j] = c == 0 ? v_load(sum + j * ML_LANES) : v_zero();
    size_t k = 0;
    for (; k + chains <= depth; k += chains, panel += chains * row)
        for (size_t c = 0; c < chains; c++)
            for (size_t j = 0; j < vectors; j++)
                part[c][j] =
                    v_fma(v_set(x[k + c]), v_load(panel + c * row + j * ML_LANES), part[c][j]);
    for (; k < depth; k++, panel += row)
        for (size_t j = 0; j < vectors; j++)
            part[0][j] = v_fma(v_set(x[k]), v_load(panel + j * ML_LANES), part[0][j]);
    for (size_t c = 1; c < chains; c++)
        for (size_t j = 0; j < vectors; j++)
            part[0][j] = v_add(part[0][j], part[c][j]);
    for (size_t j = 0; j < vectors; j++)
        v_store(sum + j * ML_LANES, part[0][j]);
}

// x (depth,), panel (depth, vectors * ML_LANES), sum (vectors * ML_LANES), added to;
// 1 <= vectors <= ML_PANEL_VECTORS.
void ML_KERNEL(matvec_panel)(size_t vectors, size_t depth, const ml_real *x, const ml_real *panel,
                             ml_real *sum)
{
    switch (vectors) {
    case 1: columns(1, 8, depth, x, panel, sum); break;
    case 2: columns(2, 4, depth, x, panel, sum); break;
    case 3: columns(3, 2, depth, x, panel, sum); break;
    case 4: columns(4, 2, depth, x, panel, sum); break;
    default: break;
    }
}
