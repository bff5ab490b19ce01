// Optimizer steps and gradient reductions over part of a tensor: plain loops that compilers
// vectorise.
//
// The letters: w weight, g gradient, t step from 1. Every step begins with
//     g = (maximize ? -g : g) + weight_decay w
// Constants are worked out in double and rounded once.
#include <math.h>

#include "../optim.h"
#include "../platform.h"
#include "kernels.h"

#ifdef ML_DOUBLE
#define real_sqrt sqrt
#else
#define real_sqrt sqrtf
#endif

ML_INLINE ml_real sign_of(int maximize) { return maximize ? -1 : 1; }

// ---- steps ------------------------------------------------------------------------------------

// The switches are constants in each call below, so that each loop is compiled without branches.
ML_INLINE void sgd(const ml_param *part, const ml_sgd *c, int momentum, int first, int nesterov)
{
    ml_real *ML_RESTRICT w = part->value;
    const ml_real *ML_RESTRICT g = part->grad;
    ml_real *ML_RESTRICT v = part->state[0];
    const ml_real sign = sign_of(c->maximize), decay = (ml_real)c->weight_decay;
    const ml_real lr = (ml_real)c->lr, mu = (ml_real)c->momentum;
    const ml_real fresh = (ml_real)(1 - c->dampening);

    for (size_t i = 0; i < part->size; i++) {
        ml_real step = sign * g[i] + decay * w[i];
        if (momentum) {
            ml_real velocity = first ? step : mu * v[i] + fresh * step;
            v[i] = velocity;
            step = nesterov ? step + mu * velocity : velocity;
        }
        w[i] -= lr * step;
    }
}

// v = momentum v + (1 - dampening) g, and v = g in the first step
// w = w - lr v; Nesterov looks ahead: w = w - lr (g + momentum v)
void ML_KERNEL(sgd_step)(const ml_param *part, const void *config)
{
    const ml_sgd *c = config;
    if (part->state[0] == NULL)
        sgd(part, c, 0, 0, 0);
    else if (c->first)
        c->nesterov ? sgd(part, c, 1, 1, 1) : sgd(part, c, 1, 1, 0);
    else
        c->nesterov ? sgd(part, c, 1, 0, 1) : sgd(part, c, 1, 0, 0);
}

enum { QUIET = 64 }; // numbers that are looked at together

// 1 where nothing has ever moved: no gradient, and none remembered.
ML_INLINE int all_quiet(const ml_real *g, const ml_real *m, const ml_real *s)
{
    int moved = 0;
    for (size_t i = 0; i < QUIET; i++)
        moved |= (g[i] != 0) | (m[i] != 0) | (s[i] != 0);
    return !moved;
}

// m = m + (1 - beta1) (g - m)            the correction undoes that m and s started at 0
// s = beta2 s + (1 - beta2) g^2
// w = w - lr / (1 - beta1^t) m / (sqrt(s) / sqrt(1 - beta2^t) + eps)
// decoupled: w = (1 - lr weight_decay) w first, and g is taken without decay
//
// Where g, m and s are 0 and nothing decays, w stays, and is not read: of a large vocabulary most
// words have not been seen for a long time after the start.
void ML_KERNEL(adam_step)(const ml_param *part, const void *config)
{
    const ml_adam *c = config;
    ml_real *ML_RESTRICT w = part->value;
    const ml_real *ML_RESTRICT g = part->grad;
    ml_real *ML_RESTRICT m = part->state[0];
    ml_real *ML_RESTRICT s = part->state[1];
    const double t = (double)c->step;
    const ml_real sign = sign_of(c->maximize);
    const ml_real decay = c->decoupled ? 0 : (ml_real)c->weight_decay;
    const ml_real keep = c->decoupled ? (ml_real)(1 - c->lr * c->weight_decay) : 1;
    const ml_real fresh1 = (ml_real)(1 - c->beta1);
    const ml_real beta2 = (ml_real)c->beta2, fresh2 = (ml_real)(1 - c->beta2);
    const ml_real correct = (ml_real)(1 / sqrt(1 - pow(c->beta2, t)));
    const ml_real rate = (ml_real)(c->lr / (1 - pow(c->beta1, t)));
    const ml_real eps = (ml_real)c->eps;

    const int may_rest = decay == 0 && keep == 1 && eps > 0; // else 0 / 0
    for (size_t first = 0; first < part->size; first += QUIET) {
        const size_t end = part->size - first < QUIET ? part->size : first + QUIET;
        if (may_rest && end - first == QUIET && all_quiet(g + first, m + first, s + first))
            continue;
        for (size_t i = first; i < end; i++) {
            ml_real grad = sign * g[i] + decay * w[i];
            ml_real mean = m[i] + fresh1 * (grad - m[i]);
            ml_real square = beta2 * s[i] + fresh2 * (grad * grad);
            m[i] = mean;
            s[i] = square;
            w[i] = keep * w[i] - rate * (mean / (real_sqrt(square) * correct + eps));
        }
    }
}

