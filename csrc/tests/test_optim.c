// Optimizer steps on odd sizes against the formulas in double, and the reductions over gradients.
#include "optim.h"

#include <stdlib.h>

#include "check.h"
#include "pool.h"

enum { ARRAYS = 5, SIZES = 6 };

// Below a vector, around one, and across the chunks that the work is cut into.
static const size_t sizes[SIZES] = {1, 0, 17, 127, 65536, 140001};

// Parameters with value, grad and three states, filled with reproducible numbers in [-1, 1).
typedef struct model {
    ml_param params[SIZES];
    ml_real *block;
} model;

static size_t total_size(void)
{
    size_t total = 0;
    for (size_t i = 0; i < SIZES; i++)
        total += sizes[i];
    return total;
}

static model make_model(void)
{
    model m = {.block = malloc(ARRAYS * total_size() * sizeof(ml_real))};
    if (m.block == NULL)
        abort();
    ml_real *at = m.block;
    for (size_t i = 0; i < SIZES; i++) {
        ml_real **arrays[ARRAYS] = {&m.params[i].value, &m.params[i].grad, &m.params[i].state[0],
                                    &m.params[i].state[1], &m.params[i].state[2]};
        for (size_t j = 0; j < ARRAYS; j++) {
            *arrays[j] = at;
            for (size_t k = 0; k < sizes[i]; k++)
                at[k] = (ml_real)((double)((k * 2654435761u + i * 97 + j * 31) % 2048) / 1024 - 1);
            at += sizes[i];
        }
        m.params[i].size = sizes[i];
    }
    return m;
}

