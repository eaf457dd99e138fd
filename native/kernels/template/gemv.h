/*
 * gemv.h: C (M, N) = A (M, K) B^T for few rows of A: B (N, K) is read once, straight from where it stands,
 * and not packed. Sum (i, j) runs over k in 16 lanes, then as a fixed tree, whatever LANES is and whatever else is
 * computed beside.
 * A group of columns goes over the terms in blocks, so that a block of A is in L1 for all but the first of them.
 */
#ifndef STERNA_GEMV_H
#define STERNA_GEMV_H

#include "dispatch/element.h"
#include "kernels/template/region.h"

enum {
    GEMV_ROWS = 8,      /* the most rows of C that take this way */
    GEMV_DEPTH = STERNA_MAX_COLS, /* and the most terms: A's rows are in scratch as f32 */
    GEMV_COLS = 12,     /* columns of a group: whole tiles of 2, 3 and 4 */
    GEMV_BLOCK = 4096,  /* numbers of A in a block of terms: half of the smallest L1 */
    GEMV_AHEAD = 16384  /* bytes of B that are fetched before they are read, where it is read as it lies */
};
_Static_assert((int64_t)GEMV_ROWS * GEMV_DEPTH * 4 <= STERNA_SCRATCH_BYTES, "A's rows fit in scratch");

/* Depends on nothing that differs between the slices of a product. */
static int takes_gemv(const sterna_matrix *a, const sterna_matrix *c, int32_t flags) {
    return (flags & STERNA_TRANSPOSE_B) && !(flags & STERNA_TRANSPOSE_A) && c->rows <= GEMV_ROWS
        && a->cols <= GEMV_DEPTH;
}

/* The 16 lanes of a sum. */
typedef struct gemv_sum {
    vfloat of[PARTS];
} gemv_sum;

/* Rows of A, in steps of 16 terms: a[step][rows][16], and what they are multiplied with. */
struct gemv {
    const float *a;
    const sterna_matrix *b, *c;
    int64_t row0, row1;
    int accumulate;
};

/* What is fetched meanwhile, in bytes behind the tile's first row of B: where that begins, and how far on it goes with
 * every column and with every term. */
struct gemv_ahead {
    int64_t first, col, term;
};

/* A tile of C: sums (rows, cols) in registers, constants where this is inlined, as is `all`, the rows of A. */
struct gemv_tile {
    int32_t type; /* of B */
    int all, rows, cols;
    int64_t row, col;
    struct gemv_ahead ahead;
};

/* 16 terms from `k` on, `left` of them there, of a tile. b is the tile's first row of B, whose rows lie `stride`
 * bytes apart. */
INLINE void add_terms(const struct gemv *g, struct gemv_tile t, const char *b, int64_t stride, int64_t k, int64_t left,
                      gemv_sum sum[GEMV_ROWS][4]) {
    const int64_t bytes = element_bytes(t.type);
#pragma GCC unroll 2
    for (int p = 0; p < PARTS; p++) {
        vfloat y[4];
#pragma GCC unroll 4
        for (int j = 0; j < t.cols; j++) {
            const char *line = b + j * stride + k * bytes;
            y[j] = load((row){(void *)line, t.type}, p * LANES, left - p * LANES);
            if (t.row == 0 && p == 0) __builtin_prefetch(b + t.ahead.first + j * t.ahead.col + k * t.ahead.term);
        }
#pragma GCC unroll 8
        for (int i = 0; i < t.rows; i++) {
            vfloat x = load_floats(g->a + k * t.all + (t.row + i) * 16 + p * LANES, LANES);
            __asm__("" : "+v"(x)); /* one load, not one for each column */
#pragma GCC unroll 4
            for (int j = 0; j < t.cols; j++) sum[i][j].of[p] = fused_add(x, y[j], sum[i][j].of[p]);
        }
    }
}

/* Adds terms k0...k1 - 1 to sums, whose first is that of the tile. */
INLINE void multiply_dots(const struct gemv *g, struct gemv_tile t, int64_t k0, int64_t k1, gemv_sum *sums) {
    const char *b = row_at(g->b, t.col, 0).data;
    gemv_sum sum[GEMV_ROWS][4];
    int64_t k = k0, stride = g->b->stride * element_bytes(t.type);
#pragma GCC unroll 8
    for (int i = 0; i < t.rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < t.cols; j++) sum[i][j] = sums[i * GEMV_COLS + j];
    for (; k + 16 <= k1; k += 16) add_terms(g, t, b, stride, k, 16, sum);
    if (k < k1) add_terms(g, t, b, stride, k, k1 - k, sum);
#pragma GCC unroll 8
    for (int i = 0; i < t.rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < t.cols; j++) sums[i * GEMV_COLS + j] = sum[i][j];
}

