/*
 * gradient.c: gradients in int8 by stochastic rounding, and the two products that take them.
 *
 * No overflow: the sums of the input gradient are those of sterna_linear, |sum| <= 128 * 127 * 65536 < 2^31, in
 * the biased form of the fast tiers too. A group of the weight gradient has 256 tokens: |sum| <= 127 * 127 * 256
 * < 2^24, so that turning it to f32 is exact; there is no limit to the tokens.
 */
#include "dispatch/gradient.h"

#include <math.h>

#include "dispatch/element.h"
#include "dispatch/families.h"
#include "dispatch/grid.h"
#include "dispatch/philox.h"

/* What all elements of a call of sterna_quantize_gradient share. */
typedef struct quantization {
    const sterna_matrix *dy;
    const float *row_scales, *x_scales;
    const sterna_quantized *by_token;
    const sterna_gradient *by_feature;
    int64_t first;
    uint64_t key;
} quantization;

static float token_value(const quantization *c, int64_t r, int64_t n) {
    float v = sterna_get(c->dy, r, n);
    return c->row_scales ? v * c->row_scales[n] : v;
}

static float feature_value(const quantization *c, int64_t r, int64_t n) {
    return sterna_get(c->dy, r, n) * c->x_scales[c->first + r];
}

static int all_finite(const quantization *c, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        for (int64_t n = 0; n < c->dy->cols; n++) {
            if (c->by_token && !isfinite(token_value(c, r, n))) return 0;
            if (c->by_feature && !isfinite(feature_value(c, r, n))) return 0;
        }
    return 1;
}

/* The random word of an element. */
static uint32_t word_of(const quantization *c, int64_t r, int64_t n) {
    uint32_t words[STERNA_BLOCK];
    int64_t block = (c->first + r) * sterna_blocks(c->dy->cols) + n / STERNA_BLOCK;
    sterna_philox_words(c->key, STERNA_STREAM_GRADIENT, block, words);
    return words[n % STERNA_BLOCK];
}

/* A code whose mean is value * factor / 65536, over u in 0...65535. */
static int8_t code_of(float value, float factor, int32_t u) {
    return (int8_t)(((int32_t)rintf(value * factor) + u) >> 16);
}

/* Token r: one scale, all features. */
static void quantize_token(const quantization *c, int64_t r) {
    float largest = 0;
    for (int64_t n = 0; n < c->dy->cols; n++) largest = fmaxf(largest, fabsf(token_value(c, r, n)));
    float factor = sterna_gradient_factor(largest);
    int8_t *codes = c->by_token->codes + r * c->by_token->stride;
    for (int64_t n = 0; n < c->dy->cols; n++)
        codes[n] = code_of(token_value(c, r, n), factor, (int32_t)(word_of(c, r, n) >> 16));
    c->by_token->scales[r] = sterna_gradient_scale(largest);
}

/* Feature n: one scale for the rows r0...r1-1 of dy, a group of tokens. */
static void quantize_feature(const quantization *c, int64_t n, int64_t r0, int64_t r1) {
    float largest = 0;
    for (int64_t r = r0; r < r1; r++) largest = fmaxf(largest, fabsf(feature_value(c, r, n)));
    float factor = sterna_gradient_factor(largest);
    int8_t *codes = c->by_feature->codes + n * c->by_feature->stride + c->first;
    for (int64_t r = r0; r < r1; r++)
        codes[r] = code_of(feature_value(c, r, n), factor, (int32_t)(word_of(c, r, n) & 0xffff));
    int64_t groups = sterna_gradient_groups(c->by_feature->cols);
    c->by_feature->scales[n * groups + (c->first + r0) / STERNA_GRADIENT_GROUP] = sterna_gradient_scale(largest);
}

static int32_t quantize_gradient(const sterna_matrix *dy, const float *row_scales, const float *x_scales,
                                 const sterna_quantized *by_token, const sterna_gradient *by_feature,
                                 int64_t first, uint64_t key, int64_t row0, int64_t row1) {
    quantization c = {dy, row_scales, x_scales, by_token, by_feature, first, key};
    if (!all_finite(&c, row0, row1)) return STERNA_STATUS(2, STERNA_NONFINITE);
    for (int64_t r0 = row0; r0 < row1; r0 += STERNA_GRADIENT_GROUP) {
        int64_t r1 = row1 - r0 < STERNA_GRADIENT_GROUP ? row1 : r0 + STERNA_GRADIENT_GROUP;
        for (int64_t r = r0; by_token && r < r1; r++) quantize_token(&c, r);
        for (int64_t n = 0; by_feature && n < dy->cols; n++) quantize_feature(&c, n, r0, r1);
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- products */

static void store(const sterna_matrix *x, int64_t r, int64_t c, float value, int accumulate) {
    sterna_put(x, r, c, accumulate ? sterna_get(x, r, c) + value : value);
}

/* sum (64) += x times the block of codes that begins at column col0 of row n. */
static void add_codes(int32_t sum[STERNA_BLOCK], int32_t x, const sterna_packed *w, int64_t n, int64_t col0) {
    const uint8_t *block = sterna_packed_row(w, n) + col0 / STERNA_BLOCK * 8 * sterna_bits(w->grid);
    for (int j = 0; j < STERNA_BLOCK && col0 + j < w->cols; j++) sum[j] += x * sterna_get_code(block, w->grid, j);
}

static int32_t input_gradient_int8(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *dx,
                                   int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    (void)scratch;
    float scale = w->scaling == STERNA_PER_TENSOR ? w->scales[0] : 1;
    for (int64_t t = row0; t < row1; t++)
        for (int64_t col0 = 0; col0 < w->cols; col0 += STERNA_BLOCK) {
            int32_t sum[STERNA_BLOCK] = {0};
            for (int64_t n = 0; n < w->rows; n++) add_codes(sum, q->codes[t * q->stride + n], w, n, col0);
            for (int64_t j = 0; j < STERNA_BLOCK && col0 + j < w->cols; j++)
                store(dx, t, col0 + j, (float)sum[j] * scale * q->scales[t], accumulate);
        }
    return STERNA_OK;
}

/* Tokens t0...t1-1 of g(n, t) x(t, k). */
static int32_t sum_of_group(const sterna_gradient *g, const sterna_quantized *x, int64_t n, int64_t k, int64_t t0,
                            int64_t t1) {
    int32_t sum = 0;
    for (int64_t t = t0; t < t1; t++) sum += g->codes[n * g->stride + t] * x->codes[t * x->stride + k];
    return sum;
}

static int32_t weight_gradient_int8(const sterna_gradient *g, const sterna_quantized *x, const sterna_matrix *dw,
                                    int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    (void)scratch;
    int64_t groups = sterna_gradient_groups(g->cols);
    for (int64_t n = row0; n < row1; n++)
        for (int64_t k = 0; k < x->cols; k++)
            for (int64_t i = 0; i < groups; i++) {
                int64_t t0 = i * STERNA_GRADIENT_GROUP, t1 = t0 + STERNA_GRADIENT_GROUP;
                int32_t sum = sum_of_group(g, x, n, k, t0, t1 < g->cols ? t1 : g->cols);
                store(dw, n - row0, k, (float)sum * g->scales[n * groups + i], accumulate || i > 0);
            }
    return STERNA_OK;
}

void sterna_reference_gradient(sterna_table *t) {
    t->quantize_gradient = quantize_gradient;
    t->input_gradient_int8 = input_gradient_int8;
    t->weight_gradient_int8 = weight_gradient_int8;
}
