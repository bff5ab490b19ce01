// Stacks of matrix products.
#ifndef ML_MATMUL_H
#define ML_MATMUL_H

#include <stddef.h>

#include "gemm.h"

// Matrices of equal shape: the i-th begins at data + i * step (0: they are all the same one), and
// lies as ml_gemm says of an operand.
typedef struct ml_stack {
    const ml_real *data;
    size_t step, ld;
    ml_trans trans;
} ml_stack;

// C_i (m, n) = A_i' B_i' for i < count; the C_i lie behind one another, row by row, and overlap
// neither operand. Runs on the pool. What is computed in which order depends on m, n and k alone.
// Fails as ml_gemm does; C is then partly written.
int ml_matmul(size_t count, size_t m, size_t n, size_t k, ml_stack a, ml_stack b, ml_real *c,
              ml_error *err);

#endif
