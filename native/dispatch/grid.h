/* grid.h: facts of the grids that every family needs. */
#ifndef STERNA_GRID_H
#define STERNA_GRID_H

#include "sterna.h"

#define STERNA_LAST_GRID STERNA_TERNARY

static inline int sterna_is_grid(int32_t grid) {
    return grid >= STERNA_BINARY && grid <= STERNA_LAST_GRID;
}

static inline int sterna_bits(int32_t grid) {
    return grid == STERNA_TERNARY ? 2 : grid;
}

static inline int sterna_qn(int32_t grid) {
    return grid == STERNA_BINARY || grid == STERNA_TERNARY ? -1 : -(1 << (grid - 1));
}

static inline int sterna_qp(int32_t grid) {
    return grid == STERNA_BINARY || grid == STERNA_TERNARY ? 1 : (1 << (grid - 1)) - 1;
}

static inline int64_t sterna_blocks(int64_t cols) {
    return (cols + STERNA_BLOCK - 1) / STERNA_BLOCK;
}

static inline int64_t sterna_packed_row_bytes(int32_t grid, int64_t cols) {
    return sterna_blocks(cols) * 8 * sterna_bits(grid);
}

static inline int64_t sterna_groups(const sterna_packed *w) {
    return w->scaling == STERNA_PER_GROUP ? (w->cols + w->group - 1) / w->group : 1;
}

/* The scales of row r: one for each group of columns (one group unless PER_GROUP). */
static inline const float *sterna_row_scales(const sterna_packed *w, int64_t r) {
    return w->scaling == STERNA_PER_TENSOR ? w->scales : w->scales + r * sterna_groups(w);
}

/* Columns that share a scale. */
static inline int64_t sterna_group_cols(const sterna_packed *w) {
    return w->scaling == STERNA_PER_GROUP ? w->group : w->cols;
}

static inline const uint8_t *sterna_packed_row(const sterna_packed *w, int64_t r) {
    return w->codes + r * sterna_packed_row_bytes(w->grid, w->cols);
}

/* The n bits of weight i (0...63) of a block, and their change: the planes of the layout, highest first. */
static inline uint32_t sterna_get_bits(const uint8_t *block, int bits, int i) {
    uint32_t code = 0;
    for (int width = 8; width > 0; width /= 2) {
        if (!(bits & width)) continue;
        code = code << width | (block[i % (8 * width)] >> i / (8 * width) * width & ((1 << width) - 1));
        block += 8 * width;
    }
    return code;
}

static inline void sterna_set_bits(uint8_t *block, int bits, int i, uint32_t code) {
    int below = bits; /* bits of the code that later planes hold */
    for (int width = 8; width > 0; width /= 2) {
        if (!(bits & width)) continue;
        below -= width;
        int mask = (1 << width) - 1, shift = i / (8 * width) * width;
        uint8_t *byte = block + i % (8 * width);
        *byte = (uint8_t)((*byte & ~(mask << shift)) | ((int)(code >> below) & mask) << shift);
        block += 8 * width;
    }
}

/* The code of weight i of a block. */
static inline int sterna_get_code(const uint8_t *block, int32_t grid, int i) {
    int bits = sterna_bits(grid);
    int code = (int)sterna_get_bits(block, bits, i);
    if (grid == STERNA_BINARY) return 2 * code - 1;
    return code - (code >> (bits - 1) << bits); /* two's complement */
}

static inline void sterna_set_code(uint8_t *block, int32_t grid, int i, int code) {
    uint32_t bits = grid == STERNA_BINARY ? code > 0 : (uint32_t)code;
    sterna_set_bits(block, sterna_bits(grid), i, bits);
}

#endif
