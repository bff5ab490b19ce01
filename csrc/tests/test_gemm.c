// The matrix product against three plain loops, on every instruction set of this machine: the core's
// own product; BLAS is met by the Python tests.
#include "minilm.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "matmul.h"
#include "platform.h"

#include "check.h"

// A matrix as it is stored, with rows that lie `ld` apart; what lies between them is NaN.
typedef struct matrix {
    size_t rows, columns, ld;
    ml_real *data;
} matrix;

static matrix new_matrix(size_t rows, size_t columns, size_t gap, uint64_t stream)
{
    matrix a = {rows, columns, columns + gap, NULL};
    // Without the last row's gap: it need not exist.
    size_t numbers = rows > 0 ? (rows - 1) * a.ld + columns : 0;
    a.data = malloc((numbers > 0 ? numbers : 1) * sizeof *a.data);
    if (a.data == NULL)
        abort();
    for (size_t i = 0; i < numbers; i++) {
        uint32_t word[4];
        ml_philox(5, stream, i, word);
        a.data[i] = i % a.ld < columns ? 2 * ml_uniform24(word[0]) - 1 : NAN;
    }
    return a;
}

static ml_real at(const matrix *a, ml_trans trans, size_t i, size_t j)
{
    return trans == ML_TRANS ? a->data[j * a->ld + i] : a->data[i * a->ld + j];
}

typedef struct product {
    ml_trans trans_a, trans_b;
    size_t m, n, k, gap;
    int add;
    int bias; // a row for all, by ml_gemm_bias
} product;

static int run_product(const product *p, const matrix *a, const matrix *b, const matrix *bias,
                       const matrix *c, ml_error *err)
{
    if (p->bias)
        return ml_gemm_bias(p->trans_a, p->trans_b, p->m, p->n, p->k, a->data, a->ld, b->data,
                            b->ld, bias->data, c->data, c->ld, err);
    return ml_gemm(p->trans_a, p->trans_b, p->m, p->n, p->k, a->data, a->ld, b->data, b->ld, p->add,
                   c->data, c->ld, err);
}

static void check_product(product p)
{
    const int ta = p.trans_a == ML_TRANS, tb = p.trans_b == ML_TRANS;
    matrix a = new_matrix(ta ? p.k : p.m, ta ? p.m : p.k, p.gap, 0);
    matrix b = new_matrix(tb ? p.n : p.k, tb ? p.k : p.n, p.gap, 1);
    matrix c = new_matrix(p.m, p.n, p.gap, 2), before = new_matrix(p.m, p.n, p.gap, 2);
    matrix bias = new_matrix(1, p.n, 0, 3);
    if (!p.add) // what C holds must not be read
        for (size_t i = 0; i < p.m; i++)
            for (size_t j = 0; j < p.n; j++)
                c.data[i * c.ld + j] = NAN;
    ml_error err = {0};
    CHECK(run_product(&p, &a, &b, &bias, &c, &err) == ML_OK);
    double error = 0;
    for (size_t i = 0; i < p.m; i++)
        for (size_t j = 0; j < c.ld && i * c.ld + j < (p.m - 1) * c.ld + p.n; j++) {
            double got = (double)c.data[i * c.ld + j];
            if (j >= p.n) {
                error = fmax(error, got != got ? 0 : 1); // the gap is not ours to write
                continue;
            }
            double sum = p.add * (double)before.data[i * c.ld + j] + p.bias * (double)bias.data[j];
            for (size_t l = 0; l < p.k; l++)
                sum += (double)at(&a, p.trans_a, i, l) * (double)at(&b, p.trans_b, l, j);
            double off = fabs(got - sum);
            error = off <= error ? error : off; // a NaN stays
        }
    // Each addition rounds a sum of up to sqrt(k) or so: the error grows like k.
    if (!CHECK(error <= 2e-7 * (double)(p.k + 5)))
        fprintf(stderr,
                "    (%zu, %zu) x (%zu, %zu), transposed %d %d, gap %zu, add %d, bias %d: off by "
                "%g\n",
                p.m, p.k, p.k, p.n, ta, tb, p.gap, p.add, p.bias, error);
    free(a.data);
    free(b.data);
    free(c.data);
    free(before.data);
    free(bias.data);
}

// The four transpositions, with and without gaps; alone, added to C, and with a bias.
static void check_shape(size_t m, size_t n, size_t k)
{
    for (int which = 0; which < 24; which++)
        check_product((product){which & 1 ? ML_TRANS : ML_NO_TRANS,
                                which & 2 ? ML_TRANS : ML_NO_TRANS, m, n, k, which & 4 ? 5 : 0,
                                which / 8 == 1, which / 8 == 2});
}

static void test_small_and_odd_shapes(void)
{
    const size_t sizes[] = {1, 2, 6, 7, 17, 65};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    for (size_t i = 0; i < SIZES * SIZES * SIZES; i++)
        check_shape(sizes[i % SIZES], sizes[i / SIZES % SIZES], sizes[i / SIZES / SIZES]);
}

