/*
 * lanes.h: the vectors of a tier, LANES 32-bit lanes wide: 16 on AVX-512, 8 on AVX2. Arithmetic and
 * shifts are C's operators on vector types; what C has no operator for stands here. Every function is
 * exact or correctly rounded, so the lanes of any tier make the bytes of the reference.
 */
#ifndef STERNA_LANES_H
#define STERNA_LANES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/template/inline.h"

#if defined(__AVX512F__)
#define LANES 16
#else
#define LANES 8
#endif

/* Vectors in a block of 64 elements. */
#define VECTORS (64 / LANES)

typedef float vfloat __attribute__((vector_size(4 * LANES)));
typedef int32_t vint __attribute__((vector_size(4 * LANES)));
typedef uint32_t vuint __attribute__((vector_size(4 * LANES)));
typedef double vdouble __attribute__((vector_size(4 * LANES)));
typedef uint64_t vlong __attribute__((vector_size(4 * LANES)));

/* How many of the LANES elements from `offset` on lie before `count`: 0...LANES. */
INLINE int lanes_left(int count, int offset) {
    int left = count - offset;
    return left < 0 ? 0 : left > LANES ? LANES : left;
}

#if LANES == 16

INLINE vfloat splat(float x) {
    return (vfloat)_mm512_set1_ps(x);
}
INLINE vint splat_int(int32_t x) {
    return (vint)_mm512_set1_epi32(x);
}
INLINE vlong splat_long(uint64_t x) {
    return (vlong)_mm512_set1_epi64((int64_t)x);
}
INLINE vint lane_numbers(void) {
    return (vint)_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
INLINE __mmask16 first_lanes(int n) {
    return (__mmask16)((1u << n) - 1);
}
/* The first n floats, then zeros. Half a vector and three quarters, the tails of many a head, take no mask: a masked
 * store holds up what is read beside it. */
INLINE vfloat load_floats(const float *p, int n) {
    if (n == LANES) return (vfloat)_mm512_loadu_ps(p);
    if (n == LANES / 2) return (vfloat)_mm512_zextps256_ps512(_mm256_loadu_ps(p));
    if (n == 12) return (vfloat)_mm512_insertf32x4(_mm512_zextps256_ps512(_mm256_loadu_ps(p)), _mm_loadu_ps(p + 8), 2);
    return (vfloat)_mm512_maskz_loadu_ps(first_lanes(n), p);
}
INLINE void store_floats(float *p, vfloat x, int n) {
    if (n == LANES) _mm512_storeu_ps(p, (__m512)x);
    else if (n == LANES / 2) _mm256_storeu_ps(p, _mm512_castps512_ps256((__m512)x));
    else if (n == 12) {
        _mm256_storeu_ps(p, _mm512_castps512_ps256((__m512)x));
        _mm_storeu_ps(p + 8, _mm512_extractf32x4_ps((__m512)x, 2));
    } else _mm512_mask_storeu_ps(p, first_lanes(n), (__m512)x);
}
INLINE vint load_shorts(const uint16_t *p, int n) {
    if (n == LANES) return (vint)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    if (n == LANES / 2) return (vint)_mm512_cvtepu16_epi32(_mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)p)));
    return (vint)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
