// One vector type for every instruction set: `vec` holds ML_LANES numbers.
//
// A kernel is written once with these few functions and compiled once per instruction set (ML_ISA).
// Without one, and in the double build, `vec` is a small array and each function a loop.
// min, max and the *_where functions let a NaN in `x` through.
#ifndef ML_SIMD_H
#define ML_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../platform.h"
#include "../real.h"

#define ML_ISA_generic 1
#define ML_ISA_avx2 2
#define ML_ISA_avx512 3
#define ML_ISA_neon 4
#define ML_PASTE_(a, b) a##b
#define ML_PASTE(a, b) ML_PASTE_(a, b)
#define ML_ISA_ID ML_PASTE(ML_ISA_, ML_ISA)

#if ML_ISA_ID == ML_ISA_avx512 && !defined(ML_DOUBLE)

#include <immintrin.h>
enum { ML_LANES = 16 };
typedef __m512 vec;
ML_INLINE __mmask16 v_mask(size_t n) { return (__mmask16)((1u << n) - 1u); }
ML_INLINE vec v_set(float x) { return _mm512_set1_ps(x); }
ML_INLINE vec v_load(const float *p) { return _mm512_loadu_ps(p); }
ML_INLINE void v_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
ML_INLINE vec v_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(v_mask(n), p); }
ML_INLINE void v_store_n(float *p, vec x, size_t n) { _mm512_mask_storeu_ps(p, v_mask(n), x); }
ML_INLINE vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
ML_INLINE vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
ML_INLINE vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
ML_INLINE vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
// An approximate reciprocal, a step of Newton's method, and one on the quotient: a third of the
// time of a division, and off by at most one unit in the last place.
ML_INLINE vec v_quotient(vec a, vec b)
{
    vec r = _mm512_rcp14_ps(b);
    r = _mm512_fmadd_ps(_mm512_fnmadd_ps(b, r, _mm512_set1_ps(1.0f)), r, r);
    vec q = _mm512_mul_ps(a, r);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(b, q, a), r, q);
}
ML_INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
ML_INLINE vec v_min(vec bound, vec x) { return _mm512_min_ps(bound, x); }
ML_INLINE vec v_max(vec bound, vec x) { return _mm512_max_ps(bound, x); }
ML_INLINE vec v_round(vec x) { return _mm512_roundscale_ps(x, 0); }
// value where x >= bound, else 0
ML_INLINE vec v_zero_where_lt(vec x, vec bound, vec value)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, bound, _CMP_NLT_UQ), value);
}
// value where x > bound, else 0
ML_INLINE vec v_zero_where_le(vec x, vec bound, vec value)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, bound, _CMP_NLE_UQ), value);
}
ML_INLINE vec v_abs(vec x) { return _mm512_abs_ps(x); }
// |magnitude| with the sign of x; magnitude must not be negative
ML_INLINE vec v_copysign(vec magnitude, vec x)
{
    return _mm512_or_ps(magnitude, _mm512_and_ps(x, v_set(-0.0f)));
}
// 2^n for whole n in -126 .. 127
ML_INLINE vec v_pow2(vec n)
{
    __m512i bits =
        _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23);
    return _mm512_castsi512_ps(bits);
}

#elif ML_ISA_ID == ML_ISA_avx2 && !defined(ML_DOUBLE)

#include <immintrin.h>
enum { ML_LANES = 8 };
typedef __m256 vec;
ML_INLINE __m256i v_mask(size_t n)
{
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(const void *)(window + 8 - n));
}
ML_INLINE vec v_set(float x) { return _mm256_set1_ps(x); }
ML_INLINE vec v_load(const float *p) { return _mm256_loadu_ps(p); }
ML_INLINE void v_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
ML_INLINE vec v_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, v_mask(n)); }
ML_INLINE void v_store_n(float *p, vec x, size_t n) { _mm256_maskstore_ps(p, v_mask(n), x); }
ML_INLINE vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
ML_INLINE vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
ML_INLINE vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
ML_INLINE vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
ML_INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
ML_INLINE vec v_min(vec bound, vec x) { return _mm256_min_ps(bound, x); }
ML_INLINE vec v_max(vec bound, vec x) { return _mm256_max_ps(bound, x); }
ML_INLINE vec v_round(vec x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
ML_INLINE vec v_zero_where_lt(vec x, vec bound, vec value)
{
    return _mm256_and_ps(_mm256_cmp_ps(x, bound, _CMP_NLT_UQ), value);
}
ML_INLINE vec v_zero_where_le(vec x, vec bound, vec value)
{
    return _mm256_and_ps(_mm256_cmp_ps(x, bound, _CMP_NLE_UQ), value);
}
ML_INLINE vec v_abs(vec x) { return _mm256_andnot_ps(v_set(-0.0f), x); }
ML_INLINE vec v_copysign(vec magnitude, vec x)
{
    return _mm256_or_ps(magnitude, _mm256_and_ps(x, v_set(-0.0f)));
}
ML_INLINE vec v_pow2(vec n)
{
    __m256i bits =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_castsi256_ps(bits);
}

#elif ML_ISA_ID == ML_ISA_neon && !defined(ML_DOUBLE)

#include <arm_neon.h>
enum { ML_LANES = 4 };
typedef float32x4_t vec;
ML_INLINE vec v_set(float x) { return vdupq_n_f32(x); }
ML_INLINE vec v_load(const float *p) { return vld1q_f32(p); }
ML_INLINE void v_store(float *p, vec x) { vst1q_f32(p, x); }
ML_INLINE vec v_load_n(const float *p, size_t n)
{
    float part[4] = {0};
    memcpy(part, p, n * sizeof *p);
    return vld1q_f32(part);
}
ML_INLINE void v_store_n(float *p, vec x, size_t n)
{
    float part[4];
    vst1q_f32(part, x);
    memcpy(p, part, n * sizeof *p);
}
ML_INLINE vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
ML_INLINE vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
ML_INLINE vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
ML_INLINE vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
ML_INLINE vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
ML_INLINE vec v_min(vec bound, vec x) { return vminq_f32(bound, x); }
ML_INLINE vec v_max(vec bound, vec x) { return vmaxq_f32(bound, x); }
ML_INLINE vec v_round(vec x) { return vrndnq_f32(x); }
ML_INLINE vec v_zero_where_lt(vec x, vec bound, vec value)
{
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value), vcltq_f32(x, bound)));
}
ML_INLINE vec v_zero_where_le(vec x, vec bound, vec value)
{
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value), vcleq_f32(x, bound)));
}
ML_INLINE vec v_abs(vec x) { return vabsq_f32(x); }
ML_INLINE vec v_copysign(vec magnitude, vec x)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), x, magnitude);
}
ML_INLINE vec v_pow2(vec n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}

