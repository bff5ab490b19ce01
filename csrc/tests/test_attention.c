// Attention in float against plain loops, at sizes about those of its blocks, tiles and vectors; and the
// transposition of every instruction set.
#include "layer_case.h"

#include "kernels/kernels.h"
#include "platform.h"

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

// ---- plain loops ------------------------------------------------------------------------------

// One batch and one head: query (Tq, D), key (Tk, D), value (Tk, Dv).
typedef struct plain {
    size_t Tq, Tk, D, Dv;
    ptrdiff_t reach; // query i sees key j where j <= i + reach
    double *p;       // (Tq, Tk)
} plain;

static double dot(size_t n, const float *x, const float *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

static void make_probabilities(plain *a, double scale, const float *q, const float *k)
{
    for (size_t i = 0; i < a->Tq; i++) {
        double top = -1e300, sum = 0, *p = a->p + i * a->Tk;
        for (size_t j = 0; j < a->Tk; j++) {
            p[j] = scale * dot(a->D, q + i * a->D, k + j * a->D);
            top = fmax(top, p[j]);
        }
        for (size_t j = 0; j < a->Tk; j++) {
            p[j] = (ptrdiff_t)j <= (ptrdiff_t)i + a->reach ? exp(p[j] - top) : 0;
            sum += p[j];
        }
        for (size_t j = 0; j < a->Tk && sum > 0; j++)
            p[j] /= sum;
    }
}

// Largest difference of `actual` (rows, columns) from sum_k left[row][k] right[k][column], either of
// them transposed where its numbers from one to the next say so.
static double error_of(const float *actual, size_t rows, size_t columns, size_t depth,
                       const double *left, size_t row, size_t step, const float *right)
{
    double largest = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            double sum = 0;
            for (size_t n = 0; n < depth; n++)
                sum += left[i * row + n * step] * (double)right[n * columns + j];
            double off = fabs((double)actual[i * columns + j] - sum);
            largest = off <= largest ? largest : off; // a NaN counts
        }
    return largest;
}

// ds in the place of p
static void make_grad_scores(plain *a, double scale, const float *grad_o, const float *v)
{
    for (size_t i = 0; i < a->Tq; i++) {
        double delta = 0, *p = a->p + i * a->Tk;
        for (size_t j = 0; j < a->Tk; j++)
            delta += p[j] * dot(a->Dv, grad_o + i * a->Dv, v + j * a->Dv);
        for (size_t j = 0; j < a->Tk; j++)
            p[j] *= scale * (dot(a->Dv, grad_o + i * a->Dv, v + j * a->Dv) - delta);
    }
}

static void check_sizes(size_t Tq, size_t Tk, size_t D, size_t Dv, int causal, int to_end)
{
    const layer_case c = {
        .name = "sizes",
        .kind = "attention",
        .setting = {{"scale", 0.7}, {"causal", causal}, {"aligned_to_end", to_end}},
        .input = {AXES(1, 1, Tq, D), AXES(1, 1, Tk, D), AXES(1, 1, Tk, Dv)}};
    layer_run run;
    if (!CHECK_CASE(&c, run_open(&run, &c, 1) == ML_OK && run_forward(&run) == ML_OK))
        return;
    run_make_grad_outputs(&run);
    run_make_gradients(&run);
    CHECK_CASE(&c, run_backward(&run) == ML_OK);
    const float *q = run.call.input[0].data, *k = run.call.input[1].data;
    const float *v = run.call.input[2].data, *grad_o = run.call.grad_output[0].data;
    ml_array *grad = run.call.grad_input;

    ptrdiff_t reach = !causal ? (ptrdiff_t)Tk : to_end ? (ptrdiff_t)Tk - (ptrdiff_t)Tq : 0;
    plain a = {Tq, Tk, D, Dv, reach, nan_block(Tq * Tk * sizeof(double))};
    make_probabilities(&a, 0.7, q, k);
    double off[4] = {error_of(run.call.output[0].data, Tq, Dv, Tk, a.p, Tk, 1, v),
                     error_of(grad[2].data, Tk, Dv, Tq, a.p, 1, Tk, grad_o)};
    make_grad_scores(&a, 0.7, grad_o, v);
    off[2] = error_of(grad[0].data, Tq, D, Tk, a.p, Tk, 1, k);
    off[3] = error_of(grad[1].data, Tk, D, Tq, a.p, 1, Tk, q);
    for (size_t i = 0; i < 4; i++)
        if (!CHECK(off[i] < 2e-5))
            fprintf(stderr, "    Tq %zu, Tk %zu, D %zu, Dv %zu, causal %d %d: %zu is off by %g\n",
                    Tq, Tk, D, Dv, causal, to_end, i, off[i]);
    free(a.p);
    run_close(&run);
}

