/*
 * gradient.h: sterna_quantize_gradient for a tier of lanes.h; gives `quantize_gradient`.
 *
 * A group of 256 tokens is read three times, out of L2: along the tokens for their largest values, then, 64
 * features at a time, for the largest of each feature and for the codes. The codes by feature are transposed
 * in registers: four tokens share a word, and words of LANES times four tokens make a square.
 */
#ifndef STERNA_TEMPLATE_GRADIENT_H
#define STERNA_TEMPLATE_GRADIENT_H

#include <math.h>

#include "dispatch/gradient.h"
#include "dispatch/grid.h"
#include "dispatch/table.h"
#include "kernels/template/philox.h"
#include "kernels/template/row.h"
#include "kernels/template/square.h"

enum {
    GROUP = STERNA_GRADIENT_GROUP,
    SQUARE = 4 * LANES /* tokens whose codes are transposed together */
};

/* What all elements of a call share. */
typedef struct quantization {
    const sterna_matrix *dy;
    const float *row_scales, *x_scales;
    const sterna_quantized *by_token;
    const sterna_gradient *by_feature;
    int64_t first, blocks; /* blocks of 64 features */
    round_keys keys;
} quantization;

/* ---------------------------------------------------------------- the largest values */

/* The bits of the largest magnitudes of a token: of dy as it is, and by the rows' scales. */
typedef struct token_maxima {
    vint plain, scaled;
} token_maxima;

INLINE void token_step(const quantization *c, token_maxima *m, row dy, int64_t n, int64_t left) {
    vfloat v = load(dy, n, left);
    m->plain = max_int(m->plain, magnitude_bits(v));
    if (c->row_scales) v *= load_floats(c->row_scales + n, lanes_of(left));
    m->scaled = max_int(m->scaled, magnitude_bits(v));
}

/* The largest value of row r by token; tells whether its values, by feature too, are finite: rounding is
 * monotonic, so the largest decides for all. */
static int largest_of_token(const quantization *c, int64_t r, float *largest) {
    token_maxima m = {splat_int(0), splat_int(0)};
    row dy = row_at(c->dy, r, 0);
    int64_t n = 0;
    for (; n + LANES <= c->dy->cols; n += LANES) token_step(c, &m, dy, n, LANES);
    if (n < c->dy->cols) token_step(c, &m, dy, n, c->dy->cols - n);
    *largest = float_of_bits(largest_int(m.scaled));
    float by_feature = float_of_bits(largest_int(m.plain));
    if (c->by_feature) by_feature *= c->x_scales[c->first + r];
    return isfinite(*largest) && isfinite(by_feature);
}

/* Rows r0...r0+rows-1, at most a group. */
static int largest_of_tokens(const quantization *c, int64_t r0, int64_t rows, float largest[GROUP]) {
    int all_finite = 1;
    for (int64_t i = 0; i < rows; i++) all_finite &= largest_of_token(c, r0 + i, &largest[i]);
    return all_finite;
}

/* A block of 64 features for a group of tokens. */
typedef struct feature_block {
    int64_t r0, rows, n, count; /* rows of dy; the first feature, and how many there are */
} feature_block;

/* The features' largest values over the group. */
INLINE void largest_of_features(const quantization *c, const feature_block *b, vfloat largest[VECTORS]) {
    vint maxima[VECTORS] = {{0}};
    for (int64_t i = 0; i < b->rows; i++) {
        row dy = row_at(c->dy, b->r0 + i, b->n);
        vfloat x_scale = splat(c->x_scales[c->first + b->r0 + i]);
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            maxima[v] = max_int(maxima[v], magnitude_bits(load(dy, v * LANES, b->count - v * LANES) * x_scale));
    }
    for (int v = 0; v < VECTORS; v++) largest[v] = (vfloat)maxima[v];
}

/* ---------------------------------------------------------------- codes */

/* sum >> 16 is a code whose mean is value * factor / 65536, for u in 0...65535. */
INLINE vint rounded(vfloat value, vfloat factor, vint u) {
    return nearest_int(value * factor) + u;
}

