/*
 * gemv.h: C (M, N) = A (M, K) B^T for few rows of A: B (N, K) is read once, straight from where it stands,
 * and not packed. Sum (i, j) runs over k in LANES lanes, then as a fixed tree, whatever else is computed beside.
 */
#ifndef STERNA_GEMV_H
#define STERNA_GEMV_H

#include "dispatch/element.h"
#include "kernels/template/row.h"

enum {
    GEMV_ROWS = 8,     /* the most rows of C that take this way */
    GEMV_DEPTH = 65536 /* and the most terms: A's rows are in scratch as f32 */
};
_Static_assert((int64_t)GEMV_ROWS * GEMV_DEPTH * 4 <= STERNA_SCRATCH_BYTES, "A's rows fit in scratch");

/* Depends on nothing that differs between the slices of a product. */
static int takes_gemv(const sterna_matrix *a, const sterna_matrix *c, int32_t flags) {
    return (flags & STERNA_TRANSPOSE_B) && !(flags & STERNA_TRANSPOSE_A) && c->rows <= GEMV_ROWS
        && a->cols <= GEMV_DEPTH;
}

INLINE vfloat multiply_add(vfloat x, vfloat y, vfloat sum) {
#if LANES == 16
    return (vfloat)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)sum);
#else
    return (vfloat)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)sum);
#endif
}

INLINE float sum_lanes(vfloat x) {
    float lanes[LANES];
    memcpy(lanes, &x, sizeof lanes);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

/* Rows of A, each of `padded` f32, and what they are multiplied with. */
struct gemv {
    const float *a;
    int64_t padded;
    const sterna_matrix *b, *c;
    int64_t row0, row1;
    int accumulate;
};

/* LANES terms, `left` of them there, of `rows` by `cols` sums. The rows of B that come next are on their way
 * meanwhile: a prefetcher starts afresh on every page. */
INLINE void add_terms(const struct gemv *g, int32_t type, int rows, int64_t col, int cols, int64_t k, int64_t left,
                      vfloat sum[GEMV_ROWS][4]) {
#pragma GCC unroll 4
    for (int j = 0; j < cols; j++) {
        row line = {row_at(g->b, col + j, k).data, type}, next = row_at(g->b, col + j + cols, k);
        vfloat y = load(line, 0, left);
        _mm_prefetch(next.data, _MM_HINT_T0);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
            sum[i][j] = multiply_add(load_floats(g->a + i * g->padded + k, LANES), y, sum[i][j]);
    }
}

/* C(row0..., col...) from `cols` sums for each row of the slice. */
static __attribute__((noinline)) void store_dots(const struct gemv *g, int64_t col, int cols,
                                                    vfloat sum[GEMV_ROWS][4]) {
    for (int64_t i = 0; i < g->row1 - g->row0; i++)
        for (int j = 0; j < cols; j++) {
            float before = g->accumulate ? sterna_get(g->c, g->row0 + i, col + j) : 0;
            sterna_put(g->c, g->row0 + i, col + j, before + sum_lanes(sum[i][j]));
        }
}

/* `rows` rows of A times `cols` rows of B of one type, constants where this is inlined: sums in registers. */
INLINE void multiply_dots(const struct gemv *g, int32_t type, int rows, int64_t col, int cols) {
    vfloat sum[GEMV_ROWS][4], done[GEMV_ROWS][4];
    int64_t depth = g->b->cols, k = 0;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++) sum[i][j] = splat(0);
    for (; k + LANES <= depth; k += LANES) add_terms(g, type, rows, col, cols, k, LANES, sum);
    if (k < depth) add_terms(g, type, rows, col, cols, k, depth - k, sum);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++) done[i][j] = sum[i][j];
    store_dots(g, col, cols, done);
}

/* All columns of C: so many rows of B at a time that the sums stay in registers. */
INLINE void multiply_typed(const struct gemv *g, int32_t type, int rows) {
    const int cols = LANES == 16 ? (rows > 4 ? 3 : 4) : rows > 4 ? 1 : 2;
    int64_t j = 0;
    for (; j + cols <= g->c->cols; j += cols) multiply_dots(g, type, rows, j, cols);
    for (; j < g->c->cols; j++) multiply_dots(g, type, rows, j, 1);
}

INLINE void multiply_rows(const struct gemv *g, int rows) {
    if (g->b->type == STERNA_F32) multiply_typed(g, STERNA_F32, rows);
    else multiply_typed(g, STERNA_BF16, rows);
}

/* Rows beyond the slice, up to the next power of two, are zero and not stored. */
static int32_t gemv(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                    int64_t row0, int64_t row1, void *scratch) {
    float *x = scratch;
    int64_t rows = row1 - row0, padded = (a->cols + LANES - 1) / LANES * LANES;
    struct gemv g = {x, padded, b, c, row0, row1, flags & STERNA_ACCUMULATE};
    for (int64_t i = 0; i < GEMV_ROWS; i++)
        for (int64_t k = 0; k < padded; k += LANES) {
            vfloat v = i < rows ? load(row_at(a, row0 + i, k), 0, a->cols - k) : splat(0);
            store_floats(x + i * padded + k, v, LANES);
        }
    if (rows > 4) multiply_rows(&g, 8);
    else if (rows > 2) multiply_rows(&g, 4);
    else if (rows > 1) multiply_rows(&g, 2);
    else if (rows > 0) multiply_rows(&g, 1);
    return STERNA_OK;
}

#endif
