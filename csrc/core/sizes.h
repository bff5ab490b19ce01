// Small arithmetic of sizes.
#ifndef ML_SIZES_H
#define ML_SIZES_H

#include <stddef.h>

#include "platform.h"

ML_INLINE size_t ml_smaller(size_t a, size_t b) { return a < b ? a : b; }

// a / b, rounded up
ML_INLINE size_t ml_ceil_div(size_t a, size_t b) { return a / b + (a % b != 0); }

#endif
