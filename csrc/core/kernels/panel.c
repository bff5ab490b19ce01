// The product of a few rows with a packed panel: the one matrix kernel of the recurrent layers.
//
//     tile[i][j] = sum_k a[i * lda + k] * panel[k][j]        i < rows, j < vectors * ML_LANES
//
// The plain loop is that line. Here a block of ROWS x WIDTH vectors of the sum stays in registers
// while k runs: per k, WIDTH loads and ROWS broadcasts feed ROWS * WIDTH multiply-adds.
#include "kernels.h"
#include "simd.h"

// Vectors of the sum side by side, so that ML_TILE_ROWS * WIDTH sums, WIDTH columns of the panel
// and one broadcast fit the registers: 32 of them, or 16.
#if ML_ISA_ID == ML_ISA_avx512 || ML_ISA_ID == ML_ISA_neon
enum { WIDTH = 4 };
#else
enum { WIDTH = 2 };
#endif

// `rows` and `width` are constants where this is inlined: the loops over them unroll into
// registers.
ML_INLINE void block(size_t rows, size_t width, size_t depth, const ml_real *ML_RESTRICT a,
                     size_t lda, const ml_real *ML_RESTRICT panel, size_t ld,
                     ml_real *ML_RESTRICT tile)
{
    vec sum[ML_TILE_ROWS][WIDTH];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < width; j++)
            sum[i][j] = v_zero();
    for (size_t k = 0; k < depth; k++) {
        vec column[WIDTH];
        for (size_t j = 0; j < width; j++)
            column[j] = v_load(panel + k * ld + j * ML_LANES);
        for (size_t i = 0; i < rows; i++) {
            vec x = v_set(a[i * lda + k]);
            for (size_t j = 0; j < width; j++)
                sum[i][j] = v_fma(x, column[j], sum[i][j]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < width; j++)
            v_store(tile + i * ld + j * ML_LANES, sum[i][j]);
}

ML_INLINE void rows_of(size_t rows, size_t vectors, size_t depth, const ml_real *a, size_t lda,
                       const ml_real *panel, ml_real *tile)
{
    size_t ld = vectors * ML_LANES, j = 0;
    for (; j + WIDTH <= vectors; j += WIDTH)
        block(rows, WIDTH, depth, a, lda, panel + j * ML_LANES, ld, tile + j * ML_LANES);
#if ML_ISA_ID == ML_ISA_avx512 || ML_ISA_ID == ML_ISA_neon
    if (vectors - j == 3)
        block(rows, 3, depth, a, lda, panel + j * ML_LANES, ld, tile + j * ML_LANES);
    else if (vectors - j == 2)
        block(rows, 2, depth, a, lda, panel + j * ML_LANES, ld, tile + j * ML_LANES);
#endif
    if (vectors - j == 1)
        block(rows, 1, depth, a, lda, panel + j * ML_LANES, ld, tile + j * ML_LANES);
}

// a (rows, depth), panel (depth, vectors * ML_LANES), tile (rows, vectors * ML_LANES);
// 1 <= rows <= ML_TILE_ROWS, 1 <= vectors <= ML_PANEL_VECTORS. tile is overwritten.
void ML_KERNEL(panel_product)(size_t rows, size_t vectors, size_t depth, const ml_real *a,
                              size_t lda, const ml_real *panel, ml_real *tile)
{
    switch (rows) {
    case 1: rows_of(1, vectors, depth, a, lda, panel, tile); break;
    case 2: rows_of(2, vectors, depth, a, lda, panel, tile); break;
    case 3: rows_of(3, vectors, depth, a, lda, panel, tile); break;
    case 4: rows_of(4, vectors, depth, a, lda, panel, tile); break;
    case 5: rows_of(5, vectors, depth, a, lda, panel, tile); break;
    case 6: rows_of(6, vectors, depth, a, lda, panel, tile); break;
    default: break;
    }
}
