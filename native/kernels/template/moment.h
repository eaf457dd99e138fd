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
    for (int64_t line = 0; line < STERNA_BLOCK * element; line += 64) __builtin_prefetch(next + line, 1, 2);
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
INLINE float block_max(const vfloat x[VECTORS]) {
    vfloat max = splat(0);
    for (int v = 0; v < VECTORS; v++) max = max_float((vfloat)magnitude_bits(x[v]), max);
    float largest = float_of_bits(largest_int((vint)max));
    return largest < 0x1p-100f ? 0 : largest;
}

INLINE void store_int8(moment_block b, enum moment_kind kind, vfloat x[VECTORS], const vuint words[VECTORS]) {
    float top = kind == SIGNED ? 127.0f : 255.0f;
    for (int v = 0; v < VECTORS && kind == SQUARE; v++) x[v] = square_root(x[v]);
    float max = block_max(x), inverse = max > 0 ? top / max : 0;
    b.m->scales[b.number] = max / top;
    for (int v = 0; v < VECTORS; v++) {
        vfloat z = min_float(max_float(x[v] * splat(inverse), splat(-top)), splat(top));
        vint low = floor_int(z), code = low - (uniform(words[v]) < z - float_of(low));
        if (kind == SQUARE && max > 0) code = max_int(code, splat_int(1));
        int n = lanes_left(b.count, v * LANES);
        store_bytes((uint8_t *)b.m->data + b.at + (n ? v * LANES : 0), code, n);
    }
}

INLINE void store_f32(moment_block b, const vfloat x[VECTORS]) {
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        int n = lanes_left(b.count, v * LANES);
        store_floats((float *)b.m->data + b.at + (n ? v * LANES : 0), x[v], n);
    }
}

/* x is used up. */
INLINE void store_moment(moment_block b, enum moment_kind kind, vfloat x[VECTORS], const round_keys *keys) {
    if (b.m->type == STERNA_F32) {
        store_f32(b, x);
        return;
    }
    vuint words[VECTORS];
    block_words(keys, kind == SIGNED ? STERNA_STREAM_MOMENT1 : STERNA_STREAM_MOMENT2, b.number, words);
    if (b.m->type == STERNA_I8) {
        store_int8(b, kind, x, words);
        return;
    }
    for (int v = 0; v < VECTORS; v++) {
        int n = lanes_left(b.count, v * LANES);
        store_shorts((uint16_t *)b.m->data + b.at + (n ? v * LANES : 0), bf16_stochastic(x[v], words[v]), n);
    }
}

#endif
