#include "gemm.h"

#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "kernels/kernels.h"
#include "pool.h"
#include "product.h"
#include "sizes.h"
#include "skinny.h"

#if defined(ML_BLAS_NONE) || defined(ML_DOUBLE)
#define NO_BLAS 1
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

#ifndef NO_BLAS

typedef struct blas_job {
    const ml_product *product;
    ml_real beta;
    size_t block_m, block_n; // size of a block of C
    size_t blocks_n;         // blocks side by side
} blas_job;

static void run_block(void *ctx, size_t index)
{
    const blas_job *job = ctx;
    const ml_product *p = job->product;
    size_t i = index / job->blocks_n * job->block_m, j = index % job->blocks_n * job->block_n;
    size_t m = ml_smaller(job->block_m, p->m - i), n = ml_smaller(job->block_n, p->n - j);
    const ml_real *a = p->a + (p->trans_a == ML_TRANS ? i : i * p->lda);
    const ml_real *b = p->b + (p->trans_b == ML_TRANS ? j * p->ldb : j);
    ml_real *c = p->c + i * p->ldc + j;
    if (p->init != NULL && p->init != p->c)
        for (size_t r = 0; r < m; r++)
            memcpy(c + r * p->ldc, p->init + r * p->init_row + j, n * sizeof *c);
    GEMM(CblasRowMajor, p->trans_a == ML_TRANS ? CblasTrans : CblasNoTrans,
         p->trans_b == ML_TRANS ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)p->k, 1.0f, a,
         (int)p->lda, b, (int)p->ldb, job->beta, c, (int)p->ldc);
}

// `parts` nearly equal blocks of a length, in whole multiples of 64 (the tiles of BLAS).
static size_t block_length(size_t length, size_t parts)
{
    return ml_ceil_div(ml_ceil_div(length, parts), 64) * 64;
}

// Cuts C into blocks: enough of them for several cores, few enough that copying A and B into BLAS's
// own layout, which every block repeats, stays small beside the arithmetic. Two blocks from 2^21
// multiply-adds on (some 30 microseconds), twice as many for eight times the work, eight at most.
static void cut(blas_job *job)
{
    const ml_product *p = job->product;
    double work = (double)p->m * (double)p->n * (double)p->k / (double)(1 << 21);
    size_t wanted = work < 1 ? 1 : work < 64 ? 2 : work < 512 ? 4 : 8;
    size_t rows = 1, columns = 1;
    while (rows * columns < wanted) {
        if (p->m / rows >= p->n / columns)
            rows *= 2;
        else
            columns *= 2;
    }
    job->block_m = block_length(p->m, rows);
    job->block_n = block_length(p->n, columns);
    job->blocks_n = ml_ceil_div(p->n, job->block_n);
}

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

static int run_blas(const ml_product *p, ml_error *err)
{
    if (!fits_blas(p->m) || !fits_blas(p->n) || !fits_blas(p->k) || !fits_blas(p->lda) ||
        !fits_blas(p->ldb) || !fits_blas(p->ldc))
        return ml_fail(err, ML_ERR_OVERFLOW,
                       "matrix product of (%zu, %zu) and (%zu, %zu): a side is longer than %d",
                       p->m, p->k, p->k, p->n, INT_MAX);
    use_one_thread();
    blas_job job = {.product = p, .beta = p->init != NULL ? 1 : 0};
    cut(&job);
    ml_parallel_for(ml_ceil_div(p->m, job.block_m) * job.blocks_n, run_block, &job);
    return ML_OK;
}

#endif

static int run(const ml_product *p, ml_error *err)
{
    if (p->m == 0 || p->n == 0)
        return ML_OK;
#ifndef NO_BLAS
    // Where their kernel was tuned, our own products are faster for most shapes (docs/architecture.md
    // has the measurements); what is narrower than a vector is for BLAS.
    if (!ml_kernels_get()->tuned || p->n < 16)
        return run_blas(p, err);
#endif
    return p->m < ML_SKINNY_ROWS ? ml_skinny_run(p, err) : ml_product_run(p, err);
}

int ml_gemm(ml_trans trans_a, ml_trans trans_b, size_t m, size_t n, size_t k, const ml_real *a,
            size_t lda, const ml_real *b, size_t ldb, int add, ml_real *c, size_t ldc,
            ml_error *err)
{
    const ml_product product = {trans_a, trans_b,        m,   n, k,  a, lda, b,
                                ldb,     add ? c : NULL, ldc, c, ldc};
    return run(&product, err);
}

int ml_gemm_bias(ml_trans trans_a, ml_trans trans_b, size_t m, size_t n, size_t k, const ml_real *a,
                 size_t lda, const ml_real *b, size_t ldb, const ml_real *bias, ml_real *c,
                 size_t ldc, ml_error *err)
{
    const ml_product product = {trans_a, trans_b, m, n, k, a, lda, b, ldb, bias, 0, c, ldc};
    return run(&product, err);
}

#if defined(NO_BLAS)
const char *ml_blas_name(void) { return "none (own kernels)"; }
const char *ml_blas_core(void) { return ""; }
#elif defined(ML_BLAS_ACCELERATE)
const char *ml_blas_name(void) { return "Accelerate"; }
const char *ml_blas_core(void) { return ""; }
#else
const char *ml_blas_name(void) { return OPENBLAS(openblas_get_config)(); }
const char *ml_blas_core(void) { return OPENBLAS(openblas_get_corename)(); }
#endif
