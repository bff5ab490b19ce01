// Dropout without a stored mask: whether an element is kept is a function of its place alone.
#include "kernels.h"
#include "simd.h"

#include "../dropout.h"
#include "../rng.h"

// Philox for ML_DROPOUT_LANES counters side by side (a loop that compilers turn into vectors);
// word w of lane l is the random number of element w * ML_DROPOUT_LANES + l of the block.
static void random_block(uint64_t seed, uint64_t stream, uint64_t block,
                         uint32_t word[4][ML_DROPOUT_LANES])
{
    const uint64_t first = block * ML_DROPOUT_LANES;
    for (size_t l = 0; l < ML_DROPOUT_LANES; l++) {
        uint64_t index = first + l;
        const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream,
                                     (uint32_t)(stream >> 32)};
        const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
        uint32_t out[4];
        ml_philox4x32(counter, key, out);
        for (size_t w = 0; w < 4; w++)
            word[w][l] = out[w];
    }
}

// Elements 0 .. n - 1 of the block `block`, ML_DROPOUT_BLOCK elements long: y = x / (1 - p) where
// the element's uniform number is at least p, else 0 (Srivastava et al. 2014). y may be x.
void ML_KERNEL(dropout)(uint64_t seed, uint64_t stream, size_t block, size_t n, double p,
                        const ml_real *x, ml_real *y)
{
    uint32_t word[4][ML_DROPOUT_LANES];
    const ml_real scale = p < 1 ? (ml_real)(1 / (1 - p)) : 0;
    const uint64_t threshold = (uint64_t)(p * 4294967296.0); // kept when word >= threshold
    random_block(seed, stream, block, word);
    const uint32_t *random = &word[0][0];
    for (size_t i = 0; i < n; i++)
        y[i] = random[i] >= threshold ? x[i] * scale : 0;
}
