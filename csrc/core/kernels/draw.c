// What drawing a token costs with a large vocabulary: two passes over the logits.
#include "kernels.h"
#include "simd.h"

#include <float.h>
#include <math.h>

#ifdef ML_DOUBLE
#define LARGEST_REAL DBL_MAX
#else
#define LARGEST_REAL FLT_MAX
#endif

// The largest of x (n,), n > 0, at least -LARGEST_REAL; NaN where there is a NaN or +inf among them.
ml_real ML_KERNEL(logit_top)(size_t n, const ml_real *x)
{
    const vec lowest = v_set(-LARGEST_REAL);
    vec largest = lowest, flaw = v_zero();
    size_t i = 0;
    for (; i + ML_LANES <= n; i += ML_LANES) {
        vec value = v_max(lowest, v_load(x + i)); // -inf is no flaw
        flaw = v_add(flaw, v_sub(value, value));  // NaN for NaN and +inf, else 0
        largest = v_max(value, largest);
    }
    ml_real lane[2 * ML_LANES], top = -LARGEST_REAL;
    v_store(lane, largest);
    v_store(lane + ML_LANES, flaw);
    for (size_t j = 0; j < ML_LANES; j++) {
        if (lane[ML_LANES + j] != 0)
            return (ml_real)NAN;
        top = lane[j] > top ? lane[j] : top;
    }
    for (; i < n; i++) {
        if (!(x[i] <= LARGEST_REAL))
            return (ml_real)NAN;
        top = x[i] > top ? x[i] : top;
    }
    return top;
}

// 2^n, n whole and given as n + 1.5 * 2^52: then it is what the low bits are.
ML_INLINE double power_of_2(double shifted)
{
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

// exp(y) for -1400 <= y <= 0, within 2 units in the last place where it is a normal number, from -708
// on. As in vmath.h, exp(y) = 2^n exp(r), r = y - n ln 2; exp(r) is its series to r^13, of which the
// rest is below 2^-57. The power is taken in two halves, so that it goes to 0 by itself. There is no
// branch, so that compilers turn the loop that calls it into one of vectors.
ML_INLINE double exp_double(double y)
{
    static const double whole = 0x1.8p52; // adding it and taking it away rounds to whole numbers
    double n = (y * 1.4426950408889634 + whole) - whole;
    double r = (y - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33;
    double sum = 1.0 / 6227020800;
    sum = sum * r + 1.0 / 479001600;
    sum = sum * r + 1.0 / 39916800;
    sum = sum * r + 1.0 / 3628800;
    sum = sum * r + 1.0 / 362880;
    sum = sum * r + 1.0 / 40320;
    sum = sum * r + 1.0 / 5040;
    sum = sum * r + 1.0 / 720;
    sum = sum * r + 1.0 / 120;
    sum = sum * r + 1.0 / 24;
    sum = sum * r + 1.0 / 6;
    sum = sum * r + 0.5;
    sum = sum * r + 1;
    sum = sum * r + 1;
    double half = n * 0.5 + whole;
    return sum * power_of_2(half) * power_of_2(n - (half - whole) + whole);
}

// weights[i] = exp((x[i] - largest) / temperature), at most 1; weights (n,)
void ML_KERNEL(draw_weights)(size_t n, const ml_real *ML_RESTRICT x, ml_real largest,
                             double temperature, double *ML_RESTRICT weights)
{
    for (size_t i = 0; i < n; i++) {
        double y = ((double)x[i] - (double)largest) / temperature;
        weights[i] = y > -1400 ? y : -1400;
    }
    for (size_t i = 0; i < n; i++)
        weights[i] = exp_double(weights[i]);
}
