// The blocks in which a linear head and its cross-entropy are computed together; the layer is in
// linear_cross_entropy.c, the blocks in head_blocks.c.
#ifndef ML_LINEAR_CROSS_ENTROPY_H
#define ML_LINEAR_CROSS_ENTROPY_H

#include "cross_entropy.h"
#include "packed.h"
#include "workspace.h"

enum {
    ML_HEAD_CLASSES = 96, // classes of a block: a multiple of ML_TILE_ROWS
    ML_HEAD_SLICES = 8    // parts of the classes that sum up their own share of dx, at most
};

// Some rows of x, all classes. Scores lie class by class: (V, R), so that a block of classes is a
// product whose left side is W as it lies, and that the sums of the softmax need no sum across a
// vector.
typedef struct ml_head {
    ml_loss loss;
    size_t I, V;
    const ml_real *x, *weight, *bias; // (N, I), (V, I), (V) or NULL
    size_t group;                     // R: rows that are worked on at once, at most
    size_t blocks, slices;            // of classes
    size_t first, rows;               // the rows of x, now

    ml_packed_shape columns_shape, rows_shape;
    ml_real *x_columns;    // x^T in panels, depth I
    ml_real *x_rows;       // x in panels, depth R
    ml_real *scores;       // (V, R): scores, then exp(score - top), then the gradient
    ml_real *top;          // (blocks, R): the largest of a block, then what its exponentials count
    ml_real *sum;          // (blocks, R): of the exponentials
    ml_real *weighted;     // (blocks, R): sum of w_c score_c, where labels are smoothed
    ml_real *most;         // (R): the largest of all
    ml_real *target;       // (R): the score of the target
    ml_real *hit, *spread; // (R): what the gradient takes away from the target and from every class
    ml_real *partial;      // (slices, R, I)
    double *row_loss;      // (N)
} ml_head;

// Gradients for a loss that counts once.
typedef struct ml_head_gradients {
    ml_real *dx;      // (N, I)
    ml_real *dweight; // (V, I)
    ml_real *dbias;   // (V)
} ml_head_gradients;

// Sizes from V, I and the number of rows N; then memory, or only its count.
void ml_head_plan(ml_head *head, size_t N);
void ml_head_lay_out(ml_head *head, size_t N, ml_arena *arena);

// The losses of rows [first, first + rows); with gradients, theirs too: dx is written, the others
// are added to unless first is 0.
int ml_head_group(ml_head *head, const ml_head_gradients *gradients, ml_error *err);

#endif
