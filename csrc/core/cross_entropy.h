// The loss of rows of logits, shared by the layers that compute it.
#ifndef ML_CROSS_ENTROPY_H
#define ML_CROSS_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "layer.h"

enum { ML_REDUCE_NONE, ML_REDUCE_MEAN, ML_REDUCE_SUM, ML_REDUCTION_COUNT };

typedef struct ml_loss_config {
    int64_t ignore_index; // rows with this target count for nothing
    double label_smoothing;
    int64_t reduction;
} ml_loss_config;

// The loss of one call: targets and weights, and what their sums are.
typedef struct ml_loss {
    const ml_loss_config *config;
    size_t N, V;
    const int64_t *target; // (N)
    const ml_real *weight; // (V), or NULL for ones
    double weight_sum;     // over the classes
    double denominator;    // mean: the weights of the targets that count; else 1
} ml_loss;

// Ranges of the settings.
int ml_loss_check(const char *layer, const ml_loss_config *config, ml_error *err);

// Shapes of targets (N,) and weight (V,), ids in range.
int ml_loss_check_inputs(const char *layer, const ml_loss_config *config, const ml_array *targets,
                         const ml_array *weight, size_t N, size_t V, ml_error *err);

ml_loss ml_loss_begin(const ml_loss_config *config, const ml_array *targets, const ml_array *weight,
                      size_t N, size_t V);

// 1 where row n counts for nothing.
int ml_loss_ignores(const ml_loss *loss, size_t n);

// The weight of class c; 1 without weights.
double ml_loss_class_weight(const ml_loss *loss, size_t c);

// What row n asks of the gradient of its scores x, with p their softmax:
//     dx_c = (hit + spread sum w) p_c - hit [c = y] - spread w_c
// hit = (1 - s) w_y and spread = s / V for label smoothing s; both 0 where the row is ignored.
typedef struct ml_loss_terms {
    double hit, spread;
} ml_loss_terms;
ml_loss_terms ml_loss_row_terms(const ml_loss *loss, size_t n);

// The loss of row n from the score of its target, sum_c w_c x_c (where labels are smoothed) and the
// log-sum-exp; 0 where the row is ignored.
double ml_loss_of_scores(const ml_loss *loss, size_t n, ml_real target, double weighted,
                         ml_log_sum_exp sum);

// The loss of row n, from its logits (V) and their log-sum-exp; 0 where the row is ignored.
double ml_loss_row(const ml_loss *loss, size_t n, const ml_real *logits, ml_log_sum_exp sum);

// Turns the softmax of row n (V) into `scale` times the gradient of its loss, in place.
void ml_loss_row_gradient(const ml_loss *loss, size_t n, ml_real scale, ml_real *probabilities);

// The reduced value of the rows' losses (N), added in order.
double ml_loss_reduce(const ml_loss *loss, const double *row_loss);

// The settings above inside a layer's own configuration structure.
#define ML_LOSS_FIELDS(config_type, at)                                                            \
    {"ignore_index", ML_FIELD_INT, offsetof(config_type, at.ignore_index), 0, -100},               \
        {"label_smoothing", ML_FIELD_REAL, offsetof(config_type, at.label_smoothing), 0, 0},       \
    {                                                                                              \
        "reduction", ML_FIELD_INT, offsetof(config_type, at.reduction), 0, ML_REDUCE_MEAN          \
    }

#endif
