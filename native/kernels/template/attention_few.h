/*
 * attention_few.h: the products of attention.h for one query or two, which read keys and values once and where
 * they stand. Every sum has one order, whatever is summed beside it.
 */
#ifndef STERNA_ATTENTION_FEW_H
#define STERNA_ATTENTION_FEW_H

#include "kernels/template/ahead.h"
#include "kernels/template/block.h"

#define TOGETHER 2 /* queries at most, so that keys and values become f32 once for them */
#define KEYS 4     /* keys whose scores are added up together */
#define SUMS 8     /* vectors of results in registers */

/* The sums of four vectors. */
INLINE void add_across_four(const vfloat v[4], float *sums) {
    __m256 by8[4];
    for (int i = 0; i < 4; i++) {
#if LANES == 16
        by8[i] = _mm256_add_ps(half_of(&v[i], 0), half_of(&v[i], 1));
#else
        by8[i] = (__m256)v[i];
#endif
    }
    __m256 by4 = _mm256_hadd_ps(_mm256_hadd_ps(by8[0], by8[1]), _mm256_hadd_ps(by8[2], by8[3]));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(by4), _mm256_extractf128_ps(by4, 1)));
}

/* LANES terms, `left` of them there, of the sums of `rows` queries and `keys` keys. */
INLINE void add_score_terms(int rows, int keys, const row line[KEYS], int64_t c, int64_t left, const float *const *q,
                            vfloat sums[TOGETHER][KEYS]) {
    for (int i = 0; i < keys; i++) {
        vfloat key = load_line(line[i], c, left);
        for (int r = 0; r < rows; r++) sums[r][i] = fused_add(load_whole(q[r] + c), key, sums[r][i]);
    }
}

/* scores[r][j...] = q[r] . key j... for `keys` keys; those after them, up to KEYS, have no meaning. */
INLINE void score_keys(int32_t type, int rows, int keys, region k, int64_t j, const float *const *q,
                       float *const *scores) {
    vfloat sums[TOGETHER][KEYS];
    row line[KEYS];
    int64_t c = 0;
    for (int i = 0; i < keys; i++) line[i] = line_of(k, type, j + i);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < KEYS; i++) sums[r][i] = splat(0);
    for (; c + LANES <= k.head_dim; c += LANES) add_score_terms(rows, keys, line, c, LANES, q, sums);
    if (c < k.head_dim) add_score_terms(rows, keys, line, c, k.head_dim - c, q, sums);
    for (int r = 0; r < rows; r++) add_across_four(sums[r], scores[r] + j);
}

/* What is read next is fetched row by row meanwhile: the hardware finds a head's rows, which lie apart from all else,
 * late. These are the rows that did not get their turn. */
INLINE void fetch_rest(region next, int64_t fetched) {
    for (int64_t j = fetched; j < next.rows; j++) fetch_row(next, j);
}

INLINE void score_typed(int32_t type, int rows, region k, int64_t seen, const float *const *q, float *const *scores,
                        region next) {
    int64_t j = 0;
    for (; j + KEYS <= seen; j += KEYS) {
        for (int i = 0; i < KEYS; i++) fetch_row(next, j + i);
        score_keys(type, rows, KEYS, k, j, q, scores);
    }
    if (seen - j == 3) score_keys(type, rows, 3, k, j, q, scores);
    else if (seen - j == 2) score_keys(type, rows, 2, k, j, q, scores);
    else if (seen - j == 1) score_keys(type, rows, 1, k, j, q, scores);
}

/* The first n of x, each times its scale. */
INLINE void scale_each(float *x, const float *scales, int64_t n) {
    for (int64_t j = 0; j < n; j += LANES) store_whole(x + j, load_whole(x + j) * load_floats(scales + j, lanes_of(n - j)));
}

/* The scores of `rows` queries, a constant, with the first `seen` keys. */
INLINE void score_rows(int rows, region k, int64_t seen, const float *const *q, float *const *scores, region next) {
    if (k.x->type == STERNA_F32) score_typed(STERNA_F32, rows, k, seen, q, scores, next);
    else if (k.x->type == STERNA_BF16) score_typed(STERNA_BF16, rows, k, seen, q, scores, next);
    else score_typed(STERNA_I8, rows, k, seen, q, scores, next);
    fetch_rest(next, seen / KEYS * KEYS);
    for (int r = 0; r < rows && k.scales; r++) scale_each(scores[r], k.scales, seen);
}

/* sums[r][i] += weights[r][j] value(j)[c + i * LANES...]: `vectors` vectors; `left` elements, or more than they hold. */
INLINE void add_value(int32_t type, int rows, int vectors, region v, int64_t j, int64_t c, int64_t left,
                      float *const *weights, vfloat sums[TOGETHER][SUMS]) {
    row line = line_of(v, type, j);
    for (int i = 0; i < vectors; i++) {
        vfloat value = load_line(line, c + i * LANES, left - i * LANES);
        for (int r = 0; r < rows; r++) sums[r][i] = fused_add(splat(weights[r][j]), value, sums[r][i]);
    }
}

/* out[r][c...] += the sum of weights[r][j] value(j)[c...]. Values with an even j and those with an odd one are added
 * apart, so that half as many sums wait for the one before. */
INLINE void add_columns(int32_t type, int rows, int vectors, region v, int64_t seen, int64_t c, int64_t left,
                        float *const *weights, float *const *out, region next) {
    vfloat even[TOGETHER][SUMS], odd[TOGETHER][SUMS];
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vectors; i++) even[r][i] = load_whole(out[r] + c + i * LANES), odd[r][i] = splat(0);
    int64_t j = 0;
    for (; j + 2 <= seen; j += 2) {
        if (c == 0) fetch_row(next, j), fetch_row(next, j + 1);
        add_value(type, rows, vectors, v, j, c, left, weights, even);
        add_value(type, rows, vectors, v, j + 1, c, left, weights, odd);
    }
    if (j < seen) add_value(type, rows, vectors, v, j, c, left, weights, even);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vectors; i++) store_whole(out[r] + c + i * LANES, even[r][i] + odd[r][i]);
}

INLINE void add_typed(int32_t type, int rows, region v, int64_t seen, float *const *weights, float *const *out,
                      region next) {
    const int most = SUMS / 2 / rows;
    int64_t c = 0;
    for (; c + most * LANES <= v.head_dim; c += most * LANES)
        add_columns(type, rows, most, v, seen, c, most * LANES, weights, out, next);
    for (; c < v.head_dim; c += LANES) add_columns(type, rows, 1, v, seen, c, v.head_dim - c, weights, out, next);
}

/* Adds the first `seen` values with the weights of `rows` queries, a constant; the weights are used up. */
INLINE void add_rows(int rows, region v, int64_t seen, float *const *weights, float *const *out, region next) {
    for (int r = 0; r < rows && v.scales; r++) scale_each(weights[r], v.scales, seen);
    if (v.x->type == STERNA_F32) add_typed(STERNA_F32, rows, v, seen, weights, out, next);
    else if (v.x->type == STERNA_BF16) add_typed(STERNA_BF16, rows, v, seen, weights, out, next);
    else add_typed(STERNA_I8, rows, v, seen, weights, out, next);
    fetch_rest(next, seen / 2 * 2);
}

#endif
