// exp, sigmoid, tanh and GELU of every instruction set against the C library's double versions.
//
//     test_vmath          tanh of all floats where it bends, every 61st elsewhere
//     test_vmath all      every float there is: minutes
#include "minilm.h"

#include <float.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "kernels/kernels.h"
#include "platform.h"

#include "check.h"

#if defined(__x86_64__) || defined(__i386__)
extern const ml_kernels ml_kernels_generic, ml_kernels_avx2, ml_kernels_avx512;
static const ml_kernels *const tables[] = {&ml_kernels_generic, &ml_kernels_avx2,
                                           &ml_kernels_avx512};
#elif defined(__aarch64__)
extern const ml_kernels ml_kernels_generic, ml_kernels_neon;
static const ml_kernels *const tables[] = {&ml_kernels_generic, &ml_kernels_neon};
#else
extern const ml_kernels ml_kernels_generic;
static const ml_kernels *const tables[] = {&ml_kernels_generic};
#endif
enum { TABLES = sizeof tables / sizeof *tables, BLOCK = 1 << 14 };

// ---- floats by their bits ------------------------------------------------------------------------

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// How far y is from the true value, in units of the last place of a float of that size.
static double ulps(float y, double exact)
{
    uint64_t bits;
    double unit;
    memcpy(&bits, &exact, sizeof bits);
    bits &= (uint64_t)0x7ff << 52; // the power of two alone
    memcpy(&unit, &bits, sizeof unit);
    return fabs((double)y - exact) / fmax(unit * 0x1p-23, 0x1p-149);
}

// ---- sweeps --------------------------------------------------------------------------------------

typedef void function(const ml_kernels *kernels, size_t n, const float *x, float *y);

static void kernel_tanh(const ml_kernels *kernels, size_t n, const float *x, float *y)
{
    kernels->activation_forward(ML_TANH, n, x, y);
}
static void kernel_sigmoid(const ml_kernels *kernels, size_t n, const float *x, float *y)
{
    kernels->activation_forward(ML_SIGMOID, n, x, y);
}
static void kernel_exp(const ml_kernels *kernels, size_t n, const float *x, float *y)
{
    memcpy(y, x, n * sizeof *y);
    kernels->row_softmax(n, y, (ml_log_sum_exp){0, 0}); // exp(x - 0)
}

static void kernel_gelu(const ml_kernels *kernels, size_t n, const float *x, float *y)
{
    kernels->activation_forward(ML_GELU, n, x, y);
}

static double exact_gelu(double x) { return x * 0.5 * erfc(-x * 0.70710678118654752440); }
static double exact_sigmoid(double x) { return 1 / (1 + exp(-x)); }

// All floats first, first + stride ... up to last, as bits, in blocks that are tasks.
typedef struct sweep {
    uint32_t first, last, stride;
    function *approximate;
    double (*exact)(double);
    int odd;            // f(-x) = -f(x), to the bit
    double bound;       // of the result's absolute value
    atomic_uint broken; // results that are not odd, or beyond the bound
    _Atomic double worst[TABLES];
} sweep;

static void raise_to(_Atomic double *largest, double value)
{
    double seen = atomic_load(largest);
    while (!(value <= seen) && !atomic_compare_exchange_weak(largest, &seen, value)) {
    }
}

static void sweep_block(void *ctx, size_t index)
{
    sweep *s = ctx;
    float x[BLOCK], negative[BLOCK], y[BLOCK], y_negative[BLOCK];
    double exact[BLOCK];
    uint64_t begin = s->first + (uint64_t)index * BLOCK * s->stride;
    size_t n = 0;
    for (uint64_t bits = begin; bits <= s->last && n < BLOCK; bits += s->stride, n++) {
        x[n] = from_bits((uint32_t)bits);
        negative[n] = -x[n];
        exact[n] = s->exact((double)x[n]);
    }
    for (size_t t = 0; t < TABLES; t++) {
        if (!ml_cpu_supports(tables[t]->isa))
            continue;
        s->approximate(tables[t], n, x, y);
        s->approximate(tables[t], n, negative, y_negative);
        double worst = 0;
        unsigned broken = 0;
        for (size_t i = 0; i < n; i++) {
            double off = ulps(y[i], exact[i]);
            worst = off <= worst ? worst : off;
            broken += !(fabs((double)y[i]) <= s->bound);
            broken += s->odd && to_bits(y_negative[i]) != (to_bits(y[i]) ^ 0x80000000u);
        }
        raise_to(&s->worst[t], worst);
        atomic_fetch_add(&s->broken, broken);
    }
}

static void run_sweep(sweep s, const char *name, double limit)
{
    uint64_t floats = ((uint64_t)s.last - s.first) / s.stride + 1;
    ml_parallel_for((size_t)((floats + BLOCK - 1) / BLOCK), sweep_block, &s);
    CHECK(atomic_load(&s.broken) == 0);
    for (size_t t = 0; t < TABLES; t++) {
        if (!ml_cpu_supports(tables[t]->isa))
            continue;
        double worst = atomic_load(&s.worst[t]);
        printf("    %s, %s, %g .. %g: at most %.3f ULP\n", tables[t]->isa, name,
               (double)from_bits(s.first), (double)from_bits(s.last), worst);
        CHECK(worst <= limit);
    }
}

// ---- the tests -----------------------------------------------------------------------------------

static uint32_t stride = 61;
static uint32_t bend_stride = 1; // where tanh bends, no float is left out