// Squared gradients are never negative.
static void make_positive(model *m, int state)
{
    for (size_t i = 0; i < SIZES; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            m->params[i].state[state][k] =
                (ml_real)fabs((double)m->params[i].state[state][k]) + 0.1f;
}

static double largest_difference(const ml_real *got, const double *expected, size_t n)
{
    double largest = 0;
    for (size_t k = 0; k < n; k++)
        largest = fmax(largest, fabs((double)got[k] - expected[k]));
    return largest;
}

// ---- steps: one element in double beside the kernel -------------------------------------------

typedef double reference(ml_param p, size_t k, const void *config);

static double expect_sgd(ml_param p, size_t k, const void *config)
{
    const ml_sgd *c = config;
    double g = (c->maximize ? -1 : 1) * (double)p.grad[k] + c->weight_decay * p.value[k];
    if (p.state[0] != NULL) {
        double v = c->first ? g : c->momentum * p.state[0][k] + (1 - c->dampening) * g;
        g = c->nesterov ? g + c->momentum * v : v;
    }
    return p.value[k] - c->lr * g;
}

static double expect_adam(ml_param p, size_t k, const void *config)
{
    const ml_adam *c = config;
    double w = p.value[k], t = (double)c->step;
    double g = (c->maximize ? -1 : 1) * (double)p.grad[k];
    if (c->decoupled)
        w *= 1 - c->lr * c->weight_decay;
    else
        g += c->weight_decay * w;
    double m = c->beta1 * p.state[0][k] + (1 - c->beta1) * g;
    double s = c->beta2 * p.state[1][k] + (1 - c->beta2) * g * g;
    return w - c->lr * (m / (1 - pow(c->beta1, t))) / (sqrt(s / (1 - pow(c->beta2, t))) + c->eps);
}

static double expect_adagrad(ml_param p, size_t k, const void *config)
{
    const ml_adagrad *c = config;
    double g = (c->maximize ? -1 : 1) * (double)p.grad[k] + c->weight_decay * p.value[k];
    double s = p.state[0][k] + g * g;
    return p.value[k] - c->lr / (1 + ((double)c->step - 1) * c->lr_decay) * g / (sqrt(s) + c->eps);
}

static double expect_rmsprop(ml_param p, size_t k, const void *config)
{
    const ml_rmsprop *c = config;
    double g = (c->maximize ? -1 : 1) * (double)p.grad[k] + c->weight_decay * p.value[k];
    double s = c->alpha * p.state[0][k] + (1 - c->alpha) * g * g;
    if (p.state[1] != NULL) {
        double m = c->alpha * p.state[1][k] + (1 - c->alpha) * g;
        s -= m * m;
    }
    double v = g / (sqrt(s) + c->eps) + (p.state[2] != NULL ? c->momentum * p.state[2][k] : 0);
    return p.value[k] - c->lr * v;
}

typedef int step_fn(const ml_param *params, size_t count, const void *config, ml_error *err);

static int step_sgd(const ml_param *params, size_t count, const void *config, ml_error *err)
{
    return ml_sgd_step(params, count, config, err);
}

static int step_adam(const ml_param *params, size_t count, const void *config, ml_error *err)
{
    return ml_adam_step(params, count, config, err);
}

static int step_adagrad(const ml_param *params, size_t count, const void *config, ml_error *err)
{
    return ml_adagrad_step(params, count, config, err);
}

static int step_rmsprop(const ml_param *params, size_t count, const void *config, ml_error *err)
{
    return ml_rmsprop_step(params, count, config, err);
}

static void check_step(model *m, step_fn *step, reference *expect, const void *config)
{
    double *expected[SIZES];
    for (size_t i = 0; i < SIZES; i++) {
        expected[i] = malloc((sizes[i] + 1) * sizeof(double));
        if (expected[i] == NULL)
            abort();
        for (size_t k = 0; k < sizes[i]; k++)
            expected[i][k] = expect(m->params[i], k, config);
    }
    ml_error err = {0};
    CHECK(step(m->params, SIZES, config, &err) == ML_OK);
    for (size_t i = 0; i < SIZES; i++) {
        CHECK_CLOSE(largest_difference(m->params[i].value, expected[i], sizes[i]), 0, 2e-6);
        free(expected[i]);
    }
}

static void drop_state(model *m, int state)
{
    for (size_t i = 0; i < SIZES; i++)
        m->params[i].state[state] = NULL;
}

static void test_sgd(void)
{
    const ml_sgd configs[] = {
        {.lr = 0.1, .momentum = 0.9},
        {.lr = 0.1, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.01, .maximize = 1},
        {.lr = 0.1, .momentum = 0.9, .nesterov = 1},
        {.lr = 0.1, .momentum = 0.9, .dampening = 0.3, .first = 1},
        {.lr = 0.1, .momentum = 0.9, .nesterov = 1, .first = 1},
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        model m = make_model();
        check_step(&m, step_sgd, expect_sgd, &configs[i]);
        free(m.block);
    }
    model plain = make_model();
    drop_state(&plain, 0);
    check_step(&plain, step_sgd, expect_sgd, &(ml_sgd){.lr = 0.1, .weight_decay = 0.01});
    free(plain.block);
}

static void test_sgd_first_step_does_not_read_the_buffer(void)
{
    ml_real value = 1, grad = 0.5f, buffer = (ml_real)NAN;
    ml_param param = {&value, &grad, {&buffer}, 1};
    ml_error err = {0};
    const ml_sgd config = {.lr = 0.1, .momentum = 0.9, .first = 1};
    CHECK(ml_sgd_step(&param, 1, &config, &err) == ML_OK);
    CHECK_CLOSE(value, 0.95, 1e-7);
    CHECK_CLOSE(buffer, 0.5, 0);
}

static void test_adam(void)
{
    const ml_adam configs[] = {
        {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .step = 1},
        {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .step = 7},
        {.lr = 0.01,
         .beta1 = 0.5,
         .beta2 = 0.9,
         .eps = 1e-3,
         .weight_decay = 0.1,
         .decoupled = 1,
         .maximize = 1,
         .step = 1000000},
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        model m = make_model();
        make_positive(&m, 1);
        check_step(&m, step_adam, expect_adam, &configs[i]);
        free(m.block);
    }
}

static void test_adagrad(void)
{
    const ml_adagrad configs[] = {
        {.lr = 0.01, .eps = 1e-10, .step = 1},
        {.lr = 0.01, .lr_decay = 0.1, .eps = 1e-10, .weight_decay = 0.1, .maximize = 1, .step = 9},
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        model m = make_model();
        make_positive(&m, 0);
        check_step(&m, step_adagrad, expect_adagrad, &configs[i]);
        free(m.block);
    }
}

static void test_rmsprop(void)
{
    const ml_rmsprop config = {
        .lr = 0.01, .alpha = 0.9, .eps = 1e-2, .weight_decay = 0.1, .momentum = 0.9};
    for (int without = 0; without < 4; without++) { // bit 0: centering, bit 1: momentum
        model m = make_model();
        for (size_t i = 0; i < SIZES; i++) // the mean square stays above the squared mean
            for (size_t k = 0; k < sizes[i]; k++) {
                m.params[i].state[0][k] = 2;
                m.params[i].state[1][k] *= 0.5f;
            }
        if (without & 1)
            drop_state(&m, 1);
        if (without & 2)
            drop_state(&m, 2);
        check_step(&m, step_rmsprop, expect_rmsprop, &config);
        free(m.block);
    }
}

static void test_centered_rmsprop_survives_a_variance_below_zero(void)
{
    ml_real value = 1, grad = 1, square = 0.99f, mean = 1.0f;
    ml_param param = {&value, &grad, {&square, &mean}, 1};
    ml_error err = {0};
    const ml_rmsprop config = {.lr = 0.1, .alpha = 0.5, .eps = 1};
    CHECK(ml_rmsprop_step(&param, 1, &config, &err) == ML_OK);
    CHECK_CLOSE(value, 0.9, 1e-6);
}

static void test_steps_count_from_one(void)
{
    ml_error err = {0};
    CHECK(ml_adam_step(NULL, 0, &(ml_adam){.step = 0}, &err) == ML_ERR_VALUE);
    CHECK(strstr(err.message, "step") != NULL);
    CHECK(ml_adagrad_step(NULL, 0, &(ml_adagrad){.step = 0}, &err) == ML_ERR_VALUE);
}

static void test_same_bits_for_any_number_of_threads(void)
{
    const ml_adam config = {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .step = 3};
    ml_error err = {0};
    size_t before = ml_get_threads();
    model first = make_model();
    make_positive(&first, 1);
    double norm;
    CHECK(ml_set_threads(1, &err) == ML_OK);
    CHECK(ml_adam_step(first.params, SIZES, &config, &err) == ML_OK);
    CHECK(ml_grad_norm(first.params, SIZES, 2, &norm, &err) == ML_OK);
    for (size_t threads = 2; threads <= 3; threads++) {
        model again = make_model();
        make_positive(&again, 1);
        double again_norm;
        CHECK(ml_set_threads(threads, &err) == ML_OK);
        CHECK(ml_adam_step(again.params, SIZES, &config, &err) == ML_OK);
        CHECK(ml_grad_norm(again.params, SIZES, 2, &again_norm, &err) == ML_OK);
        CHECK(memcmp(first.block, again.block, ARRAYS * total_size() * sizeof(ml_real)) == 0);
        CHECK(norm == again_norm);
        free(again.block);
    }
    CHECK(ml_set_threads(before, &err) == ML_OK);
    free(first.block);
}

// ---- gradients --------------------------------------------------------------------------------

static double naive_norm(const model *m, double p)
{
    double sum = 0, largest = 0;
    for (size_t i = 0; i < SIZES; i++)
        for (size_t k = 0; k < sizes[i]; k++) {
            double size = fabs((double)m->params[i].grad[k]);
            sum += pow(size, p);
            largest = fmax(largest, size);
        }
    return isinf(p) ? largest : pow(sum, 1 / p);
}

static void test_grad_norm(void)
{
    const double powers[] = {1, 2, 3, 0.5, INFINITY};
    ml_error err = {0};
    model m = make_model();
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
        double norm, expected = naive_norm(&m, powers[i]);
        CHECK(ml_grad_norm(m.params, SIZES, powers[i], &norm, &err) == ML_OK);
        CHECK_CLOSE(norm / expected, 1, 1e-12);
    }
    free(m.block);
}