/* Row i of the block by token. */
INLINE void store_token(const quantization *c, const feature_block *b, int64_t i, float factor, const vfloat dy[VECTORS],
                        const vuint words[VECTORS]) {
    uint8_t *codes = (uint8_t *)c->by_token->codes + (b->r0 + i) * c->by_token->stride + b->n;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        int left = lanes_left((int)b->count, v * LANES);
        vfloat value = c->row_scales ? dy[v] * load_floats(c->row_scales + b->n + (left ? v * LANES : 0), left) : dy[v];
        if (left) store_bytes(codes + v * LANES, rounded(value, splat(factor), (vint)(words[v] >> 16)) >> 16, left);
    }
}

/* The codes by feature of up to SQUARE tokens: byte j of word i of a feature is that of token 4 i + j. */
typedef struct feature_codes {
    vuint words[VECTORS][LANES];
} feature_codes;

/* Token i of a square: its codes, which are in bits 16...23 of sums, go to byte i % 4. */
INLINE void add_token(feature_codes *codes, int i, int v, vint sum) {
    static const int SHIFTS[4] = {-16, -8, 0, 8};
    int shift = SHIFTS[i % 4];
    vuint code = shift < 0 ? (vuint)sum >> -shift : (vuint)sum << shift;
    vint mask = (vint)(splat_int(0xff) << (i % 4 * 8));
    vuint before = i % 4 ? codes->words[v][i / 4] : (vuint)splat_int(0);
    codes->words[v][i / 4] = (vuint)or_and((vint)before, (vint)code, mask);
}

/* The words of two blocks: with 16 lanes their four chains of rounds run together. */
INLINE void two_blocks_words(const round_keys *keys, int64_t block0, int64_t block1, vuint words[2][VECTORS]) {
    uint64_t index0 = (uint64_t)block0 * 16, index1 = (uint64_t)block1 * 16;
    if (LANES == 16 && index0 >> 32 == index1 >> 32) {
        vlong lanes = even_multiples(STERNA_PHILOX_M0), next = splat_long(STERNA_PHILOX_M0);
        vlong first = splat_long((uint64_t)STERNA_PHILOX_M0 * (uint32_t)index0) + lanes;
        vlong second = splat_long((uint64_t)STERNA_PHILOX_M0 * (uint32_t)index1) + lanes;
        vlong products[4] = {first, first + next, second, second + next};
        philox_state s = nine_rounds(keys, 4, products, (uint32_t)(index0 >> 32), STERNA_STREAM_GRADIENT, 0);
        finish_words(keys, &s, 0, words[0]);
        finish_words(keys, &s, 2, words[1]);
        return;
    }
    block_words(keys, STERNA_STREAM_GRADIENT, block0, words[0]);
    block_words(keys, STERNA_STREAM_GRADIENT, block1, words[1]);
}

/* Row i of a square whose first token is at row `begin` of the block. */
INLINE void round_token(const quantization *c, const feature_block *b, int64_t begin, int i, const float factors[GROUP],
                        const vfloat feature_factors[VECTORS], const vuint words[VECTORS], feature_codes *codes) {
    int64_t r = begin + i;
    vfloat dy[VECTORS];
    row from = row_at(c->dy, b->r0 + r, b->n);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) dy[v] = load(from, v * LANES, b->count - v * LANES);
    if (c->by_token) store_token(c, b, r, factors[r], dy, words);
    if (!c->by_feature) return;
    vfloat x_scale = splat(c->x_scales[c->first + b->r0 + r]);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++)
        add_token(codes, i, v, rounded(dy[v] * x_scale, feature_factors[v], (vint)words[v] & splat_int(0xffff)));
}

/* A square's codes go to `tokens` columns of their features. */
INLINE void store_features(const quantization *c, const feature_block *b, int64_t begin, int64_t tokens, feature_codes *codes) {
    int8_t *out = c->by_feature->codes + b->n * c->by_feature->stride + c->first + b->r0 + begin;
    for (int v = 0; v < VECTORS; v++) {
        transpose_lanes(codes->words[v]);
        for (int64_t i = 0; i < lanes_left((int)b->count, v * LANES); i++) {
            int8_t *to = out + (v * LANES + i) * c->by_feature->stride;
            if (tokens == SQUARE) memcpy(to, &codes->words[v][i], SQUARE);
            else memcpy(to, &codes->words[v][i], (size_t)tokens);
        }
    }
}

