// The whole numbers beside simd.h: `ivec` holds ML_LANES sums of products of int8 and int16.
//
// All is exact: no step rounds or saturates, so that every instruction set gives the same sums.
#ifndef ML_SIMD_INT_H
#define ML_SIMD_INT_H

#include "simd.h"

#if ML_ISA_ID == ML_ISA_avx512 && !defined(ML_DOUBLE)

typedef __m512i ivec;
ML_INLINE ivec iv_zero(void) { return _mm512_setzero_si512(); }
ML_INLINE void iv_store(int32_t *p, ivec x) { _mm512_storeu_si512(p, x); }
// Two factors for all lanes, side by side in memory.
ML_INLINE ivec iv_pair(const int16_t *p)
{
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32(both);
}
// sum + a[2 i] x[0] + a[2 i + 1] x[1] in lane i
ML_INLINE ivec iv_add_products(const int8_t *a, ivec x, ivec sum)
{
    __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)a));
    return _mm512_add_epi32(sum, _mm512_madd_epi16(wide, x));
}

#elif ML_ISA_ID == ML_ISA_avx2 && !defined(ML_DOUBLE)

typedef __m256i ivec;
ML_INLINE ivec iv_zero(void) { return _mm256_setzero_si256(); }
ML_INLINE void iv_store(int32_t *p, ivec x) { _mm256_storeu_si256((__m256i *)(void *)p, x); }
ML_INLINE ivec iv_pair(const int16_t *p)
{
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm256_set1_epi32(both);
}
ML_INLINE ivec iv_add_products(const int8_t *a, ivec x, ivec sum)
{
    __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)a));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(wide, x));
}

#elif ML_ISA_ID == ML_ISA_neon && !defined(ML_DOUBLE)

typedef int32x4_t ivec;
ML_INLINE ivec iv_zero(void) { return vdupq_n_s32(0); }
ML_INLINE void iv_store(int32_t *p, ivec x) { vst1q_s32(p, x); }
ML_INLINE int16x8_t iv_pair(const int16_t *p)
{
    int32_t both;
    memcpy(&both, p, sizeof both);
    return vreinterpretq_s16_s32(vdupq_n_s32(both));
}
ML_INLINE ivec iv_add_products(const int8_t *a, int16x8_t x, ivec sum)
{
    int16x8_t wide = vmovl_s8(vld1_s8(a));
    int32x4_t low = vmull_s16(vget_low_s16(wide), vget_low_s16(x));
    int32x4_t high = vmull_s16(vget_high_s16(wide), vget_high_s16(x));
    return vaddq_s32(sum, vpaddq_s32(low, high));
}

#else

typedef struct ivec {
    int32_t lane[ML_LANES];
} ivec;
ML_INLINE ivec iv_zero(void) { return (ivec){{0}}; }
ML_INLINE void iv_store(int32_t *p, ivec x) { memcpy(p, x.lane, sizeof x.lane); }
ML_INLINE const int16_t *iv_pair(const int16_t *p) { return p; }
ML_INLINE ivec iv_add_products(const int8_t *a, const int16_t *x, ivec sum)
{
    for (int i = 0; i < ML_LANES; i++)
        sum.lane[i] += a[2 * i] * x[0] + a[2 * i + 1] * x[1];
    return sum;
}

#endif

#endif
