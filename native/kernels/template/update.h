/* update.h: weight updates of a tier. Includer defines TIER(op), the tier's name of an operation. */
#include "dispatch/families.h"
#include "kernels/template/rounding.h"
#include "kernels/template/tile.h"

/* Deltas of a block from a row of a tile. */
INLINE void delta_of_row(void *row, int64_t b, int count, vfloat delta[VECTORS]) {
    const float *x = (const float *)row + b * STERNA_BLOCK;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        int n = lanes_left(count, v * LANES);
        delta[v] = load_floats(x + (n ? v * LANES : 0), n);
    }
}

static int64_t update_row(const update_rule *rule, const sterna_packed *w, int64_t r, float *delta) {
    return round_row_of_grid(rule, w, r, delta_of_row, delta);
}

static int32_t TIER(update_packed)(const sterna_packed *w, const sterna_matrix *delta, float keep, uint64_t key,
                                   int32_t rounding, int64_t *flips, int64_t row0, int64_t row1) {
    if (!tile_is_finite(delta, row1 - row0)) return STERNA_STATUS(3, STERNA_NONFINITE);
    update_rule rule = make_rule(w->grid, keep, key, rounding);
    for (int64_t r = row0; r < row1; r++)
        *flips += update_row(&rule, w, r, tile_row(delta, r - row0));
    return STERNA_OK;
}

INLINE void update_bf16_block(uint16_t *w, const float *delta, int count, const update_rule *rule,
                              const vuint words[VECTORS]) {
    for (int v = 0; v < VECTORS; v++) {
        int n = lanes_left(count, v * LANES), at = n ? v * LANES : 0;
        vfloat x = (vfloat)(load_shorts(w + at, n) << 16) * splat(rule->keep) - load_floats(delta + at, n);
        store_shorts(w + at, rule->rounding == STERNA_NEAREST ? bf16_nearest(x) : bf16_stochastic(x, words[v]), n);
    }
}

static void update_bf16_row(uint16_t *w, const float *delta, int64_t cols, const update_rule *rule, int64_t block) {
    for (int64_t c = 0; c < cols; c += STERNA_BLOCK) {
        vuint words[VECTORS];
        block_words(&rule->keys, STERNA_STREAM_WEIGHT, block + c / STERNA_BLOCK, words);
        update_bf16_block(w + c, delta + c, cols - c < 64 ? (int)(cols - c) : 64, rule, words);
    }
}

static void update_f32_row(float *w, const float *delta, int64_t cols, float keep) {
    for (int64_t c = 0; c < cols; c++) w[c] = w[c] * keep - delta[c];
}

static int32_t TIER(update_float)(const sterna_matrix *w, const sterna_matrix *delta, float keep, uint64_t key,
                                  int32_t rounding, int64_t row0, int64_t row1) {
    if (!tile_is_finite(delta, row1 - row0)) return STERNA_STATUS(3, STERNA_NONFINITE);
    update_rule rule = make_rule(STERNA_INT8, keep, key, rounding);
    for (int64_t r = row0; r < row1; r++) {
        const float *change = tile_row(delta, r - row0);
        if (w->type == STERNA_F32) update_f32_row((float *)w->data + r * w->stride, change, w->cols, keep);
        else update_bf16_row((uint16_t *)w->data + r * w->stride, change, w->cols, &rule, r * sterna_blocks(w->cols));
    }
    return STERNA_OK;
}
