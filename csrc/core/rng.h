// Random numbers without state: Philox4x32-10, a function of a key and a counter.
//
// Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3",
// https://doi.org/10.1145/2063384.2063405. Any element of any stream can be had at once, by any
// thread, in any order: nothing is stored and nothing is locked.
#ifndef ML_RNG_H
#define ML_RNG_H

#include <stdint.h>

#include "platform.h"

// One round: two 32 x 32 -> 64 bit products, their halves crossed over and mixed with the key.
ML_INLINE void ml_philox_round(uint32_t c[4], uint32_t key0, uint32_t key1)
{
    uint64_t product0 = (uint64_t)0xD2511F53u * c[0];
    uint64_t product1 = (uint64_t)0xCD9E8D57u * c[2];
    c[0] = (uint32_t)(product1 >> 32) ^ c[1] ^ key0;
    c[1] = (uint32_t)product1;
    c[2] = (uint32_t)(product0 >> 32) ^ c[3] ^ key1;
    c[3] = (uint32_t)product0;
}

// Four random words of `counter` under `key`; `out` may be `counter`.
ML_INLINE void ml_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t key0 = key[0], key1 = key[1];
    for (int round = 0; round < 10; round++) {
        ml_philox_round(c, key0, key1);
        key0 += 0x9E3779B9u; // the golden ratio and sqrt(3) - 1, as fractions of 2^32
        key1 += 0xBB67AE85u;
    }
    for (int i = 0; i < 4; i++)
        out[i] = c[i];
}

// The block of four words at `index` in `stream` of `seed`.
void ml_philox(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4]);

// Uniform in [0, 1) with the 24 bits that a float keeps.
ML_INLINE float ml_uniform24(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

// Uniform in [0, 1) with the 53 bits that a double keeps.
ML_INLINE double ml_uniform53(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
    return (double)bits * 0x1p-53;
}

#endif