INLINE void store_shorts(uint16_t *p, vint x, int n) {
    __m256i shorts = _mm512_cvtepi32_epi16((__m512i)x);
    if (n == LANES) _mm256_storeu_si256((__m256i *)p, shorts);
    else if (n == LANES / 2) _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(shorts));
    else _mm512_mask_cvtepi32_storeu_epi16(p, first_lanes(n), (__m512i)x);
}
/* The upper halves of the lanes of two vectors, one after the other. */
INLINE void store_upper_shorts(uint16_t *p, vint a, vint b) {
    typedef int16_t shorts __attribute__((vector_size(64)));
    const shorts odd = {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                        33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    _mm512_storeu_si512(p, _mm512_permutex2var_epi16((__m512i)a, (__m512i)odd, (__m512i)b));
}
INLINE vint load_bytes(const uint8_t *p, int n) {
    if (n == LANES) return (vint)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    return (vint)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first_lanes(n), p));
}
INLINE vint load_codes(const int8_t *p, int n) {
    if (n == LANES) return (vint)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
    return (vint)_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(first_lanes(n), p));
}
INLINE void store_bytes(uint8_t *p, vint x, int n) {
    if (n == LANES) _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)x));
    else _mm512_mask_cvtepi32_storeu_epi8(p, first_lanes(n), (__m512i)x);
}
/* A whole block of 64 as bytes; what is outside int8, or uint8 when `is_unsigned`, becomes its nearest end. */
INLINE void store_block_bytes(uint8_t *p, const vint x[VECTORS], int is_unsigned) {
    __m512i low = _mm512_packs_epi32((__m512i)x[0], (__m512i)x[1]), high = _mm512_packs_epi32((__m512i)x[2], (__m512i)x[3]);
    __m512i fours = is_unsigned ? _mm512_packus_epi16(low, high) : _mm512_packs_epi16(low, high);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, fours));
}
/* LANES floats from memory as float64: the lower and the upper half of a vector. */
INLINE vdouble load_doubles(const float *p, int half) {
    return (vdouble)_mm512_cvtps_pd(_mm256_loadu_ps(p + 8 * half));
}
INLINE vfloat square_root(vfloat x) {
    return (vfloat)_mm512_sqrt_ps((__m512)x);
}
/* min(a, b) is a < b ? a : b, as in C; so with max. */
INLINE vfloat min_float(vfloat a, vfloat b) {
    return (vfloat)_mm512_min_ps((__m512)a, (__m512)b);
}
INLINE vfloat max_float(vfloat a, vfloat b) {
    return (vfloat)_mm512_max_ps((__m512)a, (__m512)b);
}
INLINE vdouble max_double(vdouble a, vdouble b) {
    return (vdouble)_mm512_max_pd((__m512d)a, (__m512d)b);
}
INLINE vint max_int(vint a, vint b) {
    return (vint)_mm512_max_epi32((__m512i)a, (__m512i)b);
}
INLINE vint max_unsigned(vint a, vint b) {
    return (vint)_mm512_max_epu32((__m512i)a, (__m512i)b);
}
/* Whether every lane, as an unsigned number, is below the limit. */
INLINE int all_below(vint x, uint32_t limit) {
    return _mm512_cmpge_epu32_mask((__m512i)x, _mm512_set1_epi32((int32_t)limit)) == 0;
}
/* The largest lane. */
INLINE int32_t largest_int(vint x) {
    return _mm512_reduce_max_epi32((__m512i)x);
}
INLINE vint floor_int(vfloat x) {
    return (vint)_mm512_cvt_roundps_epi32((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
INLINE vint nearest_int(vfloat x) {
    return (vint)_mm512_cvt_roundps_epi32((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE vfloat float_of(vint x) {
    return (vfloat)_mm512_cvtepi32_ps((__m512i)x);
}
/* Lanes 0...7 (half 0) or 8...15 in float64. */
INLINE vdouble double_of(vfloat x, int half) {
    __m256 y = half ? _mm512_extractf32x8_ps((__m512)x, 1) : _mm512_castps512_ps256((__m512)x);
    return (vdouble)_mm512_cvtps_pd(y);
}
/* mask ? a : b; a mask lane is 0 or -1. */
INLINE vint choose(vint mask, vint a, vint b) {
    return (vint)_mm512_ternarylogic_epi32((__m512i)mask, (__m512i)a, (__m512i)b, 0xca);
}
/* x + 1 where a < b, otherwise x. */
INLINE vint increment_where_less(vint x, vfloat a, vfloat b) {
    __mmask16 less = _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
    return (vint)_mm512_mask_sub_epi32((__m512i)x, less, (__m512i)x, _mm512_set1_epi32(-1));
}
/* The bits of a quiet NaN where x is one, otherwise `bits`. */
INLINE vint quiet_where_nan(vint bits, vfloat x) {
    __mmask16 nan = _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q);
    return (vint)_mm512_mask_or_epi32((__m512i)bits, nan, (__m512i)x, _mm512_set1_epi32(0x400000));
}
INLINE int any_nan(vfloat a, vfloat b) {
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_UNORD_Q) != 0;
}
/* x | bits where a < b, otherwise x; and the same where not. */
INLINE vint or_where_less(vint x, vfloat a, vfloat b, vint bits) {
    __mmask16 less = _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
    return (vint)_mm512_mask_or_epi32((__m512i)x, less, (__m512i)x, (__m512i)bits);
}
INLINE vint or_where_not_less(vint x, vfloat a, vfloat b, vint bits) {
    __mmask16 not_less = _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_NLT_UQ);
    return (vint)_mm512_mask_or_epi32((__m512i)x, not_less, (__m512i)x, (__m512i)bits);
}
/* a * b + c, rounded once; in EXACT kernels only where that makes no difference, or the reference rounds once too. */
INLINE vfloat fused_add(vfloat a, vfloat b, vfloat c) {
    return (vfloat)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
INLINE vdouble fused_add_double(vdouble a, vdouble b, vdouble c) {
    return (vdouble)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
/* a | (b & c). */
INLINE vint or_and(vint a, vint b, vint c) {
    return (vint)_mm512_ternarylogic_epi32((__m512i)a, (__m512i)b, (__m512i)c, 0xf8);
}
/* table[i % LANES] for every lane i of the index. */
INLINE vfloat look_up(vfloat table, vint index) {
    return (vfloat)_mm512_permutexvar_ps((__m512i)index, (__m512)table);
}
INLINE int count_different(vint a, vint b) {
    return __builtin_popcount(_mm512_cmpneq_epi32_mask((__m512i)a, (__m512i)b));
}
/* The product of the low halves of 64-bit lanes. */
INLINE vlong multiply_low(vlong a, vlong b) {
    return (vlong)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}
/* The upper halves of 64-bit lanes (in either half): a shuffle, because the multiplier's port shifts too. */
INLINE vlong upper_half(vlong x) {
    return (vlong)_mm512_shuffle_epi32((__m512i)x, _MM_PERM_DDBB);
}
INLINE vlong xor3(vlong a, vlong b, vlong c) {
    return (vlong)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
}
/* Low halves of 64-bit lanes: a in the even, b in the odd 32-bit lanes. */
INLINE vuint interleave(vlong a, vlong b) {
    return (vuint)_mm512_mask_shuffle_epi32((__m512i)a, 0xaaaa, (__m512i)b, _MM_PERM_CCAA);
}
/* The upper halves likewise. */
INLINE vuint interleave_upper(vlong a, vlong b) {
    return (vuint)_mm512_mask_shuffle_epi32((__m512i)b, 0x5555, (__m512i)a, _MM_PERM_DDBB);
}
/* Exchanges the halves of 64-bit lanes. */
INLINE vlong swap_halves(vlong x) {
    return (vlong)_mm512_ror_epi64((__m512i)x, 32);
}
/* x ^ b ^ c in the low halves of 64-bit lanes, x in the upper ones. */
INLINE vlong xor3_low(vlong x, vlong b, vlong c) {
    return (vlong)_mm512_mask_ternarylogic_epi32((__m512i)x, 0x5555, (__m512i)b, (__m512i)c, 0x96);
}
INLINE vlong unpack_low(vlong a, vlong b) {
    return (vlong)_mm512_unpacklo_epi64((__m512i)a, (__m512i)b);
}
INLINE vlong unpack_high(vlong a, vlong b) {
    return (vlong)_mm512_unpackhi_epi64((__m512i)a, (__m512i)b);
}
/* Lanes 0, 2, 4, ... of two vectors, one after the other; and lanes 1, 3, 5, ... */
INLINE vfloat even_lanes(vfloat a, vfloat b) {
    vint even = lane_numbers() * 2;
    return (vfloat)_mm512_permutex2var_ps((__m512)a, (__m512i)even, (__m512)b);
}
INLINE vfloat odd_lanes(vfloat a, vfloat b) {
    vint odd = lane_numbers() * 2 + 1;
    return (vfloat)_mm512_permutex2var_ps((__m512)a, (__m512i)odd, (__m512)b);
}

#else

INLINE vfloat splat(float x) {
    return (vfloat)_mm256_set1_ps(x);
}
INLINE vint splat_int(int32_t x) {
    return (vint)_mm256_set1_epi32(x);
}
INLINE vlong splat_long(uint64_t x) {
    return (vlong)_mm256_set1_epi64x((int64_t)x);
}
INLINE vint lane_numbers(void) {
    return (vint)_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}
INLINE __m256i first_lanes(int n) {
    return (__m256i)(lane_numbers() < splat_int(n));
}
INLINE vfloat load_floats(const float *p, int n) {
    if (n == LANES) return (vfloat)_mm256_loadu_ps(p);
    if (n == LANES / 2) return (vfloat)_mm256_zextps128_ps256(_mm_loadu_ps(p));
    return (vfloat)_mm256_maskload_ps(p, first_lanes(n));
}
INLINE void store_floats(float *p, vfloat x, int n) {
    if (n == LANES) _mm256_storeu_ps(p, (__m256)x);
    else if (n == LANES / 2) _mm_storeu_ps(p, _mm256_castps256_ps128((__m256)x));
    else _mm256_maskstore_ps(p, first_lanes(n), (__m256)x);
}
INLINE vint load_shorts(const uint16_t *p, int n) {
    uint16_t copy[LANES] = {0};
    if (n < LANES) p = memcpy(copy, p, 2 * (size_t)n);
    return (vint)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
}
INLINE void store_shorts(uint16_t *p, vint x, int n) {
    __m256i even = _mm256_shuffle_epi8((__m256i)x, _mm256_setr_epi8(
        0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1,
        0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1));
    __m128i y = _mm256_castsi256_si128(_mm256_permute4x64_epi64(even, 0x08));
    uint16_t copy[LANES];
    _mm_storeu_si128((__m128i *)(n == LANES ? p : copy), y);
    if (n < LANES) memcpy(p, copy, 2 * (size_t)n);
}
INLINE void store_upper_shorts(uint16_t *p, vint a, vint b) {
    __m256i mixed = _mm256_packus_epi32((__m256i)((vuint)a >> 16), (__m256i)((vuint)b >> 16));
    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(mixed, 0xd8));
}
INLINE vint load_bytes(const uint8_t *p, int n) {
    uint8_t copy[LANES] = {0};
    if (n < LANES) p = memcpy(copy, p, (size_t)n);
    return (vint)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
INLINE vint load_codes(const int8_t *p, int n) {
    int8_t copy[LANES] = {0};
    if (n < LANES) p = memcpy(copy, p, (size_t)n);
    return (vint)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
INLINE void store_bytes(uint8_t *p, vint x, int n) {
    __m256i fours = _mm256_shuffle_epi8((__m256i)x, _mm256_set1_epi32(0x0c080400));
    __m128i y = _mm_unpacklo_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
    uint8_t copy[LANES];
    _mm_storel_epi64((__m128i *)(n == LANES ? p : copy), y);
    if (n < LANES) memcpy(p, copy, (size_t)n);
}
INLINE void store_block_bytes(uint8_t *p, const vint x[VECTORS], int is_unsigned) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
#pragma GCC unroll 2
    for (int v = 0; v < VECTORS; v += 4, p += 32) {
        __m256i low = _mm256_packs_epi32((__m256i)x[v], (__m256i)x[v + 1]);
        __m256i high = _mm256_packs_epi32((__m256i)x[v + 2], (__m256i)x[v + 3]);
        __m256i fours = is_unsigned ? _mm256_packus_epi16(low, high) : _mm256_packs_epi16(low, high);
        _mm256_storeu_si256((__m256i *)p, _mm256_permutevar8x32_epi32(fours, order));
    }
}
INLINE vdouble load_doubles(const float *p, int half) {
    return (vdouble)_mm256_cvtps_pd(_mm_loadu_ps(p + 4 * half));
}
INLINE vfloat square_root(vfloat x) {
    return (vfloat)_mm256_sqrt_ps((__m256)x);
}
INLINE vfloat min_float(vfloat a, vfloat b) {
    return (vfloat)_mm256_min_ps((__m256)a, (__m256)b);
}
INLINE vfloat max_float(vfloat a, vfloat b) {
    return (vfloat)_mm256_max_ps((__m256)a, (__m256)b);
}
INLINE vdouble max_double(vdouble a, vdouble b) {
    return (vdouble)_mm256_max_pd((__m256d)a, (__m256d)b);
}
INLINE vint max_int(vint a, vint b) {
    return (vint)_mm256_max_epi32((__m256i)a, (__m256i)b);
}
INLINE vint max_unsigned(vint a, vint b) {
    return (vint)_mm256_max_epu32((__m256i)a, (__m256i)b);
}
INLINE int all_below(vint x, uint32_t limit) {
    __m256i reached = _mm256_cmpeq_epi32((__m256i)max_unsigned(x, splat_int((int32_t)limit)), (__m256i)x);
    return _mm256_testz_si256(reached, reached);
}
INLINE int32_t largest_int(vint x) {
    __m128i y = _mm_max_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
    y = _mm_max_epi32(y, _mm_shuffle_epi32(y, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(y, _mm_shuffle_epi32(y, 0xb1)));
}
INLINE vint floor_int(vfloat x) {
    return (vint)_mm256_cvttps_epi32(_mm256_floor_ps((__m256)x));
}
INLINE vint nearest_int(vfloat x) {
    return (vint)_mm256_cvttps_epi32(_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
INLINE vfloat float_of(vint x) {
    return (vfloat)_mm256_cvtepi32_ps((__m256i)x);
}
INLINE vdouble double_of(vfloat x, int half) {
    __m128 y = half ? _mm256_extractf128_ps((__m256)x, 1) : _mm256_castps256_ps128((__m256)x);
    return (vdouble)_mm256_cvtps_pd(y);
}
INLINE vint choose(vint mask, vint a, vint b) {
    return (vint)_mm256_blendv_epi8((__m256i)b, (__m256i)a, (__m256i)mask);
}
INLINE vint increment_where_less(vint x, vfloat a, vfloat b) {
    return x - (a < b);
}
INLINE vint quiet_where_nan(vint bits, vfloat x) {
    return choose((vint)_mm256_cmp_ps((__m256)x, (__m256)x, _CMP_UNORD_Q), (vint)x | 0x400000, bits);
}
INLINE int any_nan(vfloat a, vfloat b) {
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_UNORD_Q)) != 0;
}
INLINE vint or_where_less(vint x, vfloat a, vfloat b, vint bits) {
    return x | ((a < b) & bits);
}
INLINE vint or_where_not_less(vint x, vfloat a, vfloat b, vint bits) {
    return x | (~(a < b) & bits);
}
INLINE vfloat fused_add(vfloat a, vfloat b, vfloat c) {
    return (vfloat)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
INLINE vdouble fused_add_double(vdouble a, vdouble b, vdouble c) {
    return (vdouble)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
INLINE vint or_and(vint a, vint b, vint c) {
    return a | (b & c);
}
INLINE vfloat look_up(vfloat table, vint index) {
    return (vfloat)_mm256_permutevar8x32_ps((__m256)table, (__m256i)index);
}
INLINE int count_different(vint a, vint b) {
    int equal = _mm256_movemask_ps((__m256)_mm256_cmpeq_epi32((__m256i)a, (__m256i)b));
    return LANES - __builtin_popcount((unsigned)equal);
}
INLINE vlong multiply_low(vlong a, vlong b) {
    return (vlong)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}
INLINE vlong upper_half(vlong x) {
    return (vlong)_mm256_shuffle_epi32((__m256i)x, 0xf5);
}
INLINE vlong xor3(vlong a, vlong b, vlong c) {
    return a ^ b ^ c;
}
INLINE vuint interleave(vlong a, vlong b) {
    return (vuint)_mm256_blend_epi32((__m256i)a, (__m256i)(b << 32), 0xaa);
}
INLINE vuint interleave_upper(vlong a, vlong b) {
    return (vuint)_mm256_blend_epi32((__m256i)(a >> 32), (__m256i)b, 0xaa);
}
INLINE vlong swap_halves(vlong x) {
    return (vlong)_mm256_shuffle_epi32((__m256i)x, 0xb1);
}
INLINE vlong xor3_low(vlong x, vlong b, vlong c) {
    return x ^ ((b ^ c) & splat_long(0xffffffff));
}
INLINE vlong unpack_low(vlong a, vlong b) {
    return (vlong)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b);
}
INLINE vlong unpack_high(vlong a, vlong b) {
    return (vlong)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b);
}
INLINE vfloat even_lanes(vfloat a, vfloat b) {
    __m256d mixed = _mm256_castps_pd(_mm256_shuffle_ps((__m256)a, (__m256)b, 0x88));
    return (vfloat)_mm256_permute4x64_pd(mixed, 0xd8);
}
INLINE vfloat odd_lanes(vfloat a, vfloat b) {
    __m256d mixed = _mm256_castps_pd(_mm256_shuffle_ps((__m256)a, (__m256)b, 0xdd));
    return (vfloat)_mm256_permute4x64_pd(mixed, 0xd8);
}

#endif

/* 0, 2, 4, ... times x, in 64-bit lanes. */
INLINE vlong even_multiples(uint64_t x) {
    vlong multiples;
    for (uint32_t j = 0; j < LANES / 2; j++) multiples[j] = 2 * j * x;
    return multiples;
}

/* The bits of |x|: ordered as the numbers are, infinity above every number and NaN above infinity. */
INLINE vint magnitude_bits(vfloat x) {
    return (vint)x & splat_int(0x7fffffff);
}

/* The larger of a and |x| as magnitude_bits gives them; which of the two is open where x is NaN. */
INLINE vint max_magnitude(vint a, vfloat x) {
#if LANES == 16
    return (vint)_mm512_range_ps((__m512)a, (__m512)x, 0xb);
#else
    return max_int(a, magnitude_bits(x));
#endif
}

INLINE float float_of_bits(int32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

/* u of random words: the upper 24 bits, uniform in [0, 1). */
INLINE vfloat uniform(vuint words) {
    return float_of((vint)(words >> 8)) * splat(0x1p-24f);
}

/* Sums in float64 of 16 lanes by column, whatever LANES is; column c adds to lane c % 16. */
typedef struct sum16 {
    vdouble lanes[32 / LANES];
} sum16;

/* Adds the squares of the vector that begins at column `offset` of a run, given in halves: numbers that came from f32,
 * whose squares are exact in float64, so that one rounding does. */
INLINE void add_squares(sum16 *sum, int offset, vdouble low, vdouble high) {
    int at = offset % 16 / LANES * 2;
    sum->lanes[at] = fused_add_double(low, low, sum->lanes[at]);
    sum->lanes[at + 1] = fused_add_double(high, high, sum->lanes[at + 1]);
}

/* Lanes i and i + 8, then + 4, + 2, + 1. */
INLINE double total(const sum16 *sum) {
    int vectors = 32 / LANES;
    vdouble folded[32 / LANES / 2];
#pragma GCC unroll 2
    for (int i = 0; i < vectors / 2; i++) folded[i] = sum->lanes[i] + sum->lanes[i + vectors / 2];
    double lanes[8];
    memcpy(lanes, folded, sizeof lanes);
    for (int half = 4; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

#endif
