// The one door to the matrix product.
#ifndef ML_GEMM_H
#define ML_GEMM_H

#include <stddef.h>

#include "error.h"
#include "real.h"

typedef enum { ML_NO_TRANS, ML_TRANS } ml_trans;

// C (m, n) = A' B', or with `add` C + A' B', row by row in memory; A' (m, k) is A or its transpose,
// B' (k, n) is B or its transpose; lda, ldb, ldc count numbers from one row to the next as the
// matrix is stored.
// Without `add` what C holds is never read. Runs on the pool, in blocks cut by shape alone.
// Fails with ML_ERR_OVERFLOW where a size does not fit BLAS's integers, ML_ERR_MEMORY.
int ml_gemm(ml_trans trans_a, ml_trans trans_b, size_t m, size_t n, size_t k, const ml_real *a,
            size_t lda, const ml_real *b, size_t ldb, int add, ml_real *c, size_t ldc,
            ml_error *err);

// The same with a row (n,) that is added to every row of the product, or NULL: C = A' B' + bias.
int ml_gemm_bias(ml_trans trans_a, ml_trans trans_b, size_t m, size_t n, size_t k, const ml_real *a,
                 size_t lda, const ml_real *b, size_t ldb, const ml_real *bias, ml_real *c,
                 size_t ldc, ml_error *err);

// "OpenBLAS 0.3.33 ...", "Accelerate", "none (own kernels)".
const char *ml_blas_name(void);

// The processor that OpenBLAS took this one for ("SkylakeX"); "" for other libraries.
const char *ml_blas_core(void);

#endif
