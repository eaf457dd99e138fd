/*
 * row.h: rows of either float type as vectors of lanes.h, exp, and the reductions of the row kernels.
 *
 * Loads and stores take the number of elements that are left: at least LANES of them give a whole
 * vector, fewer touch only the elements that exist, and none when the number is not positive.
 */
#ifndef STERNA_ROW_H
#define STERNA_ROW_H

#include "dispatch/exp.h"
#include "kernels/template/lanes.h"
#include "sterna.h"

typedef struct row {
    void *data;
    int32_t type;
} row;

/* Row r of x from column c on. */
INLINE row row_at(const sterna_matrix *x, int64_t r, int64_t c) {
    size_t bytes = x->type == STERNA_F32 ? 4 : 2;
    return (row){(char *)x->data + (size_t)(r * x->stride + c) * bytes, x->type};
}

/* A row from column c on. */
INLINE row row_from(row x, int64_t c) {
    return (row){(char *)x.data + c * (x.type == STERNA_F32 ? 4 : 2), x.type};
}

/* The same row, its type a constant where it is f32 by what has been asked before. */
INLINE row as_f32(row x) {
    return (row){x.data, STERNA_F32};
}

/* How many elements ahead memory is asked for where it is not in a cache. Rows mostly lie one behind the other; what
 * lies behind the last one need not exist. */
enum { AHEAD = 4096 };

INLINE void prefetch(row x) {
    __builtin_prefetch(x.data);
}

INLINE int lanes_of(int64_t left) {
    return left >= LANES ? LANES : left < 0 ? 0 : (int)left;
}

/* Nearest even in the upper half of a lane; what a NaN gives may be none. */
INLINE vint upper_nearest(vfloat x) {
    vuint bits = (vuint)x;
    return (vint)(bits + 0x7fff + (bits >> 16 & 1));
}

/* Nearest even; a NaN stays a quiet NaN. */
INLINE vint bf16_of_f32(vfloat x) {
    return (vint)((vuint)quiet_where_nan(upper_nearest(x), x) >> 16);
}

/* Columns c... of x; missing lanes are 0. */
INLINE vfloat load(row x, int64_t c, int64_t left) {
    if (x.type == STERNA_F32) return load_floats((const float *)x.data + c, lanes_of(left));
    return (vfloat)(load_shorts((const uint16_t *)x.data + c, lanes_of(left)) << 16);
}

/* The same with `fill` in missing lanes. */
INLINE vfloat load_or(row x, int64_t c, int64_t left, float fill) {
    vfloat v = load(x, c, left);
    if (left >= LANES) return v;
    return (vfloat)choose(lane_numbers() < splat_int(lanes_of(left)), (vint)v, (vint)splat(fill));
}

INLINE void store(row x, int64_t c, int64_t left, vfloat v) {
    if (x.type == STERNA_F32) store_floats((float *)x.data + c, v, lanes_of(left));
    else store_shorts((uint16_t *)x.data + c, bf16_of_f32(v), lanes_of(left));
}

/* bf16 of two vectors, in the upper halves of lanes. */
INLINE void round_pair(vint upper[2], vfloat a, vfloat b) {
    upper[0] = upper_nearest(a);
    upper[1] = upper_nearest(b);
    if (any_nan(a, b)) {
        upper[0] = quiet_where_nan(upper[0], a);
        upper[1] = quiet_where_nan(upper[1], b);
    }
}

/* Two vectors, whole. */
INLINE void store_bf16_pair(uint16_t *p, const vfloat v[2]) {
    vint upper[2];
    round_pair(upper, v[0], v[1]);
    store_upper_shorts(p, upper[0], upper[1]);
}

/* n vectors: one, or an even number of whole ones. */
INLINE void store_vectors(row x, int64_t c, int64_t left, const vfloat *v, int n) {
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
        if (n == 1 || x.type == STERNA_F32) store(x, c + i * LANES, left - i * LANES, v[i]);
        else if (i % 2 == 0) store_bf16_pair((uint16_t *)x.data + c + i * LANES, v + i);
}