static void test_grad_norm_of_nothing_is_zero(void)
{
    double norm = 1;
    ml_error err = {0};
    CHECK(ml_grad_norm(NULL, 0, 2, &norm, &err) == ML_OK);
    CHECK(norm == 0);
}

static void test_grad_norm_does_not_hide_what_is_not_finite(void)
{
    const double powers[] = {1, 2, 3, INFINITY};
    ml_error err = {0};
    model m = make_model();
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
        double norm;
        m.params[5].grad[100000] = (ml_real)-INFINITY;
        CHECK(ml_grad_norm(m.params, SIZES, powers[i], &norm, &err) == ML_OK);
        CHECK(isinf(norm) && norm > 0);
        m.params[5].grad[100000] = (ml_real)NAN;
        CHECK(ml_grad_norm(m.params, SIZES, powers[i], &norm, &err) == ML_OK);
        CHECK(isnan(norm));
    }
    free(m.block);
}

static void test_grad_norm_refuses_an_order_that_is_no_norm(void)
{
    const double powers[] = {0, -1, NAN};
    double norm;
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
        ml_error err = {0};
        CHECK(ml_grad_norm(NULL, 0, powers[i], &norm, &err) == ML_ERR_VALUE);
        CHECK(strstr(err.message, "norm_type") != NULL);
    }
}

