// Head and loss in one against the plain loop in double: with more rows than a group, more classes
// than all slices have blocks, and more features than one group's limit.
#include "layer_case.h"

#include "linear_cross_entropy.h"

enum { ROWS = 421, IGNORED = -7 }; // more than two groups of 192, and not a multiple

// Reads element i of an array of reals.
static double real_at(const ml_array *array, size_t i)
{
    return (double)((ml_real *)array->data)[i];
}

// What the plain loop works on and leaves.
typedef struct plain {
    size_t N, I, V;
    double smoothing;
    double loss;
    double *dx, *dweight, *dbias; // (N, I), (V, I), (V)
    double *p;                    // (V): of one row
} plain;

static double *zeros(size_t count)
{
    double *x = calloc(count, sizeof *x);
    if (x == NULL)
        abort();
    return x;
}

static double class_weight(const layer_run *run, size_t c)
{
    const ml_array *weight = &run->call.input[2];
    return weight->data != NULL ? real_at(weight, c) : 1;
}

// The scores of a row, then their softmax; returns sum_c q_c (log sum exp - score_c), q being the
// target distribution of the row, which is left in `q`.
static double plain_row(const layer_run *run, plain *s, size_t n, size_t target, double *q)
{
    const ml_array *x = &run->call.input[0], *w = &run->param[0], *b = &run->param[1];
    double top = -INFINITY, sum = 0, loss = 0;
    for (size_t c = 0; c < s->V; c++) {
        s->p[c] = run->params > 1 ? real_at(b, c) : 0;
        for (size_t i = 0; i < s->I; i++)
            s->p[c] += real_at(x, n * s->I + i) * real_at(w, c * s->I + i);
        top = fmax(top, s->p[c]);
        q[c] = s->smoothing / (double)s->V * class_weight(run, c);
    }
    q[target] += (1 - s->smoothing) * class_weight(run, target);
    for (size_t c = 0; c < s->V; c++)
        sum += exp(s->p[c] - top);
    for (size_t c = 0; c < s->V; c++) {
        loss += q[c] * (top + log(sum) - s->p[c]);
        s->p[c] = exp(s->p[c] - top) / sum;
    }
    return loss;
}

// dscore_c = p_c sum q - q_c, and what follows from it
static void plain_gradients(const layer_run *run, plain *s, size_t n, const double *q)
{
    const ml_array *x = &run->call.input[0], *w = &run->param[0];
    double all = 0;
    for (size_t c = 0; c < s->V; c++)
        all += q[c];
    for (size_t c = 0; c < s->V; c++) {
        const double d = s->p[c] * all - q[c];
        s->dbias[c] += d;
        for (size_t i = 0; i < s->I; i++) {
            s->dx[n * s->I + i] += d * real_at(w, c * s->I + i);
            s->dweight[c * s->I + i] += d * real_at(x, n * s->I + i);
        }
    }
}

static plain compute_plain(const layer_run *run, double smoothing)
{
    const size_t N = run->call.input[0].shape[0], I = run->call.input[0].shape[1];
    const size_t V = run->param[0].shape[0];
    plain s = {N, I, V, smoothing, 0, zeros(N * I), zeros(V * I), zeros(V), zeros(V)};
    double *q = zeros(V), denominator = 0;
    const int64_t *target = run->call.input[1].data;
    for (size_t n = 0; n < N; n++) {
        if (target[n] == IGNORED)
            continue;
        denominator += class_weight(run, (size_t)target[n]);
        s.loss += plain_row(run, &s, n, (size_t)target[n], q);
        plain_gradients(run, &s, n, q);
    }
    s.loss /= denominator;
    for (size_t i = 0; i < N * I; i++)
        s.dx[i] /= denominator;
    for (size_t i = 0; i < V * I; i++)
        s.dweight[i] /= denominator;
    for (size_t c = 0; c < V; c++)
        s.dbias[c] /= denominator;
    free(q);
    return s;
}

// The largest difference, as a part of the largest number.
static double off_by(const ml_array *got, const double *expected)
{
    double error = 0, largest = 0;
    for (size_t i = 0; i < ml_array_size(got); i++) {
        const double off = fabs(real_at(got, i) - expected[i]);
        error = off <= error ? error : off; // a NaN stays
        largest = fmax(largest, fabs(expected[i]));
    }
    return error / largest;
}

