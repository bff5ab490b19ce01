// Every layer of the table against finite differences, and what its backward pass promises.
#include "layer_cases.h"

enum { MAX_GRADIENTS = CASE_MAX_PARAMS + ML_MAX_INPUTS };

// An array that has a gradient.
typedef struct pair {
    char name[80];
    ml_array *value, *grad;
} pair;

static size_t list_pairs(layer_run *run, pair *pairs)
{
    size_t n = 0;
    for (size_t i = 0; i < run->layer->inputs; i++)
        if (has_gradient(run, i)) {
            pairs[n] = (pair){.value = &run->call.input[i], .grad = &run->call.grad_input[i]};
            snprintf(pairs[n++].name, sizeof pairs->name, "%s", run->layer->input[i].name);
        }
    for (size_t i = 0; i < run->params; i++) {
        ml_param_spec spec;
        run->layer->describe(run->layer, run->config, i, &spec);
        pairs[n] = (pair){.value = &run->param[i], .grad = &run->grad_param[i]};
        snprintf(pairs[n++].name, sizeof pairs->name, "%s", spec.name);
    }
    return n;
}

// A run after forward, with gradients of its outputs and room for its own.
static int open_for_backward(layer_run *run, const layer_case *c)
{
    if (!CHECK_CASE(c, run_open(run, c, 1) == ML_OK) || !CHECK_CASE(c, run_forward(run) == ML_OK)) {
        run_close(run);
        return 0;
    }
    run_make_grad_outputs(run);
    run_make_gradients(run);
    return 1;
}

static double *copy_of(const ml_array *array)
{
    size_t bytes = ml_array_size(array) * sizeof(double);
    return memcpy(nan_block(bytes), array->data, bytes);
}

static int same_bits(const ml_array *array, const double *values)
{
    return memcmp(array->data, values, ml_array_size(array) * sizeof *values) == 0;
}

// ---- finite differences -----------------------------------------------------------------------

// L = sum over all outputs of output * its gradient: so the gradient of L is what backward
// computes.
static double objective(layer_run *run)
{
    double sum = 0;
    CHECK_CASE(run->c, run_forward(run) == ML_OK);
    for (size_t i = 0; i < run->layer->outputs; i++) {
        const double *y = run->call.output[i].data, *dy = run->call.grad_output[i].data;
        for (size_t k = 0; k < ml_array_size(&run->call.output[i]); k++)
            sum += y[k] * dy[k];
    }
    return sum;
}

// dL/dx by the formula of fourth order: (8 (L(x+h) - L(x-h)) - (L(x+2h) - L(x-2h))) / 12 h
static double difference(layer_run *run, double *x)
{
    const double h = 1e-4, at = *x;
    const double step[4] = {h, -h, 2 * h, -2 * h}, factor[4] = {8, -8, -1, 1};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *x = at + step[i];
        sum += factor[i] * objective(run);
    }
    *x = at;
    return sum / (12 * h);
}

// Relative to the largest gradient of the array: a small one beside it carries its rounding.
static void check_pair(layer_run *run, const pair *p)
{
    const double *grad = p->grad->data;
    double largest = 0, error = 0;
    for (size_t k = 0; k < ml_array_size(p->value); k++) {
        double expected = difference(run, (double *)p->value->data + k);
        double off = fabs(grad[k] - expected);
        largest = fmax(largest, fabs(expected));
        error = off > error || off != off ? off : error;
    }
    if (!CHECK(error <= 1e-6 * largest + 1e-11))
        fprintf(stderr, "    in %s, %s: gradient of %s is off by %.3g of %.3g\n", run->c->kind,
                run->c->name, p->name, error, largest);
}

static void check_gradients(const layer_case *c)
{
    layer_run run;
    pair pairs[MAX_GRADIENTS];
    if (!open_for_backward(&run, c))
        return;
    if (CHECK_CASE(c, run_backward(&run) == ML_OK)) {
        size_t n = list_pairs(&run, pairs);
        for (size_t i = 0; i < n; i++)
            check_pair(&run, &pairs[i]);
    }
    run_close(&run);
}

static void test_gradients_equal_finite_differences(void) { for_each_case(check_gradients); }

// The row of padding_idx is held back on purpose: its gradient is 0, the others are as without.
static void test_padding_gets_no_gradient(void)
{
    enum { ROWS = 7, E = 5, PADDING = 2 };
    layer_case with = {
        .name = "padding",
        .kind = "embedding",
        .setting = {{"num_embeddings", ROWS}, {"embedding_dim", E}, {"padding_idx", PADDING}},
        .input = {AXES(19)},
        .classes = ROWS,
        .ignored = PADDING};
    layer_case without = with;
    without.setting[2].value = -1;
    layer_run a, b;
    if (!open_for_backward(&a, &with) || !open_for_backward(&b, &without))
        return;
    CHECK(run_backward(&a) == ML_OK && run_backward(&b) == ML_OK);
    const double *grad = a.grad_param[0].data, *all = b.grad_param[0].data;
    for (size_t i = 0; i < ROWS * E; i++)
        CHECK(grad[i] == (i / E == PADDING ? 0 : all[i]));
    run_close(&a);
    run_close(&b);
}

// ---- every kind -------------------------------------------------------------------------------

static const char *wanted_kind;
static size_t cases_of_kind;

static void count_case(const layer_case *c) { cases_of_kind += strcmp(c->kind, wanted_kind) == 0; }

static void test_every_kind_has_a_case(void)
{
    for (const ml_layer *const *layer = ml_layers(); *layer != NULL; layer++) {
        wanted_kind = (*layer)->name;
        cases_of_kind = 0;
        for_each_case(count_case);
        if (!CHECK(cases_of_kind > 0))
            fprintf(stderr, "    %s has no row in layer_cases.h\n", wanted_kind);
    }
}

