// Adding a row to a matrix, and a matrix to a row.
#include "kernels.h"
#include "simd.h"

// x[i][j] += bias[j]                                x (rows, columns)
void ML_KERNEL(add_bias)(size_t rows, size_t columns, const ml_real *bias, ml_real *x)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j += ML_LANES) {
            size_t n = v_lanes(j, columns);
            ml_real *at = x + i * columns + j;
            v_put(at, v_add(v_get(at, n), v_get(bias + j, n)), n);
        }
}

// sums[j] (+)= sum_i x[i][j], rows in order         x (rows, columns) with rows ld apart
void ML_KERNEL(column_sums)(size_t rows, size_t columns, size_t ld, const ml_real *x,
                            int accumulate, ml_real *sums)
{
    for (size_t j = 0; j < columns; j += ML_LANES) {
        size_t n = v_lanes(j, columns);
        vec sum = v_zero();
        for (size_t i = 0; i < rows; i++)
            sum = v_add(sum, v_get(x + i * ld + j, n));
        if (accumulate)
            sum = v_add(sum, v_get(sums + j, n));
        v_put(sums + j, sum, n);
    }
}
