// Adding rows, and adding up rows and columns.
#include "kernels.h"
#include "simd.h"

enum { SUM_WIDTH = 8 }; // vectors that are summed at once: half of the registers of AVX2

// y[j] += x[j]                                      j < n
void ML_KERNEL(add_row)(size_t n, const ml_real *x, ml_real *y)
{
    for (size_t j = 0; j < n; j += ML_LANES) {
        size_t m = v_lanes(j, n);
        v_put(y + j, v_add(v_get(y + j, m), v_get(x + j, m)), m);
    }
}

// The sums of `width` vectors side by side: a row is read in one run of memory.
ML_INLINE void sum_vectors(size_t width, size_t rows, size_t ld, const ml_real *x, int accumulate,
                           ml_real *sums)
{
    vec sum[SUM_WIDTH];
    for (size_t v = 0; v < width; v++)
        sum[v] = accumulate ? v_load(sums + v * ML_LANES) : v_zero();
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < width; v++)
            sum[v] = v_add(sum[v], v_load(x + i * ld + v * ML_LANES));
    for (size_t v = 0; v < width; v++)
        v_store(sums + v * ML_LANES, sum[v]);
}

// sums[j] (+)= sum_i x[i][j], rows in order         x (rows, columns) with rows ld apart
void ML_KERNEL(column_sums)(size_t rows, size_t columns, size_t ld, const ml_real *x,
                            int accumulate, ml_real *sums)
{
    size_t j = 0;
    for (; j + SUM_WIDTH * ML_LANES <= columns; j += SUM_WIDTH * ML_LANES)
        sum_vectors(SUM_WIDTH, rows, ld, x + j, accumulate, sums + j);
    for (; j + ML_LANES <= columns; j += ML_LANES)
        sum_vectors(1, rows, ld, x + j, accumulate, sums + j);
    for (; j < columns; j++) {
        ml_real sum = accumulate ? sums[j] : 0;
        for (size_t i = 0; i < rows; i++)
            sum += x[i * ld + j];
        sums[j] = sum;
    }
}

// sums[i] (+)= sum_j x[i][j]                       x (rows, columns) with rows ld apart
void ML_KERNEL(row_sums)(size_t rows, size_t columns, size_t ld, const ml_real *x, int accumulate,
                         ml_real *sums)
{
    for (size_t i = 0; i < rows; i++) {
        vec sum = v_zero();
        for (size_t j = 0; j < columns; j += ML_LANES)
            sum = v_add(sum, v_get(x + i * ld + j, v_lanes(j, columns)));
        ml_real lane[ML_LANES], total = accumulate ? sums[i] : 0;
        v_store(lane, sum);
        for (size_t l = 0; l < ML_LANES; l++)
            total += lane[l];
        sums[i] = total;
    }
}
