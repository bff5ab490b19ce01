// The matrix product of our own: packed operands, blocks cut by shape, on the pool.
#ifndef ML_PRODUCT_H
#define ML_PRODUCT_H

#include <stddef.h>

#include "gemm.h"
#include "real.h"

// C (m, n) = init + A' B', A' (m, k) and B' (k, n) as for ml_gemm.
typedef struct ml_product {
    ml_trans trans_a, trans_b;
    size_t m, n, k;
    const ml_real *a;
    size_t lda;
    const ml_real *b;
    size_t ldb;
    const ml_real *init; // NULL: 0; c: add to it; or one row for all, with init_row 0
    size_t init_row;
    ml_real *c;
    size_t ldc;
} ml_product;

// Returns ML_OK, or ML_ERR_MEMORY where there is none for the packed operands: C is then as it was,
// or partly written.
int ml_product_run(const ml_product *product, ml_error *err);

#endif
