/* moment.h: optimizer state by blocks of 64 columns: f32, bf16 and block-wise int8 to vectors and back. */
#ifndef STERNA_MOMENT_H
#define STERNA_MOMENT_H

#include "dispatch/grid.h"
#include "kernels/template/philox.h"
#include "kernels/template/tile.h"

enum moment_kind { SIGNED, SQUARE };

/* Up to 64 columns of a row of a moment. */
typedef struct moment_block {
    const sterna_moment *m;
    int64_t at;     /* of the first element in data */
    int64_t number; /* of the block in scales, and in the random numbers */
    int count;
} moment_block;

INLINE moment_block block_of(const sterna_moment *m, int64_t r, int64_t c, int count) {
    return (moment_block){m, r * m->cols + c, r * sterna_blocks(m->cols) + c / STERNA_BLOCK, count};
}

INLINE vfloat value_of_int8(vint byte, enum moment_kind kind, float scale) {
    if (kind == SIGNED) return float_of(byte << 24 >> 24) * splat(scale);
    vfloat root = float_of(byte) * splat(scale);
    return root * root;
}

/* Elements ahead of the current block to fetch; the hardware's own prefetch stops at the end of a page. */
#define FETCH_AHEAD 1024

INLINE void fetch_ahead(moment_block b) {
    if (b.at + FETCH_AHEAD >= b.m->rows * b.m->cols) return;
    int64_t element = b.m->type == STERNA_F32 ? 4 : b.m->type == STERNA_BF16 ? 2 : 1;
    const char *next = (const char *)b.m->data + (b.at + FETCH_AHEAD) * element;
    for (int64_t line = 0; line < STERNA_BLOCK * element; line += 64) __builtin_prefetch(next + line, 1, 3);
}

INLINE void load_moment(moment_block b, enum moment_kind kind, vfloat x[VECTORS]) {
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        int n = lanes_left(b.count, v * LANES);
        int64_t at = b.at + (n ? v * LANES : 0);
        if (b.m->type == STERNA_F32) x[v] = load_floats((const float *)b.m->data + at, n);
        else if (b.m->type == STERNA_BF16) x[v] = (vfloat)(load_shorts((const uint16_t *)b.m->data + at, n) << 16);
        else x[v] = value_of_int8(load_bytes((const uint8_t *)b.m->data + at, n), kind, b.m->scales[b.number]);
    }
}

/* The largest magnitude, 0 below 2^-100. */
INLINE float block_max(enum moment_kind kind, const vfloat x[VECTORS]) {
    vfloat max = splat(0);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) max = max_float(kind == SIGNED ? (vfloat)magnitude_bits(x[v]) : x[v], max);
    float largest = float_of_bits(largest_int((vint)max));
    return largest < 0x1p-100f ? 0 : largest;
}

/* The half of elements' words that rounds a moment of that kind. */
INLINE vuint half_of(enum moment_kind kind, vuint words) {
    return kind == SIGNED ? words >> 16 : words & 0xffff;
}

/* The lowest code, and a NaN's: beside a square above zero none is zero. */
INLINE float lowest_code(enum moment_kind kind, float max) {
    if (kind == SIGNED) return -127;
    return max > 0 ? 1 : 0;
}

INLINE void store_int8(moment_block b, enum moment_kind kind, vfloat x[VECTORS], const vuint words[VECTORS]) {
    float top = kind == SIGNED ? 127.0f : 255.0f;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS && kind == SQUARE; v++) x[v] = square_root(x[v]);
    float max = block_max(kind, x), factor = max > 0 ? top / max * 65536 : 0, lowest = lowest_code(kind, max) * 65536;
    b.m->scales[b.number] = max / top;
    vint codes[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        vfloat z = max_float(x[v] * splat(factor), splat(lowest)); /* a hair above top at most: the pack clips it */
        codes[v] = (nearest_int(z) + (vint)half_of(kind, words[v])) >> 16;
    }
    uint8_t *data = (uint8_t *)b.m->data + b.at;
    if (b.count == STERNA_BLOCK) {
        store_block_bytes(data, codes, kind == SQUARE);
        return;
    }
    uint8_t whole[STERNA_BLOCK];
    store_block_bytes(whole, codes, kind == SQUARE);
    memcpy(data, whole, (size_t)b.count);
}

INLINE void store_f32(moment_block b, const vfloat x[VECTORS]) {
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        int n = lanes_left(b.count, v * LANES);
        store_floats((float *)b.m->data + b.at + (n ? v * LANES : 0), x[v], n);
    }
}

/* Whether all of x round to a finite bf16, whatever the words are. */
INLINE int stays_finite(enum moment_kind kind, const vfloat x[VECTORS]) {
    vint max = splat_int(0);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) max = max_unsigned(max, kind == SIGNED ? magnitude_bits(x[v]) : (vint)x[v]);
    return all_below(max, 0x7f7f0000);
}

INLINE void store_bf16(moment_block b, enum moment_kind kind, const vfloat x[VECTORS], const vuint words[VECTORS]) {
    uint16_t *data = (uint16_t *)b.m->data + b.at;
    if (b.count == STERNA_BLOCK && stays_finite(kind, x)) {
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v += 2)
            store_upper_shorts(data + v * LANES, (vint)((vuint)x[v] + half_of(kind, words[v])),
                               (vint)((vuint)x[v + 1] + half_of(kind, words[v + 1])));
        return;
    }
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        int n = lanes_left(b.count, v * LANES);
        store_shorts(data + (n ? v * LANES : 0), bf16_stochastic(x[v], half_of(kind, words[v]) << 16), n);
    }
}

/* Random words of two neighbouring blocks, for both moments; nothing for a state in f32, which is not rounded. */
typedef struct moment_words {
    vuint pair[2][VECTORS];
} moment_words;

/* Draws the words when block `number` is the first of its pair, or of a row. */
INLINE void draw_words(const round_keys *keys, int64_t number, int first, moment_words *words) {
    if (number % 2 == 0 || first) block_pair_words(keys, STERNA_STREAM_MOMENT, number & ~1, words->pair);
}

/* x is used up. */
INLINE void store_moment(moment_block b, enum moment_kind kind, vfloat x[VECTORS], const moment_words *words) {
    if (b.m->type == STERNA_F32) store_f32(b, x);
    else if (b.m->type == STERNA_I8) store_int8(b, kind, x, words->pair[b.number & 1]);
    else store_bf16(b, kind, x, words->pair[b.number & 1]);
}

#endif