static void check_against_plain(const layer_case *c, double smoothing)
{
    layer_run run;
    if (!CHECK_CASE(c, run_open(&run, c, 1) == ML_OK && run_forward(&run) == ML_OK))
        return;
    ml_same_shape(&run.call.grad_output[0], &run.call.output[0]);
    nan_array(&run.call.grad_output[0]);
    *(ml_real *)run.call.grad_output[0].data = 1;
    run_make_gradients(&run);
    CHECK_CASE(c, run_backward(&run) == ML_OK);

    plain s = compute_plain(&run, smoothing);
    const double loss = real_at(&run.call.output[0], 0);
    CHECK_CASE(c, fabs(loss - s.loss) <= 1e-5 * fabs(s.loss));
    CHECK_CASE(c, off_by(&run.call.grad_input[0], s.dx) < 2e-5);
    CHECK_CASE(c, off_by(&run.grad_param[0], s.dweight) < 2e-5);
    if (run.params > 1)
        CHECK_CASE(c, off_by(&run.grad_param[1], s.dbias) < 2e-5);
    free(s.dx);
    free(s.dweight);
    free(s.dbias);
    free(s.p);
    run_close(&run);
}

enum { CLASSES = ML_HEAD_SLICES * ML_HEAD_CLASSES + 133 };

static void test_more_rows_than_a_group(void)
{
    const layer_case c = {.name = "several groups",
                          .kind = "linear_cross_entropy",
                          .setting = {{"in_features", 19}, {"out_features", CLASSES}},
                          .input = {AXES(ROWS, 19), AXES(ROWS)},
                          .classes = CLASSES};
    check_against_plain(&c, 0);
}

static void test_all_settings(void)
{
    const layer_case c = {.name = "all settings",
                          .kind = "linear_cross_entropy",
                          .setting = {{"in_features", 7},
                                      {"out_features", CLASSES},
                                      {"label_smoothing", 0.2},
                                      {"ignore_index", IGNORED}},
                          .input = {AXES(ROWS, 7), AXES(ROWS), AXES(CLASSES)},
                          .classes = CLASSES,
                          .ignored = IGNORED};
    check_against_plain(&c, 0.2);
}

// Above 256 features a group has 96 rows.
static void test_many_features(void)
{
    const layer_case c = {
        .name = "many features",
        .kind = "linear_cross_entropy",
        .setting = {{"in_features", 259}, {"out_features", 101}, {"bias", 0}},
        .input = {AXES(203, 259), AXES(203)},
        .classes = 101,
    };
    check_against_plain(&c, 0);
}

// The mean of no rows is 0 / 0, but no row asks for anything.
static void test_all_rows_ignored(void)
{
    const layer_case c = {.name = "all rows ignored",
                          .kind = "linear_cross_entropy",
                          .setting = {{"in_features", 3}, {"out_features", 5}, {"ignore_index", 2}},
                          .input = {AXES(4, 3), AXES(4)},
                          .classes = 1};
    layer_run run;
    if (!CHECK(run_open(&run, &c, 1) == ML_OK))
        return;
    for (size_t n = 0; n < 4; n++)
        ((int64_t *)run.call.input[1].data)[n] = 2;
    CHECK(run_forward(&run) == ML_OK);
    CHECK(isnan(real_at(&run.call.output[0], 0)));
    ml_same_shape(&run.call.grad_output[0], &run.call.output[0]);
    nan_array(&run.call.grad_output[0]);
    *(ml_real *)run.call.grad_output[0].data = 1;
    run_make_gradients(&run);
    CHECK(run_backward(&run) == ML_OK);
    for (size_t i = 0; i < 12; i++)
        CHECK(real_at(&run.call.grad_input[0], i) == 0);
    for (size_t i = 0; i < 15; i++)
        CHECK(real_at(&run.grad_param[0], i) == 0);
    for (size_t i = 0; i < 5; i++)
        CHECK(real_at(&run.grad_param[1], i) == 0);
    run_close(&run);
}

int main(void)
{
    RUN(test_more_rows_than_a_group);
    RUN(test_all_settings);
    RUN(test_many_features);
    RUN(test_all_rows_ignored);
    return check_report();
}
