// Optimizers and gradient clipping: each call serves all tensors of a model.
//
// Memory is passed over once, in chunks cut by shape alone; bits do not depend on threads. A step
// that fails has changed nothing. The formulas stand in kernels/optim.c, above their loops.
#ifndef ML_OPTIM_H
#define ML_OPTIM_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "real.h"

// One parameter with what its step reads and writes; (size,) each, none overlapping another.
typedef struct ml_param {
    ml_real *value;    // NULL where only the gradient matters: norm, scale, clip
    ml_real *grad;     // read by the steps, written by scale and clip
    ml_real *state[3]; // what the optimizer remembers, as said below; NULL where unused
    size_t size;
} ml_param;

// state[0]: momentum buffer, or NULL without momentum.
typedef struct ml_sgd {
    double lr, momentum, dampening, weight_decay;
    int nesterov, maximize;
    int first; // the buffer is written without having been read
} ml_sgd;
int ml_sgd_step(const ml_param *params, size_t count, const ml_sgd *config, ml_error *err);

// state[0]: running mean of the gradient; state[1]: of its square. Both start at 0.
typedef struct ml_adam {
    double lr, beta1, beta2, eps, weight_decay;
    int decoupled; // AdamW: decay shrinks the weights and leaves the gradient alone
    int maximize;
    uint64_t step; // counted from 1
} ml_adam;
int ml_adam_step(const ml_param *params, size_t count, const ml_adam *config, ml_error *err);

// state[0]: sum of squared gradients.
typedef struct ml_adagrad {
    double lr, lr_decay, eps, weight_decay;
    int maximize;
    uint64_t step; // counted from 1
} ml_adagrad;
int ml_adagrad_step(const ml_param *params, size_t count, const ml_adagrad *config, ml_error *err);

// state[0]: running mean of the squared gradient; state[1]: of the gradient, or NULL when not
// centered; state[2]: momentum buffer, or NULL without momentum. All start at 0.
typedef struct ml_rmsprop {
    double lr, alpha, eps, weight_decay, momentum;
    int maximize;
} ml_rmsprop;
int ml_rmsprop_step(const ml_param *params, size_t count, const ml_rmsprop *config, ml_error *err);

// *norm = (sum |g|^p)^(1/p) over all gradients taken as one vector; p > 0, or INFINITY for the
// largest |g|. Sums in double. NaN where a gradient is NaN.
int ml_grad_norm(const ml_param *params, size_t count, double p, double *norm, ml_error *err);

// g = factor g
int ml_grad_scale(const ml_param *params, size_t count, double factor, ml_error *err);

// g = min(max(g, -value), value), for value >= 0; NaN stays NaN
int ml_grad_clip(const ml_param *params, size_t count, double value, ml_error *err);

#endif
