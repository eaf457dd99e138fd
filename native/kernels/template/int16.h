/*
 * int16.h: lanes of gemm.h that hold two int16, for tiers that multiply these faster than f32. Row i of A, over a run of
 * the depth, becomes whole numbers of steps of its own: A(i, r) = lane * scales[i], with the largest magnitude at
 * LARGEST_A steps. Where GEMM_INT16 is 1, B is int8 already: codes of weights, or of activations; where it is 2, column
 * j of B becomes steps like a row of A. Sums of a run are exact: none overflows int32.
 *
 * A number that is not finite makes its row's scale a NaN, and with it the row of C; so with columns.
 */
#ifndef STERNA_INT16_H
#define STERNA_INT16_H

#include <math.h>

#include "dispatch/gradient.h"
#include "kernels/template/pack.h"

#if GEMM_INT16 == 1
#define LARGEST_A 32767
#define LARGEST_B 128
#else
#define LARGEST_A 8191
#define LARGEST_B 2047
#endif
_Static_assert((int64_t)LARGEST_A * LARGEST_B * RUN * GEMM_DEPTH < INT64_C(1) << 31, "the sum of a run fits in int32");

/* ---------------------------------------------------------------- scales */

static inline float int16_scale(float largest, int steps) {
    if (!isfinite(largest)) return NAN;
    return largest < GRADIENT_FLOOR ? 0 : largest / (float)steps;
}

static inline float int16_inverse(float largest, int steps) {
    return largest < GRADIENT_FLOOR || !isfinite(largest) ? 0 : (float)steps / largest;
}

enum { SCALED = GEMM_INT16 == 1 }; /* gradients always have factors, other products none */

/* The bits of the largest magnitude of each outer of a piece. */
INLINE void find_largest(const struct operand *o, enum format format, int along, const struct piece *p, int32_t *largest) {
    for (int64_t outer = 0; along && outer < p->outers; outer++) {
        vint max = splat_int(0);
        for (int64_t r = 0; r < p->depth; r += LANES)
            max = max_int(max, magnitude_bits(numbers_along(o, format, p, SCALED, outer, r, p->depth - r)));
        largest[outer] = largest_int(max);
    }
    enum { CHUNK = 4 }; /* vectors of outers side by side */
    for (int64_t outer = 0; !along && outer < p->outers; outer += CHUNK * LANES) {
        vint max[CHUNK] = {{0}};
        for (int64_t r = 0; r < p->depth; r++)
#pragma GCC unroll 4
            for (int64_t v = 0; v < CHUNK; v++) {
                int64_t first = outer + v * LANES;
                max[v] = max_int(max[v], magnitude_bits(numbers_across(o, format, p, SCALED, first, r, p->outers - first)));
            }
        memcpy(largest + outer, max, sizeof max);
    }
}

/* Sets the scales of a piece's outers, and what turns their numbers into steps; 0 for those that are missing. */
static void measure(const struct operand *o, const struct piece *p, int steps, float *scales, float inverse[OUTERS]) {
    int32_t largest[OUTERS]; /* written in runs of four vectors */
    if (o->format == FORMAT_F32 && o->along) find_largest(o, FORMAT_F32, 1, p, largest);
    else if (o->format == FORMAT_F32) find_largest(o, FORMAT_F32, 0, p, largest);
    else if (o->along) find_largest(o, FORMAT_BF16, 1, p, largest);
    else find_largest(o, FORMAT_BF16, 0, p, largest);
    for (int64_t i = 0; i < round_up(p->outers + SPARE, 64); i++) {
        scales[i] = i < p->outers ? int16_scale(float_of_bits(largest[i]), steps) : 0;
        inverse[i] = i < p->outers ? int16_inverse(float_of_bits(largest[i]), steps) : 0;
    }
}

/* One at least, so that there are scales where nothing is summed. */
INLINE int64_t runs_of(const struct piece *p) {
    return p->depth > 0 ? (p->depth + RUN * GEMM_DEPTH - 1) / (RUN * GEMM_DEPTH) : 1;
}

/* Run number `run` of a piece. */
INLINE struct piece run_of(const struct piece *p, int64_t run, const float *inverse) {
    int64_t r = run * RUN * GEMM_DEPTH;
    return (struct piece){p->outer, p->outers, p->r + r, least(p->depth - r, RUN * GEMM_DEPTH),
                          p->factors ? p->factors + r : NULL, inverse};
}

