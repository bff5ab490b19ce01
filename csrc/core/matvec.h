// A matrix that is multiplied by one vector at a time, over and over: the weights of a model that
// writes. It is packed once, in reals or in int8, so that a product reads it from front to back.
#ifndef ML_MATVEC_H
#define ML_MATVEC_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "real.h"

enum {
    // Levels that an int8 matrix takes its vectors in: x in -1 .. 1 is level / ML_LEVELS.
    ML_LEVELS = 2048,
    // 127 ML_LEVELS depth must stay below 2^31, so that a sum of products fits 32 bits.
    ML_INT8_DEPTH = 8192,
};

// The rows of W (gates * units, depth) in panels: a panel takes a few vectors of units of every
// gate, so that a cell can be finished from the sums of one panel. An ordinary matrix is one gate.
typedef struct ml_matvec {
    size_t gates, units, depth;
    size_t width;     // units of a panel, but the last, which may have fewer
    size_t lanes;     // numbers in a vector: all panels are whole vectors wide
    size_t panels;    //
    ml_real *reals;   // by panel (depth, gates, units of the panel); NULL in int8
    int8_t *bytes;    // by panel (depth / 2 rounded up, gates, units of the panel, 2), or NULL
    ml_real *steps;   // by panel (gates, units of the panel): what one level is worth; int8 only
    size_t allocated; // bytes
} ml_matvec;

// A vector to multiply, in the form that the matrix asks for.
typedef struct ml_operand {
    const ml_real *reals;  // (depth,)
    const int16_t *levels; // (depth rounded up to even,), int8 only: x = step * levels
    ml_real step;
} ml_operand;

// Packs w (gates * units, depth); order (gates,) says which gate of `w` comes at each place, NULL:
// as they are. In int8 each row is rounded to 127 levels on both sides of 0, the largest number
// being the last level. A number that is not finite is refused in int8, as is a depth above
// ML_INT8_DEPTH: ML_ERR_VALUE. `name` is for messages. Released with ml_matvec_free.
int ml_matvec_pack(ml_matvec *m, const char *name, size_t gates, size_t units, size_t depth,
                   const ml_real *w, const unsigned char *order, int int8, ml_error *err);
void ml_matvec_free(ml_matvec *m); // all zeros is fine

// What the levels of a row (n,) are worth in int8, NaN where it is not finite; and a number's level.
double ml_int8_step(size_t n, const ml_real *row);
int8_t ml_int8_level(ml_real x, double step);

// Units of a panel, padded ones included, and of all panels before it.
size_t ml_matvec_units(const ml_matvec *m, size_t panel);
size_t ml_matvec_first(const ml_matvec *m, size_t panel);

// row (depth,) of a matrix of one gate, as it was packed
void ml_matvec_row(const ml_matvec *m, size_t index, ml_real *row);

// sums (gates, units of the panel) += W x
void ml_matvec_product(const ml_matvec *m, size_t panel, const ml_operand *x, ml_real *sums);

#endif
