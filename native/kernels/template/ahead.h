/* ahead.h: fetching the rows of a head before they are read. */
#ifndef STERNA_AHEAD_H
#define STERNA_AHEAD_H

#include "kernels/template/row.h"

/* Queries or keys of one head: rows row0... of x, columns col...col + head_dim - 1. */
typedef struct region {
    const sterna_matrix *x;
    int64_t row0, col, rows, head_dim, width;
} region;

/* Row r of a region of a type, a constant where this is inlined. */
INLINE row line_of(region from, int32_t type, int64_t r) {
    return (row){row_at(from.x, from.row0 + r, from.col).data, type};
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
    const char *line = row_at(from.x, from.row0 + r, from.col).data;
    const char *end = row_at(from.x, from.row0 + r, from.col + from.head_dim).data;
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
