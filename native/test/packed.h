/* packed.h: random packed matrices for the families that test them. */
#ifndef STERNA_TEST_PACKED_H
#define STERNA_TEST_PACKED_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dispatch/grid.h"

static const char *const GRID_NAMES[] = {"", "binary", "int2", "int3", "int4", "int5", "int6", "int7", "int8", "ternary"};
_Static_assert(sizeof GRID_NAMES / sizeof *GRID_NAMES == STERNA_LAST_GRID + 1, "every grid has a name");

static inline size_t packed_bytes(const sterna_packed *w) {
    return (size_t)(w->rows * sterna_packed_row_bytes(w->grid, w->cols));
}

static inline int64_t scale_count(const sterna_packed *w) {
    return w->scaling == STERNA_PER_TENSOR ? 1 : w->rows * sterna_groups(w);
}

static inline int random_code(int32_t grid) {
    if (grid == STERNA_BINARY) return check_range(0, 1) ? 1 : -1;
    return (int)check_range(sterna_qn(grid), sterna_qp(grid));
}

static inline int code_at(const sterna_packed *w, int64_t r, int64_t c) {
    return sterna_get_code(sterna_packed_row(w, r) + c / 64 * 8 * sterna_bits(w->grid), w->grid, (int)(c % 64));
}

static inline void set_code_at(const sterna_packed *w, int64_t r, int64_t c, int code) {
    sterna_set_code((uint8_t *)sterna_packed_row(w, r) + c / 64 * 8 * sterna_bits(w->grid), w->grid, (int)(c % 64), code);
}

static inline void random_codes(const sterna_packed *w) {
    memset(w->codes, 0, packed_bytes(w));
    for (int64_t r = 0; r < w->rows; r++)
        for (int64_t c = 0; c < w->cols; c++) set_code_at(w, r, c, random_code(w->grid));
}

/* Codes and scales in buffers of their own; scaling and group at random. */
static inline sterna_packed random_packed(int32_t grid, int64_t rows, int64_t cols, enum check_place place) {
    int32_t scaling = (int32_t)check_range(STERNA_PER_TENSOR, STERNA_PER_GROUP);
    sterna_packed w = {NULL, NULL, rows, cols, grid, scaling, scaling == STERNA_PER_GROUP ? 64 * check_range(1, 3) : 0};
    w.codes = check_buffer(packed_bytes(&w), place, (size_t)check_range(0, 3));
    w.scales = check_buffer((size_t)scale_count(&w) * 4, place, 0);
    for (int64_t i = 0; i < scale_count(&w); i++) w.scales[i] = 0.01f + fabsf(check_normal());
    random_codes(&w);
    return w;
}

/* The same matrix with its codes on the heap; free them. */
static inline sterna_packed copy_of_packed(const sterna_packed *w) {
    sterna_packed copy = *w;
    copy.codes = malloc(packed_bytes(w));
    memcpy(copy.codes, w->codes, packed_bytes(w));
    return copy;
}

/* Column counts that reach every tail of a block, and some of several blocks. */
static inline int64_t next_cols(int64_t cols) {
    return cols + (cols < 66 ? 1 : cols < 130 ? 7 : 23);
}

#endif
