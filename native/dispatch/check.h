/* check.h: argument checks that the abi_<family>.c files share. Each returns 0 or a reason. */
#ifndef STERNA_CHECK_H
#define STERNA_CHECK_H

#include <stddef.h>

#include "grid.h"
#include "table.h"

/* Leaves the calling function with the status of argument number `argument` when `reason` is not 0. */
#define STERNA_CHECK(argument, reason)                                                                     \
    do {                                                                                                   \
        int32_t reason_ = (reason);                                                                        \
        if (reason_) return STERNA_STATUS(argument, reason_);                                              \
    } while (0)

/* Leaves with the status of begin or end, arguments `argument` and `argument` + 1 of the kernel, unless
 * 0 <= begin <= end <= limit. An end below begin is the end's fault. */
#define STERNA_CHECK_SLICE(argument, begin, end, limit)                                                    \
    do {                                                                                                   \
        STERNA_CHECK(argument, sterna_check_slice(0, begin, limit));                                       \
        STERNA_CHECK((argument) + 1, sterna_check_slice(begin, end, limit));                               \
    } while (0)

/* Declares `t`, the table of the tier in argument 1, or leaves with BAD_TIER. */
#define STERNA_TABLE(tier)                                                                                 \
    const sterna_table *t = sterna_table_of(tier);                                                         \
    if (!t) return STERNA_STATUS(1, STERNA_BAD_TIER)

#define STERNA_TYPE_BIT(type) (1 << (type))
#define STERNA_ANY_FLOAT (STERNA_TYPE_BIT(STERNA_F32) | STERNA_TYPE_BIT(STERNA_BF16))
#define STERNA_ONLY_F32 STERNA_TYPE_BIT(STERNA_F32)

/* No tensor has more rows, columns or elements from one row to the next than EXTENT, nor more elements in all than
 * ELEMENTS, the gaps between rows included: the offset of each, in bytes too, fits in int64_t. */
#define STERNA_MAX_EXTENT ((int64_t)1 << 40)
#define STERNA_MAX_ELEMENTS ((int64_t)1 << 56)

static inline int32_t sterna_check_pointer(const void *p, size_t alignment) {
    if (!p) return STERNA_BAD_NULL;
    return (uintptr_t)p % alignment ? STERNA_BAD_ALIGNMENT : 0;
}

static inline int32_t sterna_check_scratch(const void *scratch) {
    return sterna_check_pointer(scratch, 64);
}

/* Rows of cols elements, stride elements apart. */
static inline int32_t sterna_check_extents(int64_t rows, int64_t cols, int64_t stride) {
    if (rows < 0 || rows > STERNA_MAX_EXTENT || cols < 1 || stride < cols || stride > STERNA_MAX_EXTENT)
        return STERNA_BAD_SHAPE;
    return rows > STERNA_MAX_ELEMENTS / stride ? STERNA_BAD_SHAPE : 0;
}

/* A descriptor itself is aligned to 8 bytes; its type is one of the bits in `types`. */
static inline int32_t sterna_check_matrix(const sterna_matrix *x, int types) {
    int32_t reason = sterna_check_pointer(x, 8);
    if (reason) return reason;
    if (x->type < 0 || x->type > 7 || !(types >> x->type & 1)) return STERNA_BAD_TYPE;
    reason = sterna_check_extents(x->rows, x->cols, x->stride);
    return reason ? reason : sterna_check_pointer(x->data, x->type == STERNA_F32 ? 4 : 2);
}

static inline int32_t sterna_check_shape(const sterna_matrix *x, int64_t rows, int64_t cols) {
    return x->rows == rows && x->cols == cols ? 0 : STERNA_BAD_SHAPE;
}

/* A tile whose first row is the slice's first row: at least the slice's rows, exactly the tensor's columns. */
static inline int32_t sterna_check_tile(const sterna_matrix *x, int64_t rows, int64_t cols) {
    return x->rows >= rows && x->cols == cols ? 0 : STERNA_BAD_SHAPE;
}

/* 0 <= begin <= end <= limit. */
static inline int32_t sterna_check_slice(int64_t begin, int64_t end, int64_t limit) {
    return 0 <= begin && begin <= end && end <= limit ? 0 : STERNA_BAD_RANGE;
}

static inline int32_t sterna_check_quantized(const sterna_quantized *q) {
    int32_t reason = sterna_check_pointer(q, 8);
    if (reason) return reason;
    if (q->cols > STERNA_MAX_COLS) return STERNA_BAD_SHAPE;
    reason = sterna_check_extents(q->rows, q->cols, q->stride);
    if (!reason) reason = sterna_check_pointer(q->codes, 1);
    return reason ? reason : sterna_check_pointer(q->scales, 4);
}

/* With MAX_COLS columns at most, MAX_EXTENT rows hold no more than MAX_ELEMENTS weights. */
static inline int32_t sterna_check_packed(const sterna_packed *w) {
    int32_t reason = sterna_check_pointer(w, 8);
    if (reason) return reason;
    if (!sterna_is_grid(w->grid) || w->scaling < STERNA_PER_TENSOR || w->scaling > STERNA_PER_GROUP)
        return STERNA_BAD_TYPE;
    if (w->rows < 0 || w->cols < 1 || w->rows > STERNA_MAX_EXTENT || w->cols > STERNA_MAX_COLS)
        return STERNA_BAD_SHAPE;
    if (w->scaling != STERNA_PER_GROUP ? w->group != 0
        : w->group < STERNA_BLOCK || w->group % STERNA_BLOCK || w->group > STERNA_MAX_EXTENT)
        return STERNA_BAD_SHAPE;
    reason = sterna_check_pointer(w->codes, 1);
    return reason ? reason : sterna_check_pointer(w->scales, 4);
}

/* Scales of rows row0...row1-1 that codes are divided by: positive, with a finite inverse. */
static inline int32_t sterna_check_divisors(const sterna_packed *w, int64_t row0, int64_t row1) {
    const float *scale = sterna_row_scales(w, row0), *end = scale + 1;
    if (w->scaling != STERNA_PER_TENSOR) end = scale + (row1 - row0) * sterna_groups(w);
    for (; scale < end; scale++)
        if (!(*scale > 0 && *scale <= 0x1.fffffep127f && 1 / *scale <= 0x1.fffffep127f)) return STERNA_BAD_VALUE;
    return 0;
}

static inline int32_t sterna_check_moment(const sterna_moment *m) {
    int32_t reason = sterna_check_pointer(m, 8);
    if (reason) return reason;
    if (m->type != STERNA_F32 && m->type != STERNA_BF16 && m->type != STERNA_I8) return STERNA_BAD_TYPE;
    reason = sterna_check_extents(m->rows, m->cols, m->cols);
    if (!reason) reason = sterna_check_pointer(m->data, m->type == STERNA_F32 ? 4 : m->type == STERNA_BF16 ? 2 : 1);
    if (reason || m->type != STERNA_I8) return reason;
    return sterna_check_pointer(m->scales, 4);
}

static inline int32_t sterna_check_rounding(int32_t rounding) {
    return rounding == STERNA_STOCHASTIC || rounding == STERNA_NEAREST ? 0 : STERNA_BAD_RANGE;
}

static inline int32_t sterna_check_flag(int32_t flag) {
    return flag == 0 || flag == 1 ? 0 : STERNA_BAD_RANGE;
}

/* low <= x <= high; false for a NaN. */
static inline int32_t sterna_check_range(float x, float low, float high) {
    return x >= low && x <= high ? 0 : STERNA_BAD_RANGE;
}

#endif