static void test_sizes_about_a_block(void)
{
    static const size_t time[] = {1, 2, 6, 7, 63, 64, 65, 70, 129};
    static const size_t size[][2] = {{1, 1}, {7, 16}, {16, 5}, {33, 32}};
    enum { TIMES = sizeof time / sizeof *time, SIZES = sizeof size / sizeof *size };
    for (size_t i = 0; i < TIMES; i++)
        for (size_t j = 0; j < TIMES; j++) {
            const size_t *d = size[(i + j) % SIZES];
            check_sizes(time[i], time[j], d[0], d[1], 0, 0);
            check_sizes(time[i], time[j], d[0], d[1], 1, 0);
            check_sizes(time[i], time[j], d[0], d[1], 1, 1);
        }
}

// Rows of one head are the same numbers for any length, so what is read of the longer array shows.
static void test_room_behind_the_keys_is_not_read(void)
{
    enum { KEYS = 70, ROOM = 30, D = 8 };
    for (size_t queries = 1; queries <= 66; queries += 65) {
        layer_case c = {
            .name = "room",
            .kind = "attention",
            .setting = {{"scale", 0.7}, {"causal", 1}, {"aligned_to_end", 1}, {"need_weights", 1}},
            .input = {AXES(1, 1, queries, D), AXES(1, 1, KEYS, D), AXES(1, 1, KEYS, D)}};
        layer_case with_room = c;
        with_room.setting[4].name = "key_time";
        with_room.setting[4].value = KEYS;
        with_room.input[1].shape[2] = with_room.input[2].shape[2] = KEYS + ROOM;
        layer_run run, other;
        if (!CHECK_CASE(&c, run_open(&run, &c, 0) == ML_OK && run_forward(&run) == ML_OK) ||
            !CHECK_CASE(&c, run_open(&other, &with_room, 0) == ML_OK))
            return;
        for (size_t i = 1; i < 3; i++)
            memset((float *)other.call.input[i].data + KEYS * D, 0xff, ROOM * D * sizeof(float));
        CHECK_CASE(&c, run_forward(&other) == ML_OK);
        for (size_t i = 0; i < 2; i++) {
            const ml_array *a = &run.call.output[i], *b = &other.call.output[i];
            CHECK(ml_array_size(a) == ml_array_size(b) &&
                  memcmp(a->data, b->data, ml_array_size(a) * sizeof(float)) == 0);
        }
        run_close(&run);
        run_close(&other);
        CHECK(run_open(&other, &with_room, 1) == ML_ERR_VALUE); // it has no gradient
        run_close(&other);
        with_room.setting[4].value = KEYS + ROOM + 1;
        CHECK(run_open(&other, &with_room, 0) == ML_ERR_SHAPE);
        run_close(&other);
    }
}

static void check_transpose(const ml_kernels *kernels, size_t rows, size_t columns)
{
    enum { FROM = 3, WIDTH = 2 }; // numbers between rows beyond what they hold
    const size_t from_row = columns + FROM, width = rows + WIDTH;
    float *from = nan_block(rows * from_row * sizeof *from);
    float *to = nan_block(columns * width * sizeof *to);
    for (size_t i = 0; i < rows * from_row; i++)
        from[i] = (float)i;
    kernels->transpose(rows, columns, from, from_row, 2, to, width, width);
    size_t wrong = 0;
    for (size_t i = 0; i < width; i++)
        for (size_t j = 0; j < columns; j++)
            wrong += to[j * width + i] != (i < rows ? 2 * from[i * from_row + j] : 0);
    CHECK(wrong == 0);
    free(from);
    free(to);
}

static void test_transpose(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (size_t rows = 1; rows < 20 && ml_cpu_supports(tables[t]->isa); rows++)
            for (size_t columns = 1; columns < 20; columns++)
                check_transpose(tables[t], rows, columns);
}

int main(void)
{
    RUN(test_transpose);
    RUN(test_sizes_about_a_block);
    RUN(test_room_behind_the_keys_is_not_read);
    return check_report();
}