// Large enough to be cut into blocks, along each side and along both.
static void test_blocks(void)
{
    check_product((product){ML_NO_TRANS, ML_TRANS, 1500, 130, 90, 3, 0, 0});
    check_product((product){ML_TRANS, ML_NO_TRANS, 130, 1500, 90, 0, 1, 0});
    check_product((product){ML_TRANS, ML_TRANS, 300, 301, 302, 1, 0, 1});
    check_product((product){ML_NO_TRANS, ML_NO_TRANS, 700, 650, 77, 0, 0, 1});
    check_product((product){ML_NO_TRANS, ML_TRANS, 2100, 40, 30, 0, 1, 0});
    // more than one stretch of k
    check_product((product){ML_NO_TRANS, ML_NO_TRANS, 130, 290, 1100, 3, 0, 1});
    check_product((product){ML_NO_TRANS, ML_TRANS, 130, 290, 1100, 3, 1, 0});
    check_product((product){ML_TRANS, ML_NO_TRANS, 130, 290, 1100, 0, 0, 0});
}

// Up to 23 rows B is read where it lies: row blocks and columns of every width, k in more than one
// stretch of 256.
static void test_few_rows(void)
{
    for (size_t m = 1; m <= 23; m += m % 6 == 0 ? 1 : 5) {
        check_shape(m, 83, 259);
        check_shape(m, 16 + m, 513);
    }
    check_shape(23, 64, 256);
}

// From 24 rows on B is packed, and so is a transposed A whose rows are longer than 256.
static void test_packed_operands(void)
{
    check_shape(24, 19, 257);
    check_shape(100, 33, 300);
    check_shape(251, 17, 260);
    check_shape(263, 18, 520);
}

static void test_empty_products(void)
{
    ml_error err = {0};
    ml_real c[4] = {1, 2, 3, 4};
    CHECK(ml_gemm(ML_NO_TRANS, ML_NO_TRANS, 0, 2, 3, c, 3, c, 2, 0, NULL, 2, &err) == ML_OK);
    CHECK(ml_gemm(ML_NO_TRANS, ML_NO_TRANS, 2, 0, 3, c, 3, c, 1, 0, NULL, 1, &err) == ML_OK);
    // A sum of nothing is 0, and C or a bias is added to it.
    check_shape(2, 2, 0);
    check_shape(30, 20, 0);
}

// Products given out whole to the threads and products that all of them share: one pair after the
// other gives the same bits.
static void test_stacks(void)
{
    const struct {
        size_t count, m, n, k;
    } cases[] = {{9, 7, 17, 6}, {2, 160, 180, 170}, {3, 5, 4, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t count = cases[i].count, m = cases[i].m, n = cases[i].n, k = cases[i].k;
        matrix a = new_matrix(count * m, k, 3, 0); // one behind the other
        matrix b = new_matrix(n, k, 0, 1);         // the same transposed one for all
        matrix c = new_matrix(count * m, n, 0, 2), whole = new_matrix(m, n, 0, 3);
        ml_error err = {0};
        CHECK(ml_matmul(count, m, n, k, (ml_stack){a.data, m * a.ld, a.ld, ML_NO_TRANS},
                        (ml_stack){b.data, 0, b.ld, ML_TRANS}, c.data, &err) == ML_OK);
        for (size_t l = 0; l < count; l++) {
            CHECK(ml_gemm(ML_NO_TRANS, ML_TRANS, m, n, k, a.data + l * m * a.ld, a.ld, b.data,
                          b.ld > 0 ? b.ld : 1, 0, whole.data, n, &err) == ML_OK);
            CHECK(memcmp(whole.data, c.data + l * m * n, m * n * sizeof *c.data) == 0);
        }
        free(a.data);
        free(b.data);
        free(c.data);
        free(whole.data);
    }
}

static void test_not_a_number_is_not_lost(void)
{
    ml_real a[4] = {0, 0, 0, 0}, b[4] = {NAN, 1, 1, INFINITY}, c[4];
    ml_error err = {0};
    CHECK(ml_gemm(ML_NO_TRANS, ML_NO_TRANS, 2, 2, 2, a, 2, b, 2, 0, c, 2, &err) == ML_OK);
    for (int i = 0; i < 4; i++)
        CHECK(c[i] != c[i]); // 0 NaN + 0, and 0 + 0 inf
}

// The set is chosen once in a process: each has one of its own. 1 when all went well.
static int run_on(const char *isa)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setenv("MINILM_ISA", isa, 1);
        printf("  %s\n", isa);
        RUN(test_small_and_odd_shapes);
        RUN(test_few_rows);
        RUN(test_packed_operands);
        RUN(test_blocks);
        RUN(test_empty_products);
        RUN(test_stacks);
        RUN(test_not_a_number_is_not_lost);
        exit(check_report());
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(void)
{
    const char *const sets[] = {"generic", "avx2", "avx512", "neon"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (ml_cpu_supports(sets[i]))
            CHECK(run_on(sets[i]));
    return check_report();
}
