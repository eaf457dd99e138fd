/* ahead.h: fetching the rows of a head before they are read. */
#ifndef STERNA_AHEAD_H
#define STERNA_AHEAD_H

#include "kernels/template/row.h"

/* Queries or keys of one head: rows row0... of x, columns col...col + head_dim - 1. Where x is of type I8, a
 * number is a code times its row's scale. */
typedef struct region {
    const sterna_matrix *x;
    int64_t row0, col, rows, head_dim, width;
    const float *scales; /* (rows), or null */
} region;

INLINE int64_t element_bytes(int32_t type) {
    return type == STERNA_F32 ? 4 : type == STERNA_BF16 ? 2 : 1;
}

/* Row r of a region of a type, a constant where this is inlined. */
INLINE row line_of(region from, int32_t type, int64_t r) {
    return (row){(char *)from.x->data + ((from.row0 + r) * from.x->stride + from.col) * element_bytes(type), type};
}

/* Columns c... of a row, codes of I8 without their scale; missing lanes are 0. */
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
    const char *line = line_of(from, from.x->type, r).data, *end = line + from.head_dim * element_bytes(from.x->type);
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
