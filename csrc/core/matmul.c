#include "matmul.h"

#include <stdatomic.h>
#include <string.h>

#include "pool.h"

// Multiply-adds from which one product is work enough for all threads: smaller ones are given out
// whole, since a product that runs inside a region stays on its thread.
enum { LARGE = 1 << 22, TASK = 1 << 16 };

typedef struct matmul_job {
    size_t m, n, k;
    ml_stack a, b;
    ml_real *c;
    atomic_int failed;
} matmul_job;

static int multiply(const matmul_job *job, size_t i, ml_error *err)
{
    return ml_gemm(job->a.trans, job->b.trans, job->m, job->n, job->k,
                   job->a.data + i * job->a.step, job->a.ld, job->b.data + i * job->b.step,
                   job->b.ld, 0, job->c + i * job->m * job->n, job->n, err);
}

static void multiply_some(void *ctx, size_t begin, size_t end)
{
    matmul_job *job = ctx;
    ml_error err;
    for (size_t i = begin; i < end; i++)
        if (multiply(job, i, &err) != ML_OK)
            atomic_store(&job->failed, 1);
}

int ml_matmul(size_t count, size_t m, size_t n, size_t k, ml_stack a, ml_stack b, ml_real *c,
              ml_error *err)
{
    matmul_job job = {.m = m, .n = n, .k = k, .a = a, .b = b, .c = c};
    if (m == 0 || n == 0)
        return ML_OK;
    if (k == 0) { // an empty sum; BLAS would refuse rows of no length
        memset(c, 0, count * m * n * sizeof *c);
        return ML_OK;
    }
    const double work = (double)m * (double)n * (double)k;
    int code = ML_OK;
    if (work >= LARGE) {
        for (size_t i = 0; i < count && code == ML_OK; i++)
            code = multiply(&job, i, err);
        return code;
    }
    ml_parallel_ranges(count, (size_t)(TASK / work) + 1, multiply_some, &job);
    // Sizes that BLAS cannot count are large, so here it can only be memory.
    return atomic_load(&job.failed)
               ? ml_fail(err, ML_ERR_MEMORY,
                         "matrix products (%zu, %zu, %zu): no memory for packed "
                         "operands",
                         m, n, k)
               : ML_OK;
}
