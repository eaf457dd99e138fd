/* optimizer.h: optimizers of a tier. Includer defines TIER(op), the tier's name of an operation. */
#include "dispatch/families.h"
#include "kernels/template/adamw.h"
#include "kernels/template/squares.h"

static int32_t TIER(row_squares)(const sterna_matrix *g, double *squares, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) squares[r - row0] = plain_row_sum(tile_row(g, r), g->cols);
    return STERNA_OK;
}

/* Sums of n columns, rows in order. */
INLINE void column_sums(const sterna_matrix *g, int64_t c, int n, double *sums) {
    vdouble low = {0}, high = {0};
    for (int64_t r = 0; r < g->rows; r++) {
        vfloat x = load_floats(tile_row(g, r) + c, n);
        vdouble a = double_of(x, 0), b = double_of(x, 1);
        low += a * a;
        high += b * b;
    }
    double lanes[LANES];
    memcpy(lanes, &low, sizeof low);
    memcpy(lanes + LANES / 2, &high, sizeof high);
    memcpy(sums + c, lanes, 8 * (size_t)n);
}

static int32_t TIER(column_squares)(const sterna_matrix *g, double *sums, int64_t col0, int64_t col1) {
    int64_t c = col0;
    for (; c + LANES <= col1; c += LANES) column_sums(g, c, LANES, sums);
    if (c < col1) column_sums(g, c, (int)(col1 - c), sums);
    return STERNA_OK;
}

static int32_t TIER(adafactor_squares)(const sterna_adafactor_step *step, const sterna_matrix *g,
                                       const float *row_factor, const float *col_factor, double *squares,
                                       int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        squares[r - row0] = row_sum(tile_row(g, r - row0), g->cols, step->factor * row_factor[r], col_factor);
    return STERNA_OK;
}

/* ---------------------------------------------------------------- AdamW */

/* Up to 64 columns of a row: gradients become deltas. */
INLINE void adamw_columns(const adamw_rule *rule, float *row, moment_block m, moment_block v, int first_block,
                          moment_words *words) {
    vfloat delta[VECTORS];
    adamw_block(rule, row, m, v, first_block, words, delta);
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++) {
        int n = lanes_left(m.count, i * LANES);
        store_floats(row + (n ? i * LANES : 0), delta[i], n);
    }
}

/* Row r. The types of the state are constants where this is inlined, unless they differ from each other. */
INLINE void adamw_row_of(const adamw_rule *rule, float *row, sterna_moment m, sterna_moment v, int64_t r) {
    moment_words words;
    int64_t c = 0;
    for (; c + STERNA_BLOCK <= m.cols; c += STERNA_BLOCK)
        adamw_columns(rule, row + c, block_of(&m, r, c, STERNA_BLOCK), block_of(&v, r, c, STERNA_BLOCK), c == 0, &words);
    int left = (int)(m.cols - c);
    if (left) adamw_columns(rule, row + c, block_of(&m, r, c, left), block_of(&v, r, c, left), c == 0, &words);
}

INLINE void adamw_row_typed(const adamw_rule *rule, float *row, sterna_moment m, sterna_moment v, int64_t r,
                            int32_t type) {
    m.type = v.type = type;
    adamw_row_of(rule, row, m, v, r);
}

static void adamw_row(const adamw_rule *rule, float *row, const sterna_moment *m, const sterna_moment *v, int64_t r) {
    if (m->type != v->type) adamw_row_of(rule, row, *m, *v, r);
    else if (m->type == STERNA_F32) adamw_row_typed(rule, row, *m, *v, r, STERNA_F32);
    else if (m->type == STERNA_BF16) adamw_row_typed(rule, row, *m, *v, r, STERNA_BF16);
    else adamw_row_typed(rule, row, *m, *v, r, STERNA_I8);
}

static int32_t TIER(adamw)(const sterna_adamw_step *step, const sterna_matrix *g, const sterna_moment *m,
                           const sterna_moment *v, double *squares, int64_t row0, int64_t row1) {
    int32_t status = scan_tile(g, step->factor, squares, row1 - row0);
    if (status) return status;
    adamw_rule rule = make_adamw_rule(step);
    for (int64_t r = row0; r < row1; r++) adamw_row(&rule, tile_row(g, r - row0), m, v, r);
    return STERNA_OK;
}

/* ---------------------------------------------------------------- momentum: SGD and Adafactor */

typedef struct momentum_rule {
    round_keys keys;
    float momentum, share, rate; /* m = momentum m + share g; delta = rate m */
} momentum_rule;

INLINE void momentum_block(const momentum_rule *rule, float *g, moment_block m, float factor,
                           const float *col_factor, int first_block, moment_words *words) {
    vfloat first[VECTORS];
    fetch_ahead(m);
    load_moment(m, SIGNED, first);
    for (int i = 0; i < VECTORS; i++) {
        int n = lanes_left(m.count, i * LANES), at = n ? i * LANES : 0;
        vfloat gradient = scaled_gradient(g, at, n, factor, col_factor);
        first[i] = splat(rule->momentum) * first[i] + splat(rule->share) * gradient;
        store_floats(g + at, splat(rule->rate) * first[i], n);
    }
    if (m.m->type != STERNA_F32) draw_words(&rule->keys, m.number, first_block, words);
    store_moment(m, SIGNED, first, words);
}

/* Row r of the moment, or no moment at all: delta = rate g. */
static void momentum_row(const momentum_rule *rule, float *row, int64_t cols, const sterna_moment *m, int64_t r,
                         float factor, const float *col_factor) {
    for (int64_t c = 0; c < cols && !m; c += LANES) {
        int n = cols - c < LANES ? (int)(cols - c) : LANES;
        store_floats(row + c, scaled_gradient(row, c, n, factor, col_factor) * splat(rule->rate), n);
    }
    moment_words words;
    for (int64_t c = 0; c < cols && m; c += STERNA_BLOCK) {
        int count = cols - c < STERNA_BLOCK ? (int)(cols - c) : STERNA_BLOCK;
        momentum_block(rule, row + c, block_of(m, r, c, count), factor, col_factor ? col_factor + c : 0, c == 0, &words);
    }
}

static int32_t TIER(sgd)(const sterna_sgd_step *step, const sterna_matrix *g, const sterna_moment *m,
                         double *squares, int64_t row0, int64_t row1) {
    int32_t status = scan_tile(g, step->factor, squares, row1 - row0);
    if (status) return status;
    momentum_rule rule = {expand_key((uint32_t)step->key, (uint32_t)(step->key >> 32)), step->momentum, 1, step->rate};
    for (int64_t r = row0; r < row1; r++)
        momentum_row(&rule, tile_row(g, r - row0), g->cols, m, r, step->factor, 0);
    return STERNA_OK;
}

static int32_t TIER(adafactor)(const sterna_adafactor_step *step, const sterna_matrix *g, const float *row_factor,
                               const float *col_factor, const sterna_moment *m, int64_t row0, int64_t row1) {
    vint max = splat_int(0);
    for (int64_t r = row0; r < row1; r++)
        max = row_max(tile_row(g, r - row0), g->cols, step->factor * row_factor[r], col_factor, max);
    if (!square_is_finite(max, 1)) return STERNA_STATUS(3, STERNA_NONFINITE);
    momentum_rule rule = {expand_key((uint32_t)step->key, (uint32_t)(step->key >> 32)), step->beta1, 1 - step->beta1,
                          step->rate};
    for (int64_t r = row0; r < row1; r++)
        momentum_row(&rule, tile_row(g, r - row0), g->cols, m, r, step->factor * row_factor[r], col_factor);
    return STERNA_OK;
}