static void test_grad_scale(void)
{
    model m = make_model(), kept = make_model();
    ml_error err = {0};
    CHECK(ml_grad_scale(m.params, SIZES, 0.25, &err) == ML_OK);
    for (size_t i = 0; i < SIZES; i++) {
        size_t wrong = 0;
        for (size_t k = 0; k < sizes[i]; k++)
            wrong += m.params[i].grad[k] != kept.params[i].grad[k] / 4;
        CHECK(wrong == 0);
    }
    free(m.block);
    free(kept.block);
}

static void test_grad_clip(void)
{
    ml_real grad[] = {-2, -0.5f, 0, 0.25f, 3, (ml_real)NAN, (ml_real)INFINITY};
    const ml_param param = {.grad = grad, .size = 7};
    ml_error err = {0};
    CHECK(ml_grad_clip(&param, 1, 0.5, &err) == ML_OK);
    const double expected[] = {-0.5, -0.5, 0, 0.25, 0.5};
    for (size_t k = 0; k < 5; k++)
        CHECK_CLOSE(grad[k], expected[k], 0);
    CHECK(isnan(grad[5]));
    CHECK_CLOSE(grad[6], 0.5, 0);
    CHECK(ml_grad_clip(&param, 1, -1, &err) == ML_ERR_VALUE);
    CHECK(ml_grad_clip(&param, 1, NAN, &err) == ML_ERR_VALUE);
}

int main(void)
{
    RUN(test_sgd);
    RUN(test_sgd_first_step_does_not_read_the_buffer);
    RUN(test_adam);
    RUN(test_adagrad);
    RUN(test_rmsprop);
    RUN(test_centered_rmsprop_survives_a_variance_below_zero);
    RUN(test_steps_count_from_one);
    RUN(test_same_bits_for_any_number_of_threads);
    RUN(test_grad_norm);
    RUN(test_grad_norm_of_nothing_is_zero);
    RUN(test_grad_norm_does_not_hide_what_is_not_finite);
    RUN(test_grad_norm_refuses_an_order_that_is_no_norm);
    RUN(test_grad_scale);
    RUN(test_grad_clip);
    return check_report();
}
