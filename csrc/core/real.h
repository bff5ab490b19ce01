// The number type of the core: float, or double in the build that checks gradients.
#ifndef ML_REAL_H
#define ML_REAL_H

#ifdef ML_DOUBLE
typedef double ml_real;
#else
typedef float ml_real;
#endif

#endif
