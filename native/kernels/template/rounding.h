/*
 * rounding.h: deltas become codes, a block of 64 packed weights after the other. Where the deltas come from
 * is the caller's: a function that a constant pointer names, so that the compiler lays it into the loop and
 * the deltas stay in registers.
 */
#ifndef STERNA_ROUNDING_H
#define STERNA_ROUNDING_H

#include "dispatch/grid.h"
#include "kernels/template/philox.h"
#include "kernels/template/planes.h"

/* What all weights of a call share. */
typedef struct update_rule {
    round_keys keys;
    float keep, low, high; /* the grid's ends */
    int32_t rounding;
    vfloat kept; /* code * keep for bits 0, 1, 2, ..., again and again: see kept_code */
} update_rule;

INLINE update_rule make_rule(int32_t grid, float keep, uint64_t key, int32_t rounding) {
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
INLINE int64_t round_block(const update_rule *rule, int bits, uint8_t *block, const vfloat delta[VECTORS],
                           int count, float inverse, const vuint words[VECTORS]) {
    packed_planes planes;
    int64_t flips = 0;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        int n = lanes_left(count, v * LANES);
        vint old = unpack_bits(block, bits, v * LANES);
        vint new = new_bits(rule, bits, kept_code(rule, bits, old) - delta[v] * splat(inverse), words[v]);
        if (n < LANES) new &= lanes_before(n);
        flips += count_different(old, new);
        add_bits(&planes, bits, v * LANES, new);
    }
    store_planes(block, bits, &planes);
    return flips;
}

/* Codes of two bits that differ between 16 bytes of a block and 16 bytes of another. */
INLINE int64_t count_changes(const uint64_t old[2], const uint8_t *new) {
    int64_t count = 0;
    for (int i = 0; i < 2; i++) {
        uint64_t half;
        memcpy(&half, new + 8 * i, 8);
        half ^= old[i];
        count += __builtin_popcountll((half | half >> 1) & 0x5555555555555555);
    }
    return count;
}

/*
 * A whole block of ternary weights by stochastic rounding, without the clipping and the floor: the code is
 * 1 where u < z, and -1 where u >= z + 1. For 0 <= z < 1 that is floor(z) + [u < z]; for -1 <= z < 0 the sum
 * z + 1 is the f32 difference z - floor(z); beyond -1 and 1 every u decides as for the clipped z.
 */
INLINE int64_t round_ternary_block(const update_rule *rule, uint8_t *block, const vfloat delta[VECTORS],
                                   float inverse, const vuint words[VECTORS]) {
    vint fields[16 / LANES] = {{0}};
    uint64_t old[2];
    memcpy(old, block, sizeof old);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        int slot = v % (16 / LANES), shift = v * LANES / 16 * 2;
        vint bits = plane_bytes(block, 2, v * LANES) >> shift; /* fields above are no matter to look_up */
        vfloat z = look_up(rule->kept, bits) - delta[v] * splat(inverse), u = uniform(words[v]);
        fields[slot] = or_where_less(fields[slot], u, z, splat_int(1 << shift));
        fields[slot] = or_where_not_less(fields[slot], u, z + splat(1), splat_int(3 << shift));
    }
    store_plane(block, 2, fields);
    return count_changes(old, block);
}

/* Where the deltas of `count` weights of block b of a row come from; lanes after them are finite. */
typedef void delta_source(void *context, int64_t b, int count, vfloat delta[VECTORS]);

/* A row under update: its first block, and the number that block has among all blocks. */
typedef struct rounded_row {
    const update_rule *rule;
    uint8_t *codes;
    int64_t number;
    int bits, ternary;
} rounded_row;

/* Updates block b from its deltas, and keeps the words of a pair of blocks for the second; `count` is a constant in a block that is whole. */
INLINE int64_t round_next(rounded_row row, int64_t b, int count, float inverse, delta_source *source,
                          void *context, vuint pair[2][VECTORS]) {
    int64_t number = row.number + b;
    uint8_t *block = row.codes + b * 8 * row.bits;
    vfloat delta[VECTORS];
    source(context, b, count, delta);
    if (number % 2 == 0 || b == 0) block_pair_words(&row.rule->keys, STERNA_STREAM_WEIGHT, number & ~1, pair);
    const vuint *words = pair[number & 1];
    if (row.ternary && count == STERNA_BLOCK) return round_ternary_block(row.rule, block, delta, inverse, words);
    return round_block(row.rule, row.bits, block, delta, count, inverse, words);
}

/* Updates row r, asking for the deltas of one block after the other; returns how many codes changed. */
INLINE int64_t round_row(const update_rule *rule, int bits, int ternary, const sterna_packed *w, int64_t r,
                         delta_source *source, void *context) {
    int64_t blocks = sterna_blocks(w->cols), full = w->cols / STERNA_BLOCK, flips = 0;
    int64_t group = w->scaling == STERNA_PER_GROUP ? w->group / STERNA_BLOCK : blocks;
    const float *scales = sterna_row_scales(w, r);
    rounded_row row = {rule, (uint8_t *)sterna_packed_row(w, r), r * blocks, bits, ternary};
    vuint words[2][VECTORS];
    for (int64_t begin = 0; begin < full; begin += group) {
        float inverse = 1 / scales[begin / group];
        for (int64_t b = begin; b < begin + group && b < full; b++)
            flips += round_next(row, b, STERNA_BLOCK, inverse, source, context, words);
    }
    if (full < blocks)
        flips += round_next(row, full, (int)(w->cols % STERNA_BLOCK), 1 / scales[full / group], source, context,
                            words);
    return flips;
}

/* One copy of the row for each number of bits, and one for what training uses most. */
INLINE int64_t round_row_of_grid(const update_rule *rule, const sterna_packed *w, int64_t r, delta_source *source,
                                 void *context) {
    if (w->grid == STERNA_TERNARY && rule->rounding == STERNA_STOCHASTIC)
        return round_row(rule, 2, 1, w, r, source, context);
    switch (sterna_bits(w->grid)) {
    case 1: return round_row(rule, 1, 0, w, r, source, context);
    case 2: return round_row(rule, 2, 0, w, r, source, context);
    case 3: return round_row(rule, 3, 0, w, r, source, context);
    case 4: return round_row(rule, 4, 0, w, r, source, context);
    case 5: return round_row(rule, 5, 0, w, r, source, context);
    case 6: return round_row(rule, 6, 0, w, r, source, context);
    case 7: return round_row(rule, 7, 0, w, r, source, context);
    default: return round_row(rule, 8, 0, w, r, source, context);
    }
}

#endif
