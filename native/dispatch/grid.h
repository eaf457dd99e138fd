/* grid.h: facts of the grids that every family needs. */
#ifndef STERNA_GRID_H
#define STERNA_GRID_H

#include "sterna.h"

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

#endif