static void store_feature_scales(const quantization *c, const feature_block *b, const float *largest) {
    int64_t groups = sterna_gradient_groups(c->by_feature->cols), group = (c->first + b->r0) / GROUP;
    for (int64_t i = 0; i < b->count; i++)
        c->by_feature->scales[(b->n + i) * groups + group] = sterna_gradient_scale(largest[i]);
}

static void quantize_block(const quantization *c, const feature_block *b, const float factors[GROUP]) {
    vfloat largest[VECTORS], feature_factors[VECTORS];
    if (c->by_feature) {
        largest_of_features(c, b, largest);
        store_feature_scales(c, b, (const float *)largest);
        for (int v = 0; v < VECTORS; v++)
            for (int i = 0; i < LANES; i++) feature_factors[v][i] = sterna_gradient_factor(largest[v][i]);
    }
    for (int64_t begin = 0; begin < b->rows; begin += SQUARE) {
        int64_t tokens = b->rows - begin < SQUARE ? b->rows - begin : SQUARE;
        feature_codes codes;
        for (int i = 0; i < tokens; i += 2) {
            vuint words[2][VECTORS];
            int64_t block = (c->first + b->r0 + begin + i) * c->blocks + b->n / STERNA_BLOCK;
            two_blocks_words(&c->keys, block, block + c->blocks, words);
            round_token(c, b, begin, i, factors, feature_factors, words[0], &codes);
            if (i + 1 < tokens) round_token(c, b, begin, i + 1, factors, feature_factors, words[1], &codes);
        }
        if (c->by_feature) store_features(c, b, begin, tokens, &codes);
    }
}

/* Rows r0...r0+rows-1, a group of tokens. */
static void quantize_group(const quantization *c, int64_t r0, int64_t rows, const float largest[GROUP]) {
    float factors[GROUP];
    for (int64_t i = 0; i < rows; i++) {
        factors[i] = sterna_gradient_factor(largest[i]);
        if (c->by_token) c->by_token->scales[r0 + i] = sterna_gradient_scale(largest[i]);
    }
    for (int64_t n = 0; n < c->dy->cols; n += STERNA_BLOCK) {
        int64_t left = c->dy->cols - n;
        quantize_block(c, &(feature_block){r0, rows, n, left < STERNA_BLOCK ? left : STERNA_BLOCK}, factors);
    }
}

static int64_t rows_of_group(int64_t r0, int64_t row1) {
    return row1 - r0 < GROUP ? row1 - r0 : GROUP;
}

/* Nothing may be written before all is known to be finite; a call of one group, as training makes them, searches
 * for the largest values only once. */
static int32_t quantize_gradient(const sterna_matrix *dy, const float *row_scales, const float *x_scales,
                                 const sterna_quantized *by_token, const sterna_gradient *by_feature,
                                 int64_t first, uint64_t key, int64_t row0, int64_t row1) {
    quantization c = {dy, by_token ? row_scales : NULL, x_scales, by_token, by_feature, first, sterna_blocks(dy->cols),
                      expand_key((uint32_t)key, (uint32_t)(key >> 32))};
    float largest[GROUP];
    for (int64_t r0 = row0; r0 < row1; r0 += GROUP)
        if (!largest_of_tokens(&c, r0, rows_of_group(r0, row1), largest)) return STERNA_STATUS(2, STERNA_NONFINITE);
    for (int64_t r0 = row0; r0 < row1; r0 += GROUP) {
        if (row1 - row0 > GROUP) largest_of_tokens(&c, r0, rows_of_group(r0, row1), largest);
        quantize_group(&c, r0, rows_of_group(r0, row1), largest);
    }
    return STERNA_OK;
}

#endif