// s = s + g^2
// w = w - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)
void ML_KERNEL(adagrad_step)(const ml_param *part, const void *config)
{
    const ml_adagrad *c = config;
    ml_real *ML_RESTRICT w = part->value;
    const ml_real *ML_RESTRICT g = part->grad;
    ml_real *ML_RESTRICT s = part->state[0];
    const ml_real sign = sign_of(c->maximize), decay = (ml_real)c->weight_decay;
    const ml_real rate = (ml_real)(c->lr / (1 + ((double)c->step - 1) * c->lr_decay));
    const ml_real eps = (ml_real)c->eps;

    for (size_t i = 0; i < part->size; i++) {
        ml_real grad = sign * g[i] + decay * w[i];
        ml_real sum = s[i] + grad * grad;
        s[i] = sum;
        w[i] -= rate * (grad / (real_sqrt(sum) + eps));
    }
}

ML_INLINE void rmsprop(const ml_param *part, const ml_rmsprop *c, int centered, int momentum)
{
    ml_real *ML_RESTRICT w = part->value;
    const ml_real *ML_RESTRICT g = part->grad;
    ml_real *ML_RESTRICT s = part->state[0];
    ml_real *ML_RESTRICT m = part->state[1];
    ml_real *ML_RESTRICT v = part->state[2];
    const ml_real sign = sign_of(c->maximize), decay = (ml_real)c->weight_decay;
    const ml_real alpha = (ml_real)c->alpha, fresh = (ml_real)(1 - c->alpha);
    const ml_real lr = (ml_real)c->lr, mu = (ml_real)c->momentum, eps = (ml_real)c->eps;

    for (size_t i = 0; i < part->size; i++) {
        ml_real grad = sign * g[i] + decay * w[i];
        ml_real square = alpha * s[i] + fresh * (grad * grad);
        s[i] = square;
        if (centered) {
            ml_real mean = m[i] + fresh * (grad - m[i]);
            ml_real variance = square - mean * mean;
            m[i] = mean;
            square = variance < 0 ? 0 : variance; // below 0 by rounding only
        }
        ml_real step = grad / (real_sqrt(square) + eps);
        if (momentum) {
            step += mu * v[i];
            v[i] = step;
        }
        w[i] -= lr * step;
    }
}

// s = alpha s + (1 - alpha) g^2;  centered: m = alpha m + (1 - alpha) g, and s - m^2 for s below
// v = momentum v + g / (sqrt(s) + eps)
// w = w - lr v
void ML_KERNEL(rmsprop_step)(const ml_param *part, const void *config)
{
    const ml_rmsprop *c = config;
    const int centered = part->state[1] != NULL;
    if (part->state[2] != NULL)
        centered ? rmsprop(part, c, 1, 1) : rmsprop(part, c, 0, 1);
    else
        centered ? rmsprop(part, c, 1, 0) : rmsprop(part, c, 0, 0);
}

// ---- gradients --------------------------------------------------------------------------------

void ML_KERNEL(grad_scale)(const ml_param *part, const void *config)
{
    const ml_real factor = (ml_real) * (const double *)config;
    ml_real *g = part->grad;
    for (size_t i = 0; i < part->size; i++)
        g[i] *= factor;
}

void ML_KERNEL(grad_clip)(const ml_param *part, const void *config)
{
    const ml_real limit = (ml_real) * (const double *)config;
    ml_real *g = part->grad;
    for (size_t i = 0; i < part->size; i++) {
        ml_real low = g[i] < -limit ? -limit : g[i];
        g[i] = low > limit ? limit : low;
    }
}

enum { SUMS = 16 }; // partial sums side by side, so that the loop over them is vectors

static double sum_lanes(const double *lanes)
{
    double sum = 0;
    for (int j = 0; j < SUMS; j++)
        sum += lanes[j];
    return sum;
}

static double sum_squares(const ml_real *g, size_t n)
{
    double lanes[SUMS] = {0};
    size_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
        for (int j = 0; j < SUMS; j++)
            lanes[j] += (double)g[i + (size_t)j] * (double)g[i + (size_t)j];
    for (; i < n; i++)
        lanes[i % SUMS] += (double)g[i] * (double)g[i];
    return sum_lanes(lanes);
}

static double sum_abs(const ml_real *g, size_t n)
{
    double lanes[SUMS] = {0};
    size_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
        for (int j = 0; j < SUMS; j++)
            lanes[j] += fabs((double)g[i + (size_t)j]);
    for (; i < n; i++)
        lanes[i % SUMS] += fabs((double)g[i]);
    return sum_lanes(lanes);
}

static double sum_powers(const ml_real *g, size_t n, double p)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += pow(fabs((double)g[i]), p);
    return sum;
}

static double max_abs(const ml_real *g, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        double size = fabs((double)g[i]);
        if (isnan(size))
            return size;
        largest = size > largest ? size : largest;
    }
    return largest;
}

// sum |g|^p, or the largest |g| for p = INFINITY; NaN if any is NaN
double ML_KERNEL(grad_sum)(const ml_param *part, double p)
{
    if (p == 2)
        return sum_squares(part->grad, part->size);
    if (p == 1)
        return sum_abs(part->grad, part->size);
    if (isinf(p))
        return max_abs(part->grad, part->size);
    return sum_powers(part->grad, part->size, p);
}
