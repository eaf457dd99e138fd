/* attention_f32.h: the products of attention.h by f32 fused multiply-add. */
#ifndef STERNA_ATTENTION_F32_H
#define STERNA_ATTENTION_F32_H

#include "kernels/template/region.h"
#include "kernels/template/block.h"

#define STRIP 4
#define KEY_STEP 16
#define STRIP_VECTORS (LANES == 16 ? 4 : 3) /* accumulators of a strip: 16 of 32 registers, or 12 of 16 */

/* c (STRIP, vectors * LANES) = or += a (STRIP, terms) b (terms, ...); element (r, t) of a is
 * a[r * row_step + t * term_step]. */
INLINE void multiply_tile(int vectors, const float *a, int64_t row_step, int64_t term_step, const float *b,
                          int64_t b_step, float *c, int64_t c_step, int64_t terms, int accumulate) {
    vfloat sum[STRIP][4];
    for (int r = 0; r < STRIP; r++)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = accumulate ? load_whole(c + r * c_step + v * LANES) : splat(0);
    for (int64_t t = 0; t < terms; t++) {
        vfloat x[4];
        for (int v = 0; v < vectors; v++) x[v] = load_whole(b + t * b_step + v * LANES);
        for (int r = 0; r < STRIP; r++) {
            vfloat weight = splat(a[r * row_step + t * term_step]);
            for (int v = 0; v < vectors; v++) sum[r][v] = fused_add(weight, x[v], sum[r][v]);
        }
    }
    for (int r = 0; r < STRIP; r++)
        for (int v = 0; v < vectors; v++) store_whole(c + r * c_step + v * LANES, sum[r][v]);
}

/* The same for `cols` columns, a multiple of LANES. */
static void multiply_strip(const float *a, int64_t row_step, int64_t term_step, const float *b, int64_t b_step,
                           float *c, int64_t c_step, int64_t cols, int64_t terms, int accumulate) {
    for (int64_t j = 0; j < cols;) {
        int64_t vectors = clamp((cols - j) / LANES, 1, STRIP_VECTORS);
        switch (vectors) {
        case 1: multiply_tile(1, a, row_step, term_step, b + j, b_step, c + j, c_step, terms, accumulate); break;
        case 2: multiply_tile(2, a, row_step, term_step, b + j, b_step, c + j, c_step, terms, accumulate); break;
        case 3: multiply_tile(3, a, row_step, term_step, b + j, b_step, c + j, c_step, terms, accumulate); break;
        default: multiply_tile(4, a, row_step, term_step, b + j, b_step, c + j, c_step, terms, accumulate);
        }
        j += vectors * LANES;
    }
}

/* ---------------------------------------------------------------- operands: rows of keys, also transposed */

typedef struct keys_operand {
    const float *rows;   /* (BLOCK, width), where they were when this was made; for sums */
    const float *rows_t; /* (width, BLOCK), for scores */
} keys_operand;

INLINE int64_t keys_floats(int64_t width, int uses) {
    return uses & FOR_SCORES ? BLOCK * width : 0;
}

INLINE keys_operand make_keys(const float *rows, int64_t width, int uses, float *room) {
    if (uses & FOR_SCORES) transpose_words(rows, BLOCK, width, room);
    return (keys_operand){uses & FOR_SUMS ? rows : NULL, uses & FOR_SCORES ? room : NULL};
}

INLINE keys_operand keys_of_columns(float *columns, int64_t width, float *room) {
    (void)width, (void)room;
    return (keys_operand){NULL, columns};
}

/* ---------------------------------------------------------------- products */

static void block_scores(const float *q, const keys_operand *k, float *scores, int64_t queries, int64_t width,
                         int64_t see) {
    for (int64_t i = 0; i < queries; i += STRIP)
        multiply_strip(q + i * width, width, 1, k->rows_t, BLOCK, scores + i * BLOCK, BLOCK,
                       round_up(keys_seen(see, i, STRIP), KEY_STEP), width, 0);
}

static void block_values(const float *weights, const keys_operand *v, float *sums, int64_t queries, int64_t width,
                         int64_t see) {
    for (int64_t i = 0; i < queries; i += STRIP)
        multiply_strip(weights + i * BLOCK, BLOCK, 1, v->rows, width, sums + i * width, width, width,
                       keys_seen(see, i, STRIP), 1);
}

/* A key j is seen by queries from j - see on; see is a multiple of STRIP. */
static void block_transposed(const float *weights, const float *q, float *sums, int64_t queries, int64_t keys,
                             int64_t width, int64_t see) {
    for (int64_t j = 0; j < keys; j += STRIP) {
        int64_t from = clamp(j - see, 0, queries);
        multiply_strip(weights + from * BLOCK + j, 1, BLOCK, q + from * width, width, sums + j * width, width,
                       width, queries - from, 1);
    }
}

#endif
