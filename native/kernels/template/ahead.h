/* ahead.h: fetching the rows of a head before they are read. */
#ifndef STERNA_AHEAD_H
#define STERNA_AHEAD_H

#include "kernels/template/row.h"

/* Rows of numbers of one head, of a float type or codes of I8. */
typedef struct region {
    char *data;
    int32_t type;
    int64_t stride, rows, cols; /* stride in elements */
} region;

INLINE int64_t element_bytes(int32_t type) {
    return type == STERNA_F32 ? 4 : type == STERNA_BF16 ? 2 : 1;
}

/* Rows row0... of x, columns col...col + cols - 1. */
INLINE region region_of(const sterna_matrix *x, int64_t row0, int64_t rows, int64_t col, int64_t cols) {
    return (region){(char *)x->data + (row0 * x->stride + col) * element_bytes(x->type), x->type, x->stride, rows, cols};
}

/* Row r of a region of a type, a constant where this is inlined. */
INLINE row line_of(region from, int32_t type, int64_t r) {
    return (row){from.data + r * from.stride * element_bytes(type), type};
}

/* Columns c... of a row; missing lanes are 0. */
INLINE vfloat load_line(row line, int64_t c, int64_t left) {
    if (line.type == STERNA_I8) return float_of(load_codes((const int8_t *)line.data + c, lanes_of(left)));
    return load(line, c, left);
}

/* Rows that will be wanted, fetched into L2 little by little while something else is computed: the rows of a
 * head lie apart, and the hardware does not foresee them. */
typedef struct ahead {
    region of[8];
    int64_t regions, rows, fetched; /* rows of a region to fetch, and fetched */
    int64_t steps, step;            /* rows of products in the meantime, about how many and done */
} ahead;

static inline void fetch_row(region from, int64_t r) {
    if (r >= from.rows) return;
    const char *line = line_of(from, from.type, r).data, *end = line + from.cols * element_bytes(from.type);
    for (; line < end; line += 64) __builtin_prefetch(line, 0, 2);
    __builtin_prefetch(end - 1, 0, 2);
}

/* What is due after so many more rows of products. */
INLINE void fetch_ahead(ahead *next, int64_t rows) {
    next->step += rows;
    for (; next->fetched < next->rows && next->fetched * next->steps < next->rows * next->step; next->fetched++)
        for (int64_t i = 0; i < next->regions; i++) fetch_row(next->of[i], next->fetched);
}

#endif