static void pack_rows(const struct operand *o, const struct piece *p, float scales[RUNS][ROW_SCALES], uint32_t *out) {
    float inverse[OUTERS];
    for (int64_t run = 0; run < runs_of(p); run++) {
        struct piece part = run_of(p, run, inverse);
        measure(o, &part, LARGEST_A, scales[run], inverse);
        pack_a(o, &part, out + lane_index(LAYOUT_ROWS, 0, run * RUN));
    }
}

/* ---------------------------------------------------------------- B */

#if GEMM_INT16 == 2

static void pack_cols(const struct operand *o, const struct piece *p, float scales[RUNS][COL_SCALES], uint32_t *out) {
    float inverse[OUTERS];
    for (int64_t run = 0; run < runs_of(p); run++) {
        struct piece part = run_of(p, run, inverse);
        measure(o, &part, LARGEST_B, scales[run], inverse);
        pack_floats(o, &part, LAYOUT_PANELS, round_up(p->outers, PANEL), out + lane_index(LAYOUT_PANELS, 0, run * RUN));
    }
}

#else

/* Up to 16 bytes, then zeros; none when count is not positive. */
INLINE __m128i load_sixteen(const int8_t *from, int64_t count) {
    int8_t some[16] = {0};
    if (count >= 16) return _mm_loadu_si128((const __m128i *)from);
    if (count > 0) memcpy(some, from, (size_t)count);
    return _mm_loadu_si128((const __m128i *)some);
}

#if LANES == 16

/* A step of a panel: columns 0...15 of two rows of int8. */
INLINE void join_bytes(__m128i x, __m128i y, uint32_t *out) {
    __m256i pairs = _mm256_set_m128i(_mm_unpackhi_epi8(x, y), _mm_unpacklo_epi8(x, y));
    _mm512_store_si512(out, _mm512_cvtepi8_epi16(pairs));
}

#else

INLINE void join_bytes(__m128i x, __m128i y, uint32_t *out) {
    _mm256_store_si256((__m256i *)out, _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(x, y)));
    _mm256_store_si256((__m256i *)(out + 8), _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(x, y)));
}

#endif

/* A panel of B from `rows` rows of int8, `count` columns of them; missing ones are 0. */
INLINE void pack_bytes(const int8_t *from, int64_t stride, int64_t rows, int64_t count, uint32_t *out) {
    for (int64_t r = 0; r < rows; r += 2, from += 2 * stride, out += PANEL)
        join_bytes(load_sixteen(from, count), r + 1 < rows ? load_sixteen(from + stride, count) : _mm_setzero_si128(), out);
}

/* Activations. */
static void pack_int8(const struct operand *o, const struct piece *p, uint32_t *out) {
    for (int64_t outer = 0; outer < p->outers; outer += PANEL, out += STEPS * PANEL) {
        const int8_t *from = (const int8_t *)o->data + p->r * o->stride + p->outer + outer;
        if (p->outers - outer >= PANEL) pack_bytes(from, o->stride, p->depth, PANEL, out);
        else pack_bytes(from, o->stride, p->depth, p->outers - outer, out);
    }
}

/* Weights: int8 on the stack first, a block of columns by some rows. */
static void pack_codes(const struct operand *o, const struct piece *p, int64_t padded, uint32_t *out) {
    enum { ROWS = 16 };
    int8_t codes[ROWS][STERNA_BLOCK] __attribute__((aligned(64)));
    for (int64_t outer0 = 0; outer0 < padded; outer0 += STERNA_BLOCK)
        for (int64_t r = 0; r < p->depth; r += ROWS) {
            int64_t rows = least(p->depth - r, ROWS);
            unpack_rows(o->codes, p->r + r, rows, p->outer + outer0, codes);
            for (int64_t outer = 0; outer < least(padded - outer0, STERNA_BLOCK); outer += PANEL)
                pack_bytes(codes[0] + outer, STERNA_BLOCK, rows, PANEL, out + lane_index(LAYOUT_PANELS, outer0 + outer, r / 2));
        }
}

static void pack_b(const struct operand *o, const struct piece *p, uint32_t *out) {
    if (o->format == FORMAT_CODES) pack_codes(o, p, round_up(p->outers, PANEL), out);
    else pack_int8(o, p, out);
}

#endif

#endif
