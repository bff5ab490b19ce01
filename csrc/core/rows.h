// What several layers do to the rows and columns of a matrix, on the pool.
#ifndef ML_ROWS_H
#define ML_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "real.h"

enum { ML_GRAIN = 1 << 15 }; // numbers in a task: some microseconds of work by element

// Rows of `columns` numbers that make a task of about ML_GRAIN numbers.
size_t ml_row_grain(size_t columns);

// The same where rows are normalised: a number costs about four times as much there.
static inline size_t ml_norm_grain(size_t columns) { return ml_row_grain(4 * columns); }

// sums[j] = sum_i x[i][j], or += ; rows are added in order    x (rows, columns), rows ld apart
void ml_column_sums(size_t rows, size_t columns, size_t ld, const ml_real *x, int accumulate,
                    ml_real *sums);

// y[i] = factor x[i], or +=
void ml_scale(size_t n, ml_real factor, const ml_real *x, int accumulate, ml_real *y);

// y[i] = a[i] + b[i]; y may be a or b
void ml_add(size_t n, const ml_real *a, const ml_real *b, ml_real *y);

// rows[i] = table[id[i]]                                      rows (n, width)
void ml_gather_rows(size_t n, size_t width, const int64_t *id, const ml_real *table, ml_real *rows);

// table[id[i]] += rows[i], in the order of i; ids equal to `skip` are left out.
// rows (n, width), table (count, width)
void ml_scatter_rows(size_t n, size_t width, const int64_t *id, int64_t skip, const ml_real *rows,
                     size_t count, ml_real *table);

// Swaps the first two axes: to[j][i] = from[i][j], each `width` numbers long.   from (rows,
// columns, width)
void ml_swap_axes(size_t rows, size_t columns, size_t width, const ml_real *from, ml_real *to);

#endif
