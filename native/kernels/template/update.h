/* update.h: weight updates of a tier. Includer defines TIER(op), the tier's name of an operation. */
#include "dispatch/families.h"
#include "dispatch/grid.h"
#include "kernels/template/philox.h"
#include "kernels/template/planes.h"
#include "kernels/template/tile.h"

/* What all weights of a call share. */
typedef struct update_rule {
    round_keys keys;
    float keep, low, high; /* the grid's ends */
    int32_t rounding;
    vfloat kept; /* code * keep for bits 0, 1, 2, ..., again and again: see kept_code */
} update_rule;

static update_rule make_rule(int32_t grid, float keep, uint64_t key, int32_t rounding) {
    update_rule rule = {expand_key((uint32_t)key, (uint32_t)(key >> 32)), keep, (float)sterna_qn(grid),
                        (float)sterna_qp(grid), rounding, splat(0)};
    int bits = sterna_bits(grid);
    for (int i = 0; i < LANES; i++) {
        int code = i & ((1 << bits) - 1);
        code = bits == 1 ? 2 * code - 1 : code - (code >> (bits - 1) << bits);
        rule.kept[i] = (float)code * keep;
    }
    return rule;
}

/* code * keep: from the table where the codes of the grid fit into a vector. */
INLINE vfloat kept_code(const update_rule *rule, int bits, vint old) {
    if (1 << bits <= LANES) return look_up(rule->kept, old);
    return float_of(codes_of_bits(old, bits)) * splat(rule->keep);
}

/* The new bits for z in grid steps. */
INLINE vint new_bits(const update_rule *rule, int bits, vfloat z, vuint words) {
    z = min_float(max_float(z, splat(rule->low)), splat(rule->high));
    if (rule->rounding == STERNA_NEAREST)
        return bits == 1 ? (z >= splat(0)) & splat_int(1) : nearest_int(z) & splat_int((1 << bits) - 1);
    if (bits == 1) z = (z + splat(1)) * splat(0.5f);
    vint low = floor_int(z);
    vint code = increment_where_less(low, uniform(words), z - float_of(low));
    return bits == 1 ? code : code & splat_int((1 << bits) - 1);
}

/* The first `count` weights of a block; returns how many codes changed. Padding stays zero. */
INLINE int64_t update_block(const update_rule *rule, int bits, uint8_t *block, const float *delta, int count,
                            float inverse, const vuint words[VECTORS]) {
    packed_planes planes;
    int64_t flips = 0;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        int n = lanes_left(count, v * LANES);
        vint old = unpack_bits(block, bits, v * LANES);
        vfloat change = load_floats(delta + (n ? v * LANES : 0), n) * splat(inverse);
        vint new = new_bits(rule, bits, kept_code(rule, bits, old) - change, words[v]);
        if (n < LANES) new &= lanes_before(n);
        flips += count_different(old, new);
        add_bits(&planes, bits, v * LANES, new);
    }
    store_planes(block, bits, &planes);
    return flips;
}

INLINE int64_t update_row(const update_rule *rule, int bits, const sterna_packed *w, int64_t r,
                          const float *delta) {
    int64_t blocks = sterna_blocks(w->cols), full = w->cols / STERNA_BLOCK, flips = 0;
    int64_t group = w->scaling == STERNA_PER_GROUP ? w->group / STERNA_BLOCK : blocks;
    const float *scales = sterna_row_scales(w, r);
    uint8_t *row = (uint8_t *)sterna_packed_row(w, r);
    vuint words[2][VECTORS];
    for (int64_t begin = 0; begin < blocks; begin += group) {
        float inverse = 1 / *scales++;
        int64_t end = begin + group < full ? begin + group : full;
        for (int64_t b = begin; b < end;) {
            int64_t number = r * blocks + b;
            if (number % 2 == 0 && b + 1 < end) {
                block_pair_words(&rule->keys, STERNA_STREAM_WEIGHT, number, words);
                flips += update_block(rule, bits, row + b * 8 * bits, delta + b * 64, 64, inverse, words[0]);
                b++;
                flips += update_block(rule, bits, row + b * 8 * bits, delta + b * 64, 64, inverse, words[1]);
            } else {
                block_words(&rule->keys, STERNA_STREAM_WEIGHT, number, words[0]);
                flips += update_block(rule, bits, row + b * 8 * bits, delta + b * 64, 64, inverse, words[0]);
            }
            b++;
        }
        if (begin + group < blocks || full == blocks) continue;
        block_words(&rule->keys, STERNA_STREAM_WEIGHT, r * blocks + full, words[0]);
        flips += update_block(rule, bits, row + full * 8 * bits, delta + full * 64, (int)(w->cols % 64), inverse,
                              words[0]);
    }
    return flips;
}

/* One copy of the row for each number of bits. */
static int64_t update_row_of_grid(const update_rule *rule, const sterna_packed *w, int64_t r, const float *delta) {
    switch (sterna_bits(w->grid)) {
    case 1: return update_row(rule, 1, w, r, delta);
    case 2: return update_row(rule, 2, w, r, delta);
    case 3: return update_row(rule, 3, w, r, delta);
    case 4: return update_row(rule, 4, w, r, delta);
    case 5: return update_row(rule, 5, w, r, delta);
    case 6: return update_row(rule, 6, w, r, delta);
    case 7: return update_row(rule, 7, w, r, delta);
    default: return update_row(rule, 8, w, r, delta);
    }
}

static int32_t TIER(update_packed)(const sterna_packed *w, const sterna_matrix *delta, float keep, uint64_t key,
                                   int32_t rounding, int64_t *flips, int64_t row0, int64_t row1) {
    if (!tile_is_finite(delta, row1 - row0)) return STERNA_STATUS(3, STERNA_NONFINITE);
    update_rule rule = make_rule(w->grid, keep, key, rounding);
    for (int64_t r = row0; r < row1; r++)
        *flips += update_row_of_grid(&rule, w, r, tile_row(delta, r - row0));
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