#else

#include <math.h>
enum { ML_LANES = 4 };
typedef struct vec {
    ml_real lane[ML_LANES];
} vec;
#define V_EACH(expression)                                                                         \
    do {                                                                                           \
        vec result_;                                                                               \
        for (int i = 0; i < ML_LANES; i++)                                                         \
            result_.lane[i] = (expression);                                                        \
        return result_;                                                                            \
    } while (0)
ML_INLINE vec v_set(ml_real x) { V_EACH(x); }
ML_INLINE vec v_load(const ml_real *p) { V_EACH(p[i]); }
ML_INLINE void v_store(ml_real *p, vec x) { memcpy(p, x.lane, sizeof x.lane); }
ML_INLINE vec v_load_n(const ml_real *p, size_t n) { V_EACH((size_t)i < n ? p[i] : 0); }
ML_INLINE void v_store_n(ml_real *p, vec x, size_t n) { memcpy(p, x.lane, n * sizeof *p); }
ML_INLINE vec v_add(vec a, vec b) { V_EACH(a.lane[i] + b.lane[i]); }
ML_INLINE vec v_sub(vec a, vec b) { V_EACH(a.lane[i] - b.lane[i]); }
ML_INLINE vec v_mul(vec a, vec b) { V_EACH(a.lane[i] * b.lane[i]); }
ML_INLINE vec v_div(vec a, vec b) { V_EACH(a.lane[i] / b.lane[i]); }
ML_INLINE vec v_fma(vec a, vec b, vec c) { V_EACH(a.lane[i] * b.lane[i] + c.lane[i]); }
ML_INLINE vec v_min(vec bound, vec x)
{
    V_EACH(bound.lane[i] < x.lane[i] ? bound.lane[i] : x.lane[i]);
}
ML_INLINE vec v_max(vec bound, vec x)
{
    V_EACH(bound.lane[i] > x.lane[i] ? bound.lane[i] : x.lane[i]);
}
ML_INLINE vec v_zero_where_lt(vec x, vec bound, vec value)
{
    V_EACH(x.lane[i] < bound.lane[i] ? 0 : value.lane[i]);
}
ML_INLINE vec v_zero_where_le(vec x, vec bound, vec value)
{
    V_EACH(x.lane[i] <= bound.lane[i] ? 0 : value.lane[i]);
}
#ifndef ML_DOUBLE
ML_INLINE vec v_abs(vec x) { V_EACH(fabsf(x.lane[i])); }
ML_INLINE vec v_copysign(vec magnitude, vec x) { V_EACH(copysignf(magnitude.lane[i], x.lane[i])); }
// Adding and taking away 1.5 * 2^23 rounds to the nearest whole number, for |x| < 2^22.
ML_INLINE vec v_round(vec x) { V_EACH((x.lane[i] + 12582912.0f) - 12582912.0f); }
ML_INLINE vec v_pow2(vec n)
{
    vec result;
    for (int i = 0; i < ML_LANES; i++) {
        // A NaN has no whole number to cast to; the factor it goes into keeps it.
        int32_t whole = n.lane[i] >= -127 && n.lane[i] <= 127 ? (int32_t)n.lane[i] : 0;
        int32_t bits = (whole + 127) * (1 << 23);
        memcpy(&result.lane[i], &bits, sizeof bits);
    }
    return result;
}
#endif

#endif

// a / b, the quick way, for finite a and b of at least 1.
#if !(ML_ISA_ID == ML_ISA_avx512 && !defined(ML_DOUBLE))
ML_INLINE vec v_quotient(vec a, vec b) { return v_div(a, b); }
#endif

ML_INLINE vec v_zero(void) { return v_set(0); }

// Lanes from `at` on, of `n` in all: ML_LANES, or what is left.
ML_INLINE size_t v_lanes(size_t at, size_t n)
{
    return n - at < ML_LANES ? n - at : (size_t)ML_LANES;
}

// Loads and stores of at most ML_LANES numbers; whole vectors take the quick way.
ML_INLINE vec v_get(const ml_real *p, size_t n)
{
    return n == ML_LANES ? v_load(p) : v_load_n(p, n);
}
ML_INLINE void v_put(ml_real *p, vec x, size_t n)
{
    if (n == ML_LANES)
        v_store(p, x);
    else
        v_store_n(p, x, n);
}

// The sum of all lanes, by halves: the additions of a half do not wait for each other.
ML_INLINE ml_real v_sum(vec x)
{
    ml_real lane[ML_LANES];
    v_store(lane, x);
    for (size_t half = ML_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

#endif
