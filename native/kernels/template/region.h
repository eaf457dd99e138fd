/* region.h: rows of a head in memory. */
#ifndef STERNA_REGION_H
#define STERNA_REGION_H

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

#endif
