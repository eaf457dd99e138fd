/*
 * attention_few.h: the products of attention.h for up to four queries over a cache, whose keys and values are read once
 * and where they stand. Every sum runs over columns, or over keys, one after the other, as those of attention_f32.h
 * do, so that a query's result is the same whether it comes alone or with many. A block of keys, and one of values, is
 * read from its first byte to its last, which the hardware follows; but a block is only a page or two, and so what is read
 * after it is fetched meanwhile.
 */
#ifndef STERNA_ATTENTION_FEW_H
#define STERNA_ATTENTION_FEW_H

#include "kernels/template/region.h"
#include "kernels/template/block.h"

#define TOGETHER 4                         /* queries at most, so that keys and values become f32 once for them */
#define SUMS (LANES == 16 ? 16 : 8)        /* vectors of sums in registers */
#define MOST_VECTORS (BLOCK / LANES)       /* the keys of a block: one query reads each line of it once */
#define VECTORS_OF(rows) (SUMS / (rows) > MOST_VECTORS ? MOST_VECTORS : SUMS / (rows))

/* A block of keys, which lie by column, and values as a cache has them, and the keys that are read after it. */
typedef struct key_block {
    region k, v;
    const float *k_scales, *v_scales;
    const char *next;
} key_block;

/* The line at an element of a block that begins at `block`, where the vector at this element is the first of its line. */
INLINE void fetch_line(const char *block, int64_t at, int vector, int32_t type) {
    const int64_t bytes = element_bytes(type);
    if (vector * LANES * bytes % 64 == 0) __builtin_prefetch(block + at * bytes);
}

/* scores[r][j...] = q[r] . key j... for `vectors` vectors of keys. Meanwhile the first `seen` values are fetched, and when
 * these are few, the next keys too. */
INLINE void score_keys(int32_t type, int rows, int vectors, const key_block *b, int64_t j, int64_t seen,
                       const float *const *q, float *const *scores) {
    const region k = b->k;
    vfloat sums[TOGETHER][MOST_VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) sums[r][v] = splat(0);
    for (int64_t c = 0; c < k.rows; c++) {
        row line = line_of(k, type, c);
        const char *next = c * BLOCK < seen * k.rows ? b->v.data : b->next;
        for (int v = 0; v < vectors; v++) {
            vfloat keys = load_line(line, j + v * LANES, LANES);
            fetch_line(next, c * BLOCK + j + v * LANES, v, type);
            for (int r = 0; r < rows; r++) sums[r][v] = fused_add(splat(q[r][c]), keys, sums[r][v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) store_whole(scores[r] + j + v * LANES, sums[r][v]);
}

INLINE void score_typed(int32_t type, int rows, const key_block *b, int64_t seen, const float *const *q, float *const *scores) {
    const int vectors = VECTORS_OF(rows);
    for (int64_t j = 0; j < seen; j += vectors * LANES) score_keys(type, rows, vectors, b, j, seen, q, scores);
}

/* The scores of `rows` queries, a constant, with the first `seen` keys of a block (head_dim, BLOCK); those of the others
 * have no meaning. Codes come without their scales. */
INLINE void score_rows(int rows, const key_block *b, int64_t seen, const float *const *q, float *const *scores) {
    if (b->k.type == STERNA_F32) score_typed(STERNA_F32, rows, b, seen, q, scores);
    else if (b->k.type == STERNA_BF16) score_typed(STERNA_BF16, rows, b, seen, q, scores);
    else score_typed(STERNA_I8, rows, b, seen, q, scores);
}

/* out[r][c...] += the sum of weights[r][j] value(j)[c...]: `vectors` vectors; `left` elements, or more than they hold.
 * Meanwhile the next keys are fetched. */
INLINE void add_columns(int32_t type, int rows, int vectors, const key_block *b, int64_t seen, int64_t c, int64_t left,
                        float *const *weights, float *const *out) {
    vfloat sums[TOGETHER][MOST_VECTORS];
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vectors; i++) sums[r][i] = load_whole(out[r] + c + i * LANES);
    for (int64_t j = 0; j < seen; j++) {
        row line = line_of(b->v, type, j);
        for (int i = 0; i < vectors; i++) {
            vfloat value = load_line(line, c + i * LANES, left - i * LANES);
            fetch_line(b->next, j * b->v.cols + c + i * LANES, i, type);
            for (int r = 0; r < rows; r++) sums[r][i] = fused_add(splat(weights[r][j]), value, sums[r][i]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vectors; i++) store_whole(out[r] + c + i * LANES, sums[r][i]);
}

/* The columns from c on, as long as there are `vectors` vectors of them; returns where the others begin. */
INLINE int64_t add_wide(int32_t type, int rows, int vectors, const key_block *b, int64_t seen, int64_t c, float *const *weights,
                        float *const *out) {
    for (; c + vectors * LANES <= b->v.cols; c += vectors * LANES)
        add_columns(type, rows, vectors, b, seen, c, vectors * LANES, weights, out);
    return c;
}

INLINE void add_typed(int32_t type, int rows, const key_block *b, int64_t seen, float *const *weights, float *const *out) {
    const int most = VECTORS_OF(rows);
    int64_t c = add_wide(type, rows, most, b, seen, 0, weights, out);
    if (most > 4) c = add_wide(type, rows, 4, b, seen, c, weights, out);
    if (most > 2) c = add_wide(type, rows, 2, b, seen, c, weights, out);
    for (; c < b->v.cols; c += LANES) add_columns(type, rows, 1, b, seen, c, b->v.cols - c, weights, out);
}

/* Adds the first `seen` values with the weights of `rows` queries, a constant. */
INLINE void add_rows(int rows, const key_block *b, int64_t seen, float *const *weights, float *const *out) {
    if (b->v.type == STERNA_F32) add_typed(STERNA_F32, rows, b, seen, weights, out);
    else if (b->v.type == STERNA_BF16) add_typed(STERNA_BF16, rows, b, seen, weights, out);
    else add_typed(STERNA_I8, rows, b, seen, weights, out);
}

#endif