static void test_tanh(void)
{
    const float low = 0x1p-13f, high = 9.1f;
    sweep s = {.approximate = kernel_tanh, .exact = tanh, .odd = 1, .bound = 1};
    const struct {
        float first, last;
        uint32_t stride;
    } part[] = {{FLT_MIN, low, stride}, {low, high, bend_stride}, {high, INFINITY, stride}};
    for (size_t i = 0; i < 3; i++) {
        s.first = to_bits(part[i].first);
        s.last = to_bits(part[i].last);
        s.stride = part[i].stride;
        run_sweep(s, "tanh", 4);
    }
}

static void test_exp(void)
{
    sweep s = {.stride = stride, .approximate = kernel_exp, .exact = exp, .bound = FLT_MAX};
    s.last = to_bits(88.37f);
    run_sweep(s, "exp", 2);
    s.first = to_bits(-0.0f);
    s.last = to_bits(-87.33f);
    run_sweep(s, "exp", 2);
}

static void test_sigmoid(void)
{
    sweep s = {.stride = stride, .approximate = kernel_sigmoid, .exact = exact_sigmoid, .bound = 1};
    s.last = to_bits(INFINITY);
    run_sweep(s, "sigmoid", 4);
    s.first = to_bits(-0.0f);
    s.last = to_bits(-87.33f);
    run_sweep(s, "sigmoid", 4);
}

// In the tail, the digits of x^2 are lost where an instruction set cannot multiply and add at once.
static void test_gelu(void)
{
    sweep s = {.stride = stride, .approximate = kernel_gelu, .exact = exact_gelu, .bound = FLT_MAX};
    s.first = to_bits(0x1p-120f);
    s.last = to_bits(FLT_MAX);
    run_sweep(s, "gelu", 8);
    s.first = to_bits(-0x1p-120f);
    s.last = to_bits(-3.0f);
    run_sweep(s, "gelu", 8);
    s.first = to_bits(-3.0f);
    s.last = to_bits(-12.5f);
    run_sweep(s, "gelu", 80);
}

// One value through a whole vector, so that it meets every lane.
static float value_of(function *f, const ml_kernels *kernels, float x)
{
    float from[ML_MAX_LANES + 3], to[ML_MAX_LANES + 3];
    size_t n = ML_MAX_LANES + 3, same = 0;
    for (size_t i = 0; i < n; i++)
        from[i] = x;
    f(kernels, n, from, to);
    for (size_t i = 0; i < n; i++)
        same += to_bits(to[i]) == to_bits(to[0]);
    CHECK(same == n);
    return to[0];
}

static void test_special_values(void)
{
    for (size_t t = 0; t < TABLES; t++) {
        const ml_kernels *k = tables[t];
        if (!ml_cpu_supports(k->isa))
            continue;
        CHECK(to_bits(value_of(kernel_tanh, k, 0.0f)) == to_bits(0.0f));
        CHECK(to_bits(value_of(kernel_tanh, k, -0.0f)) == to_bits(-0.0f));
        CHECK(value_of(kernel_tanh, k, INFINITY) == 1);
        CHECK(value_of(kernel_tanh, k, -INFINITY) == -1);
        CHECK(isnan(value_of(kernel_tanh, k, NAN)));

        CHECK(value_of(kernel_sigmoid, k, 0) == 0.5f);
        CHECK(value_of(kernel_sigmoid, k, INFINITY) == 1);
        CHECK(value_of(kernel_sigmoid, k, -INFINITY) >= 0);
        CHECK(value_of(kernel_sigmoid, k, -INFINITY) <= FLT_MIN);
        CHECK(isnan(value_of(kernel_sigmoid, k, NAN)));

        CHECK(value_of(kernel_gelu, k, 0) == 0);
        CHECK(value_of(kernel_gelu, k, INFINITY) == INFINITY);
        CHECK(value_of(kernel_gelu, k, -1000) == 0);
        CHECK(isnan(value_of(kernel_gelu, k, NAN)));

        CHECK(value_of(kernel_exp, k, 0) == 1);
        CHECK(value_of(kernel_exp, k, -INFINITY) == 0);
        CHECK(value_of(kernel_exp, k, -1000) == 0);
        CHECK(isnan(value_of(kernel_exp, k, NAN)));
    }
}

// Denormal numbers, with and without flushing: never further off than the smallest normal one.
static void test_tiny_numbers(void)
{
    for (size_t t = 0; t < TABLES; t++) {
        if (!ml_cpu_supports(tables[t]->isa))
            continue;
        for (int flush = 0; flush < 2; flush++) {
            unsigned state = flush ? ml_flush_begin() : 0;
            double off = 0;
            for (uint32_t bits = 1; bits < to_bits(FLT_MIN); bits += 65537) {
                float x = from_bits(bits), y = value_of(kernel_tanh, tables[t], x);
                off = fmax(off, fabs((double)y - tanh((double)x)));
            }
            if (flush)
                ml_flush_end(state);
            CHECK(off <= (flush ? (double)FLT_MIN : 4 * 0x1p-149));
        }
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "all") == 0)
        stride = 1;
    if (argc > 1 && strcmp(argv[1], "few") == 0) // for machines that are emulated
        stride = 6007, bend_stride = 61;
    RUN(test_special_values);
    RUN(test_tiny_numbers);
    RUN(test_tanh);
    RUN(test_exp);
    RUN(test_sigmoid);
    RUN(test_gelu);
    return check_report();
}
