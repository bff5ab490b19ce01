// How the threads share the steps of a recurrent layer's walk through time.
#ifndef ML_RECURRENT_PLAN_H
#define ML_RECURRENT_PLAN_H

#include <stddef.h>

typedef enum {
    ML_PLAN_ALONE,    // one thread does everything
    ML_PLAN_BY_ROWS,  // each has some sequences, and walks on its own
    ML_PLAN_BY_UNITS, // each has some hidden units, and all meet after each step
    ML_PLAN_APART     // each has some units of some sequences, and walks on its own
} ml_plan_kind;

typedef struct ml_plan {
    ml_plan_kind kind;
    size_t threads;
    size_t blocks; // of rows, of nearly equal height: at most that of a tile
    double time;   // microseconds that all steps are estimated to take
} ml_plan;

// The quickest plan for `steps` steps of `rows` rows by `panels` panels, each with `work`
// multiply-adds in all, that read `weight_bytes` of packed weights, on at most `threads` threads. The
// bits do not depend on it.
ml_plan ml_plan_scan(size_t steps, size_t rows, size_t panels, double work, double weight_bytes,
                     size_t threads);

// The same for a walk that multiplies nothing: no unit reads another one, so nobody waits.
// `numbers` in all that a step reads or writes.
ml_plan ml_plan_elementwise(size_t steps, size_t rows, size_t panels, double numbers,
                            size_t threads);

#endif