/* C(row0..., col...) from the sums of `cols` columns. */
static void store_dots(const struct gemv *g, int64_t col, int64_t cols, gemv_sum sums[GEMV_ROWS][GEMV_COLS]) {
    for (int64_t i = 0; i < g->row1 - g->row0; i++)
        for (int64_t j = 0; j < cols; j++) {
            float before = g->accumulate ? sterna_get(g->c, g->row0 + i, col + j) : 0;
            sterna_put(g->c, g->row0 + i, col + j, before + sum_of_lanes(sums[i][j].of));
        }
}

/* Terms k0...k1-1 of a tile of `cols` columns. Where they are the whole sum, B is fetched as it lies; else these terms of
 * the next group of columns, as the next of these columns are read too soon. A prefetcher starts afresh on each page. */
INLINE struct gemv_ahead fetch_ahead(const struct gemv *g, int32_t type, int cols, int64_t k0, int64_t k1) {
    int64_t bytes = element_bytes(type), stride = g->b->stride * bytes;
    if (k1 - k0 == g->b->cols) return (struct gemv_ahead){GEMV_AHEAD, 16 * bytes, cols * bytes};
    return (struct gemv_ahead){GEMV_COLS * stride, stride, bytes};
}

/* `cols` columns, a constant, of all rows: as many rows at a time as the registers hold sums for. */
INLINE void multiply_cols(const struct gemv *g, int32_t type, int rows, int64_t col, int cols, int64_t k0, int64_t k1,
                          gemv_sum *sums) {
    const int together = LANES == 16 || rows < 2 ? rows : 2;
    struct gemv_ahead ahead = fetch_ahead(g, type, cols, k0, k1);
    for (int i = 0; i < rows; i += together)
        multiply_dots(g, (struct gemv_tile){type, rows, together, cols, i, col, ahead}, k0, k1, sums + i * GEMV_COLS);
}

/* All columns of C, of `rows` rows, a constant. */
INLINE void multiply_typed(const struct gemv *g, int32_t type, int rows) {
    const int cols = rows > 4 || (LANES == 8 && rows > 1) ? 3 : 4;
    int64_t depth = g->b->cols, block = GEMV_BLOCK / rows;
    for (int64_t col = 0; col < g->c->cols; col += GEMV_COLS) {
        int64_t count = col + GEMV_COLS < g->c->cols ? GEMV_COLS : g->c->cols - col;
        gemv_sum sums[GEMV_ROWS][GEMV_COLS];
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < GEMV_COLS; j++)
                for (int p = 0; p < PARTS; p++) sums[i][j].of[p] = splat(0);
        for (int64_t k = 0; k < depth; k += block) {
            int64_t end = k + block < depth ? k + block : depth, j = 0;
            for (; j + cols <= count; j += cols) multiply_cols(g, type, rows, col + j, cols, k, end, &sums[0][j]);
            for (; j < count; j++) multiply_cols(g, type, rows, col + j, 1, k, end, &sums[0][j]);
        }
        store_dots(g, col, count, sums);
    }
}

INLINE void multiply_rows(const struct gemv *g, int rows) {
    if (g->b->type == STERNA_F32) multiply_typed(g, STERNA_F32, rows);
    else multiply_typed(g, STERNA_BF16, rows);
}

/* Rows beyond the slice, up to the next power of two, are zero and not stored. */
static int32_t gemv(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                    int64_t row0, int64_t row1, void *scratch) {
    float *x = scratch;
    struct gemv g = {x, b, c, row0, row1, flags & STERNA_ACCUMULATE};
    int64_t rows = row1 - row0, all = rows > 4 ? 8 : rows > 2 ? 4 : rows;
    for (int64_t k = 0; k < a->cols; k += 16)
        for (int64_t i = 0; i < all; i++)
            for (int64_t part = k; part < k + 16; part += LANES, x += LANES) {
                int64_t left = i < rows ? a->cols - part : 0;
                store_floats(x, load(row_at(a, row0 + (i < rows ? i : 0), part), 0, left), LANES);
            }
    if (all == 8) multiply_rows(&g, 8);
    else if (all == 4) multiply_rows(&g, 4);
    else if (all == 2) multiply_rows(&g, 2);
    else if (all == 1) multiply_rows(&g, 1);
    return STERNA_OK;
}

/* The product of gemm.h, which comes before this header, but for few rows. */
INLINE int32_t gemm_or_gemv(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                            int64_t row0, int64_t row1, void *scratch) {
    if (takes_gemv(a, c, flags)) return gemv(a, b, c, flags, row0, row1, scratch);
    return gemm(a, b, c, flags, row0, row1, scratch);
}

#endif
