/*
 * int16.h: lanes of gemm.h that hold two int16, for tiers that multiply these faster than f32. Row i of A, over the
 * depth of a block, becomes whole numbers of steps of its own: A(i, r) = lane * scales[i], with the largest magnitude
 * at 32,767 steps. B is int8 already: codes of weights, or of activations. Sums of a block are exact.
 *
 * No overflow: |sum| <= 32,767 * 128 * DEPTH < 2^31 for DEPTH up to 512.
 *
 * A number that is not finite makes its row's scale a NaN, and with it the row of C.
 */
#ifndef STERNA_INT16_H
#define STERNA_INT16_H

#include <math.h>

#include "kernels/template/lanes.h"

#define INT16_LARGEST 32767
/* A row whose largest magnitude is below this counts as zero: every factor stays a normal number. */
#define INT16_FLOOR 0x1p-100f

static inline float int16_scale(float largest) {
    if (!isfinite(largest)) return NAN;
    return largest < INT16_FLOOR ? 0 : largest / INT16_LARGEST;
}

static inline float int16_inverse(float largest) {
    return largest < INT16_FLOOR || !isfinite(largest) ? 0 : INT16_LARGEST / largest;
}

#if LANES == 16

/* Pairs of neighbours: x's 16 numbers, then y's. */
INLINE vuint join_along(vfloat x, vfloat y) {
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    __m512i pairs = _mm512_packs_epi32((__m512i)nearest_int(x), (__m512i)nearest_int(y));
    return (vuint)_mm512_permutexvar_epi64(order, pairs);
}

/* A step of a panel: columns 0...15 of two rows of int8. */
INLINE void join_bytes(__m128i x, __m128i y, uint32_t *out) {
    __m256i pairs = _mm256_set_m128i(_mm_unpackhi_epi8(x, y), _mm_unpacklo_epi8(x, y));
    _mm512_store_si512(out, _mm512_cvtepi8_epi16(pairs));
}

#else

INLINE vuint join_along(vfloat x, vfloat y) {
    __m256i pairs = _mm256_packs_epi32((__m256i)nearest_int(x), (__m256i)nearest_int(y));
    return (vuint)_mm256_permute4x64_epi64(pairs, 0xd8);
}

INLINE void join_bytes(__m128i x, __m128i y, uint32_t *out) {
    _mm256_store_si256((__m256i *)out, _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(x, y)));
    _mm256_store_si256((__m256i *)(out + 8), _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(x, y)));
}

#endif

/* Pairs of x and y, lane by lane; both lie within int16. */
INLINE vuint join_across(vfloat x, vfloat y) {
    return ((vuint)nearest_int(x) & 0xffff) | (vuint)nearest_int(y) << 16;
}

/* Up to 16 bytes, then zeros; none when count is not positive. */
INLINE __m128i load_codes(const int8_t *from, int64_t count) {
    int8_t some[16] = {0};
    if (count >= 16) return _mm_loadu_si128((const __m128i *)from);
    if (count > 0) memcpy(some, from, (size_t)count);
    return _mm_loadu_si128((const __m128i *)some);
}

#endif
