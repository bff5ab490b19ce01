// Squares of ML_SQUARE numbers a side, transposed in registers.
//
// AVX-512 takes those of AVX2: a square of 16 needs as many shuffles for each number.
#ifndef ML_SIMD_TRANSPOSE_H
#define ML_SIMD_TRANSPOSE_H

#include "simd.h"

#if (ML_ISA_ID == ML_ISA_avx512 || ML_ISA_ID == ML_ISA_avx2) && !defined(ML_DOUBLE)

enum { ML_SQUARE = 8 };

// to[j][i] = scale from[i][j]                rows lie from_row and to_row numbers apart
ML_INLINE void transpose_square(const float *from, size_t from_row, float scale, float *to,
                                size_t to_row)
{
    const __m256 factor = _mm256_set1_ps(scale);
    __m256 row[8], pair[8], four[8];
    for (size_t i = 0; i < 8; i++)
        row[i] = _mm256_mul_ps(factor, _mm256_loadu_ps(from + i * from_row));
    for (size_t i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    // four[j]: column j of rows 0 .. 3 in its lower half, column j + 4 in its upper; from 4 on, of
    // rows 4 .. 7.
    for (size_t i = 0; i < 8; i += 4)
        for (size_t j = 0; j < 2; j++) {
            four[i + 2 * j] = _mm256_shuffle_ps(pair[i + j], pair[i + j + 2], 0x44);
            four[i + 2 * j + 1] = _mm256_shuffle_ps(pair[i + j], pair[i + j + 2], 0xee);
        }
    for (size_t j = 0; j < 4; j++) {
        _mm256_storeu_ps(to + j * to_row, _mm256_permute2f128_ps(four[j], four[j + 4], 0x20));
        _mm256_storeu_ps(to + (j + 4) * to_row, _mm256_permute2f128_ps(four[j], four[j + 4], 0x31));
    }
}

#elif ML_ISA_ID == ML_ISA_neon && !defined(ML_DOUBLE)

enum { ML_SQUARE = 4 };

ML_INLINE void transpose_square(const float *from, size_t from_row, float scale, float *to,
                                size_t to_row)
{
    const float32x4_t factor = vdupq_n_f32(scale);
    float32x4_t row[4];
    for (size_t i = 0; i < 4; i++)
        row[i] = vmulq_f32(factor, vld1q_f32(from + i * from_row));
    const float32x4x2_t low = vtrnq_f32(row[0], row[1]), high = vtrnq_f32(row[2], row[3]);
    for (size_t j = 0; j < 2; j++) {
        vst1q_f32(to + j * to_row,
                  vcombine_f32(vget_low_f32(low.val[j]), vget_low_f32(high.val[j])));
        vst1q_f32(to + (j + 2) * to_row,
                  vcombine_f32(vget_high_f32(low.val[j]), vget_high_f32(high.val[j])));
    }
}

#else

enum { ML_SQUARE = 4 };

ML_INLINE void transpose_square(const ml_real *from, size_t from_row, ml_real scale, ml_real *to,
                                size_t to_row)
{
    for (size_t j = 0; j < ML_SQUARE; j++)
        for (size_t i = 0; i < ML_SQUARE; i++)
            to[j * to_row + i] = scale * from[i * from_row + j];
}

#endif

#endif
