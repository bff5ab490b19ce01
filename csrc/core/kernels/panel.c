// The product of a few rows with a packed panel: the one matrix kernel of the core.
//
//     c[i][j] = init[i][j] + sum_k a[i][k] panel[k][j]        i < rows, j < columns
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

// Writes the sums of a block, beginning with column `at`; `width` vectors, of which the last may have
// fewer than all its lanes.
ML_INLINE void put_block(const ml_panel_product *p, size_t rows, size_t width, size_t at,
                         vec sum[ML_TILE_ROWS][WIDTH])
{
    const size_t last = v_lanes(at + (width - 1) * ML_LANES, p->columns);
    ml_real *c = p->c + at;
    const ml_real *init = p->init != NULL ? p->init + at : NULL;
    for (size_t i = 0; i < rows; i++, c += p->c_row) {
        if (init != NULL) {
            for (size_t j = 0; j + 1 < width; j++)
                sum[i][j] = v_add(sum[i][j], v_load(init + j * ML_LANES));
            sum[i][width - 1] =
                v_add(sum[i][width - 1], v_get(init + (width - 1) * ML_LANES, last));
            init += p->init_row;
        }
        for (size_t j = 0; j + 1 < width; j++)
            v_store(c + j * ML_LANES, sum[i][j]);
        v_put(c + (width - 1) * ML_LANES, sum[i][width - 1], last);
    }
}

// `rows` and `width` are constants where this is inlined: the loops over them unroll into
// registers.
ML_INLINE void block(const ml_panel_product *p, size_t rows, size_t width, size_t at)
{
    vec sum[ML_TILE_ROWS][WIDTH];
    const ml_real *row[ML_TILE_ROWS];
    for (size_t i = 0; i < rows; i++) {
        row[i] = p->a + i * p->a_row;
        for (size_t j = 0; j < width; j++)
            sum[i][j] = v_zero();
    }
    const ml_real *panel = p->panel + at;
    const size_t panel_row = p->panel_row, a_k = p->a_k;
    // Without an `ahead`, the first line of the panel is asked for again and again.
    const ml_real *ahead = p->ahead != NULL ? p->ahead : panel;
    const size_t ahead_step = p->ahead != NULL ? p->ahead_step : 0;
    size_t k_at = 0;
    for (size_t k = 0; k < p->depth; k++) {
        ML_PREFETCH_FAR(ahead);
        ahead += ahead_step;
        vec column[WIDTH];
        for (size_t j = 0; j < width; j++)
            column[j] = v_load(panel + j * ML_LANES);
        for (size_t i = 0; i < rows; i++) {
            vec x = v_set(row[i][k_at]);
            for (size_t j = 0; j < width; j++)
                sum[i][j] = v_fma(x, column[j], sum[i][j]);
        }
        panel += panel_row;
        k_at += a_k;
    }
    put_block(p, rows, width, at, sum);
}

ML_INLINE void rows_of(const ml_panel_product *p, size_t rows)
{
    const size_t vectors = (p->columns + ML_LANES - 1) / ML_LANES;
    size_t j = 0;
    for (; j + WIDTH <= vectors; j += WIDTH)
        block(p, rows, WIDTH, j * ML_LANES);
#if ML_ISA_ID == ML_ISA_avx512 || ML_ISA_ID == ML_ISA_neon
    if (vectors - j == 3)
        block(p, rows, 3, j * ML_LANES);
    else if (vectors - j == 2)
        block(p, rows, 2, j * ML_LANES);
#endif
    if (vectors - j == 1)
        block(p, rows, 1, j * ML_LANES);
}

void ML_KERNEL(panel_product)(const ml_panel_product *p)
{
    switch (p->rows) {
    case 1: rows_of(p, 1); break;
    case 2: rows_of(p, 2); break;
    case 3: rows_of(p, 3); break;
    case 4: rows_of(p, 4); break;
    case 5: rows_of(p, 5); break;
    case 6: rows_of(p, 6); break;
    default: break;
    }
}

// packed[i / R][k][i % R] = a[k * lda + i]      i < rows, k < depth, R = ML_TILE_ROWS
//
// Whole vectors are stored, R numbers apart: what one writes beyond its R numbers, the next k
// overwrites, and behind the last k there is room for it.
void ML_KERNEL(pack_transposed)(size_t rows, size_t depth, const ml_real *a, size_t lda,
                                ml_real *packed)
{
    enum { R = ML_TILE_ROWS, AHEAD = 12 };
    const size_t block_size = ML_PACKED_ROWS_SIZE(depth);
    // Of these rows, all that a vector reads beyond them are ours to read, too.
    const size_t whole = rows < ML_LANES ? 0 : (rows - ML_LANES) / R * R;
    for (size_t k = 0; k < depth; k++, a += lda, packed += R) {
        ml_real *to = packed;
        if (k + AHEAD < depth)
            for (size_t i = 0; i < rows; i += ML_LINE)
                ML_PREFETCH(a + AHEAD * lda + i);
        for (size_t i = 0; i < whole; i += R, to += block_size)
            for (size_t j = 0; j < R; j += ML_LANES)
                v_store(to + j, v_load(a + i + j));
        for (size_t i = whole; i < rows; i += R, to += block_size)
            for (size_t j = 0; j < R && i + j < rows; j += ML_LANES)
                v_store(to + j, v_get(a + i + j, v_lanes(i + j, rows)));
    }
}
