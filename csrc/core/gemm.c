#include "gemm.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>

#include "pool.h"

#if defined(ML_BLAS_NONE) || defined(ML_DOUBLE)
#define OWN_GEMM 1
#include "packed.h"
#elif defined(ML_BLAS_ACCELERATE)
#include <Accelerate/Accelerate.h>
#define GEMM cblas_sgemm
#else
#include <cblas.h>
#define PREFIXED_(prefix, name) prefix##name
#define PREFIXED(prefix, name) PREFIXED_(prefix, name)
#ifdef BLAS_SYMBOL_PREFIX
#define GEMM PREFIXED(BLAS_SYMBOL_PREFIX, cblas_sgemm)
#define OPENBLAS(name) PREFIXED(BLAS_SYMBOL_PREFIX, name)
#else
#define GEMM cblas_sgemm
#define OPENBLAS(name) name
#endif
#endif

typedef struct gemm_job {
    ml_trans trans_a, trans_b;
    size_t m, n, k, lda, ldb, ldc;
    const ml_real *a, *b;
    ml_real *c;
    ml_real beta;
    size_t block_m, block_n; // size of a block of C
    size_t blocks_n;         // blocks side by side
    atomic_int failed;       // a block found no memory
} gemm_job;

#ifndef OWN_GEMM
static void call_blas(const gemm_job *job, size_t m, size_t n, const ml_real *a, const ml_real *b,
                      ml_real *c)
{
    GEMM(CblasRowMajor, job->trans_a == ML_TRANS ? CblasTrans : CblasNoTrans,
         job->trans_b == ML_TRANS ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)job->k, 1.0f, a,
         (int)job->lda, b, (int)job->ldb, job->beta, c, (int)job->ldc);
}
#endif

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static void run_block(void *ctx, size_t index)
{
    gemm_job *job = ctx;
    size_t i = index / job->blocks_n * job->block_m, j = index % job->blocks_n * job->block_n;
    size_t m = smaller(job->block_m, job->m - i), n = smaller(job->block_n, job->n - j);
    const ml_real *a = job->a + (job->trans_a == ML_TRANS ? i : i * job->lda);
    const ml_real *b = job->b + (job->trans_b == ML_TRANS ? j * job->ldb : j);
    ml_real *c = job->c + i * job->ldc + j;
#ifdef OWN_GEMM
    if (ml_packed_gemm(job->trans_a, job->trans_b, m, n, job->k, a, job->lda, b, job->ldb,
                       job->beta, c, job->ldc) != 0)
        atomic_store(&job->failed, 1);
#else
    call_blas(job, m, n, a, b, c);
#endif
}

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

// `parts` nearly equal blocks of a length, in whole multiples of 64 (the tiles of BLAS).
static size_t block_length(size_t length, size_t parts)
{
    return ceil_div(ceil_div(length, parts), 64) * 64;
}

// Cuts C into blocks: enough of them for several cores, few enough that copying A and B into BLAS's
// own layout, which every block repeats, stays small beside the arithmetic. Two blocks from 2^21
// multiply-adds on (some 30 microseconds), twice as many for eight times the work, eight at most.
static void cut(gemm_job *job)
{
    double work = (double)job->m * (double)job->n * (double)job->k / (double)(1 << 21);
    size_t wanted = work < 1 ? 1 : work < 64 ? 2 : work < 512 ? 4 : 8;
    size_t rows = 1, columns = 1;
    while (rows * columns < wanted) {
        if (job->m / rows >= job->n / columns)
            rows *= 2;
        else
            columns *= 2;
    }
    job->block_m = block_length(job->m, rows);
    job->block_n = block_length(job->n, columns);
}

#ifndef OWN_GEMM
// BLAS runs inside our threads: one of its own each. OpenBLAS keeps that setting for the process;
// the copy in our wheel is ours alone, a system-wide one (MINILM_BLAS=pkg-config) may not be.
static void use_one_thread(void)
{
#ifdef ML_BLAS_OPENBLAS
    static atomic_int done;
    if (!atomic_load_explicit(&done, memory_order_acquire)) {
        OPENBLAS(openblas_set_num_threads)(1); // twice does no harm
        atomic_store_explicit(&done, 1, memory_order_release);
    }
#endif
}

static int fits_blas(size_t size) { return size <= INT_MAX; }
#endif

int ml_gemm(ml_trans trans_a, ml_trans trans_b, size_t m, size_t n, size_t k, const ml_real *a,
            size_t lda, const ml_real *b, size_t ldb, ml_real beta, ml_real *c, size_t ldc,
            ml_error *err)
{
    if (m == 0 || n == 0)
        return ML_OK;
    gemm_job job = {.trans_a = trans_a,
                    .trans_b = trans_b,
                    .m = m,
                    .n = n,
                    .k = k,
                    .lda = lda,
                    .ldb = ldb,
                    .ldc = ldc,
                    .a = a,
                    .b = b,
                    .c = c,
                    .beta = beta};
#ifndef OWN_GEMM
    if (!fits_blas(m) || !fits_blas(n) || !fits_blas(k) || !fits_blas(lda) || !fits_blas(ldb) ||
        !fits_blas(ldc))
        return ml_fail(err, ML_ERR_OVERFLOW,
                       "matrix product of (%zu, %zu) and (%zu, %zu): a side is longer than %d", m,
                       k, k, n, INT_MAX);
    use_one_thread();
#endif
    cut(&job);
    job.blocks_n = ceil_div(n, job.block_n);
    ml_parallel_for(ceil_div(m, job.block_m) * job.blocks_n, run_block, &job);
    if (atomic_load(&job.failed))
        return ml_fail(err, ML_ERR_MEMORY, "matrix product: no memory for the packed operand");
    return ML_OK;
}

#if defined(OWN_GEMM)
const char *ml_blas_name(void) { return "none (own kernels)"; }
const char *ml_blas_core(void) { return ""; }
#elif defined(ML_BLAS_ACCELERATE)
const char *ml_blas_name(void) { return "Accelerate"; }
const char *ml_blas_core(void) { return ""; }
#else
const char *ml_blas_name(void) { return OPENBLAS(openblas_get_config)(); }
const char *ml_blas_core(void) { return OPENBLAS(openblas_get_corename)(); }
#endif