// ---- what backward promises -------------------------------------------------------------------

static void check_accumulate(const layer_case *c)
{
    layer_run run;
    if (!open_for_backward(&run, c))
        return;
    CHECK_CASE(c, run_backward(&run) == ML_OK);
    for (size_t i = 0; i < run.params; i++) {
        double *expected = copy_of(&run.grad_param[i]), *grad = run.grad_param[i].data;
        for (size_t k = 0; k < ml_array_size(&run.grad_param[i]); k++)
            grad[k] = 2;
        run.accumulate[i] = 1;
        CHECK_CASE(c, run_backward(&run) == ML_OK);
        double error = 0;
        for (size_t k = 0; k < ml_array_size(&run.grad_param[i]); k++)
            error = fmax(error, fabs(grad[k] - 2 - expected[k]));
        CHECK_CASE(c, error < 1e-12);
        run.accumulate[i] = 0;
        free(expected);
    }
    run_close(&run);
}

static void test_accumulate_adds(void) { for_each_case(check_accumulate); }

// Each gradient alone must be what it is together with the others.
static void check_alone(const layer_case *c)
{
    layer_run run;
    pair pairs[MAX_GRADIENTS];
    void *data[MAX_GRADIENTS];
    if (!open_for_backward(&run, c))
        return;
    CHECK_CASE(c, run_backward(&run) == ML_OK);
    size_t n = list_pairs(&run, pairs);
    for (size_t i = 0; i < n; i++) {
        data[i] = pairs[i].grad->data;
        pairs[i].grad->data = NULL;
    }
    CHECK_CASE(c, run_backward(&run) == ML_OK); // nothing is wanted
    for (size_t i = 0; i < n; i++) {
        pairs[i].grad->data = data[i];
        double *expected = copy_of(pairs[i].grad);
        memset(data[i], 0xff, ml_array_size(pairs[i].grad) * sizeof *expected);
        CHECK_CASE(c, run_backward(&run) == ML_OK);
        CHECK_CASE(c, same_bits(pairs[i].grad, expected));
        pairs[i].grad->data = NULL;
        free(expected);
    }
    for (size_t i = 0; i < n; i++)
        pairs[i].grad->data = data[i];
    run_close(&run);
}

static void test_gradients_that_nobody_wants_are_skipped(void) { for_each_case(check_alone); }

static void check_second_backward(const layer_case *c)
{
    layer_run run;
    pair pairs[MAX_GRADIENTS];
    double *first[MAX_GRADIENTS];
    if (!open_for_backward(&run, c))
        return;
    CHECK_CASE(c, run_backward(&run) == ML_OK);
    size_t n = list_pairs(&run, pairs);
    for (size_t i = 0; i < n; i++)
        first[i] = copy_of(pairs[i].grad);
    CHECK_CASE(c, run_backward(&run) == ML_OK);
    for (size_t i = 0; i < n; i++) {
        CHECK_CASE(c, same_bits(pairs[i].grad, first[i]));
        free(first[i]);
    }
    run_close(&run);
}

static void test_a_second_backward_gives_the_same(void) { for_each_case(check_second_backward); }

// Where a layer has several outputs, those without a gradient count as zero.
static void check_missing_grad_output(const layer_case *c)
{
    layer_run run;
    pair pairs[MAX_GRADIENTS];
    double *expected[MAX_GRADIENTS];
    if (!open_for_backward(&run, c))
        return;
    size_t n = list_pairs(&run, pairs);
    for (size_t out = 0; out < run.layer->outputs && run.layer->outputs > 1; out++) {
        ml_array *grad = &run.call.grad_output[out];
        double *data = grad->data, *given = copy_of(grad);
        memset(data, 0, ml_array_size(grad) * sizeof *data);
        CHECK_CASE(c, run_backward(&run) == ML_OK);
        for (size_t i = 0; i < n; i++)
            expected[i] = copy_of(pairs[i].grad);
        grad->data = NULL;
        CHECK_CASE(c, run_backward(&run) == ML_OK);
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < ml_array_size(pairs[i].grad); k++)
                CHECK_CASE(c, ((double *)pairs[i].grad->data)[k] == expected[i][k]); // 0 is -0
            free(expected[i]);
        }
        grad->data = memcpy(data, given, ml_array_size(grad) * sizeof *data);
        free(given);
    }
    run_close(&run);
}

static void test_a_missing_gradient_of_an_output_is_zero(void)
{
    for_each_case(check_missing_grad_output);
}

static void check_without_gradients(const layer_case *c)
{
    layer_run with, without;
    int opened = run_open(&with, c, 1) == ML_OK;
    opened = run_open(&without, c, 0) == ML_OK && opened;
    if (CHECK_CASE(c, opened)) {
        CHECK_CASE(c, run_forward(&with) == ML_OK && run_forward(&without) == ML_OK);
        for (size_t i = 0; i < with.layer->outputs; i++)
            CHECK_CASE(c, same_bits(&with.call.output[i], without.call.output[i].data));
    }
    run_close(&with);
    run_close(&without);
}

static void test_forward_is_the_same_without_gradients(void)
{
    for_each_case(check_without_gradients);
}

int main(void)
{
    RUN(test_every_kind_has_a_case);
    RUN(test_gradients_equal_finite_differences);
    RUN(test_padding_gets_no_gradient);
    RUN(test_accumulate_adds);
    RUN(test_gradients_that_nobody_wants_are_skipped);
    RUN(test_a_second_backward_gives_the_same);
    RUN(test_a_missing_gradient_of_an_output_is_zero);
    RUN(test_forward_is_the_same_without_gradients);
    return check_report();
}