INLINE vfloat magnitude(vfloat x) {
    return (vfloat)magnitude_bits(x);
}

/* ---------------------------------------------------------------- exp */

#if LANES == 16

/* x 2^n, rounded once; n = shifted - ROUND_TO_INTEGER. */
INLINE vfloat times_power_of_two(vfloat x, vfloat shifted) {
    return (vfloat)_mm512_scalef_ps((__m512)x, (__m512)(shifted - ROUND_TO_INTEGER));
}

#else

INLINE vfloat power_of_two(vint n) {
    return (vfloat)(((vuint)n + 127) << 23);
}

INLINE vfloat times_power_of_two(vfloat x, vfloat shifted) {
    vint exponent = (vint)((vuint)shifted - ROUND_TO_INTEGER_BITS), half = exponent >> 1;
    return x * power_of_two(half) * power_of_two(exponent - half);
}

#endif

enum { SIDES = 8 }; /* vectors side by side at most */

/* sterna_exp, lane by lane, of n vectors. They go side by side: one after the other, their long chains of operations
 * would fill the processor's scheduler with what waits. */
INLINE void vector_exps(vfloat *x, int n) {
    static const float TERMS[] = {EXP_P1, EXP_P2, EXP_P3, EXP_P4, EXP_P5};
    vfloat shifted[SIDES], p[SIDES];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
        vfloat v = max_float(splat(EXP_MIN), min_float(splat(EXP_MAX), x[i])); /* the second operand survives a NaN */
        shifted[i] = fused_add(v, splat(EXP_LOG2E), splat(ROUND_TO_INTEGER));
        vfloat whole = shifted[i] - ROUND_TO_INTEGER;
        x[i] = fused_add(whole, splat(-EXP_LN2_LOW), fused_add(whole, splat(-EXP_LN2_HIGH), v));
        p[i] = splat(EXP_P0);
    }
    for (int t = 0; t < 5; t++)
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) p[i] = fused_add(p[i], x[i], splat(TERMS[t]));
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) x[i] = times_power_of_two(fused_add(p[i], x[i] * x[i], x[i]) + 1.0f, shifted[i]);
}

/* ---------------------------------------------------------------- 16 lanes by column, then a tree */

#define PARTS (16 / LANES) /* vectors that hold the 16 lanes */

/* Lanes 0...7 (half 0) or 8...15. */
INLINE __m256 half_of(const vfloat lanes[PARTS], int half) {
#if LANES == 16
    return half ? _mm512_extractf32x8_ps((__m512)lanes[0], 1) : _mm512_castps512_ps256((__m512)lanes[0]);
#else
    return (__m256)lanes[half];
#endif
}

/* Lanes i and i + 4, then + 2, + 1. */
INLINE float sum_of_eight(__m256 x) {
    __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
}

/* Lanes i and i + 8, then as above. */
INLINE float sum_of_lanes(const vfloat lanes[PARTS]) {
    return sum_of_eight(_mm256_add_ps(half_of(lanes, 0), half_of(lanes, 1)));
}

INLINE int32_t max_of_int_lanes(const vint lanes[PARTS]) {
    vfloat bits[PARTS];
    for (int p = 0; p < PARTS; p++) bits[p] = (vfloat)lanes[p];
    __m256i by8 = _mm256_max_epi32((__m256i)half_of(bits, 0), (__m256i)half_of(bits, 1));
    __m128i by4 = _mm_max_epi32(_mm256_castsi256_si128(by8), _mm256_extracti128_si256(by8, 1));
    __m128i by2 = _mm_max_epi32(by4, _mm_unpackhi_epi64(by4, by4));
    return _mm_cvtsi128_si32(_mm_max_epi32(by2, _mm_srli_si128(by2, 4)));
}

INLINE float max_of_lanes(const vfloat lanes[PARTS]) {
    __m256 by8 = _mm256_max_ps(half_of(lanes, 0), half_of(lanes, 1));
    __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
}

#endif
