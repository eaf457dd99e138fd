/* block.h: square blocks of f32 in scratch, for attention: vectors that are always whole, and exp2. */
#ifndef STERNA_BLOCK_H
#define STERNA_BLOCK_H

#include "kernels/template/row.h"
#include "kernels/template/sizes.h"
#include "kernels/template/transpose.h"

#define BLOCK 64

/* What operands of attention's products are for: scores; sums of values, or of rows of the other side. */
enum { FOR_SCORES = 1, FOR_SUMS = 2 };

INLINE vfloat load_whole(const float *p) {
    return load_floats(p, LANES);
}

INLINE void store_whole(float *p, vfloat v) {
    store_floats(p, v, LANES);
}

INLINE float sum_across(vfloat v) {
    vfloat lanes[PARTS] = {v};
    return sum_of_lanes(lanes);
}

INLINE float max_across(vfloat v) {
    vfloat lanes[PARTS];
    for (int p = 0; p < PARTS; p++) lanes[p] = v;
    return max_of_lanes(lanes);
}

/* 2^x for x <= 0, within 2e-7 of it; 2^-126 below that, and a NaN stays one. 2^r on |r| <= 1/2 is the
 * polynomial of degree 5 with least relative error among those that are 1 at 0. */
INLINE vfloat exp2_of(vfloat x) {
    x = max_float(splat(-126.0f), x);
    vfloat shifted = x + ROUND_TO_INTEGER, r = x - (shifted - ROUND_TO_INTEGER);
    vfloat p = fused_add(r, splat(1.3264727e-3f), splat(9.671513e-3f));
    p = fused_add(p, r, splat(5.5507336e-2f));
    p = fused_add(p, r, splat(2.4022242e-1f));
    p = fused_add(p, r, splat(6.9314700e-1f));
    p = fused_add(p, r, splat(1.0f));
    return (vfloat)((vuint)p + ((vuint)shifted << 23));
}

/* Keys that some query of the strip of `strip` rows at row i sees. */
INLINE int64_t keys_seen(int64_t see, int64_t i, int64_t strip) {
    return clamp(see + i / strip * strip + strip, 0, BLOCK);
}

/* x (rows, cols) of 32-bit words, both multiples of 8, to x_t (cols, rows) */
static inline void transpose_words(const void *x, int64_t rows, int64_t cols, void *x_t) {
    for (int64_t r = 0; r < rows; r += 8)
        for (int64_t c = 0; c < cols; c += 8) {
            __m256i square[8];
            for (int i = 0; i < 8; i++)
                square[i] = _mm256_loadu_si256((const __m256i *)((const uint32_t *)x + (r + i) * cols + c));
            transpose_8x8(square);
            for (int i = 0; i < 8; i++) _mm256_storeu_si256((__m256i *)((uint32_t *)x_t + (c + i) * rows + r), square[i]);
        }
}

#endif
