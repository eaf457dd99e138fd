/*
 * gemm.h: one blocked product for every format, after BLIS (Van Zee and van de Geijn, 2015).
 *
 *     C(i, j) = sum over r of A(i, r) B(r, j)
 *
 * Packing turns a piece of A and a piece of B, whatever their format, into blocks of 32-bit lanes in
 * scratch; the microkernel sees those alone. A lane holds GEMM_DEPTH neighbours along r: one f32, or two
 * bf16 or int16 (int16.h). Row i of the A block is a run of STEPS lanes. The B block is made of panels of 16
 * columns: lane `step` of column j stands at (j / 16 * STEPS + step) * 16 + j % 16.
 *
 * The same bytes for every cut into slices: how r is cut depends on its depth alone, a block's sum runs along
 * r in one order, and blocks are added to C in order. Which rows share a call changes none of these.
 *
 * The tier's file defines, the macros and the joins before it includes this one:
 *   GEMM_DEPTH             reduction steps in a lane, 1 or 2
 *   GEMM_INT16             1 when lanes hold int16: a row of A in steps of its own scale, B int8; 2 when both are in
 *                          such steps (int16.h)
 *   GEMM_RUN               int16 lanes of a row or column that share a scale; divides GEMM_STEPS, a multiple of 16
 *   GEMM_ROWS, GEMM_COLS   C rows and columns of a full microkernel call; columns a multiple of 16
 *   GEMM_BLOCK_ROWS        rows of an A block, a multiple of GEMM_ROWS
 *   GEMM_SUM_ROWS          rows of C that are summed in scratch at once; at least GEMM_BLOCK_ROWS, which it is by itself
 *   GEMM_STEPS             lanes in a row of a block, at most 256 and a multiple of 16: a microkernel's rows of A
 *                          and columns of B stay in L1
 *   join_along(x, y)       lanes (vuint) of numbers (vfloat) that follow each other along r: x, then y
 *   join_across(x, y)      lanes of LANES columns: x at step r, y at step r + 1
 *                          (both are in operand.h when GEMM_DEPTH is 1, and when lanes hold int16; numbers that
 *                          bf16 holds may go past them)
 *   multiply_lanes(a, b, steps, panels, scales, c, stride, add)
 *                          c (GEMM_ROWS, 16 panels) = or += A B from packed blocks, where lanes hold int16 times
 *                          scales; may read lanes up to the next multiple of 16 steps, which are zero
 */
#ifndef STERNA_GEMM_H
#define STERNA_GEMM_H

#ifndef GEMM_INT16
#define GEMM_INT16 0
#endif
#ifndef GEMM_RUN
#define GEMM_RUN GEMM_STEPS
#endif
#ifndef GEMM_SUM_ROWS
#define GEMM_SUM_ROWS GEMM_BLOCK_ROWS
#endif

#include <string.h>

#include "dispatch/table.h"
#include "kernels/template/pack.h"
#if GEMM_INT16
#include "kernels/template/int16.h"
#endif

/* Columns of B for a call of the microkernel are so few that they stay in L1 beside C while A passes. */
enum { COLS_STAY = GEMM_COLS * STEPS * 4 <= 16384 };

/* Rows of sums in scratch are an odd number of lines apart, so that those of a tile are spread over L1's sets. */
enum { SUM_ROWS = GEMM_SUM_ROWS, SUM_STRIDE = BLOCK_COLS + PANEL };

/* Scratch: with A of 256 rows and 256 steps 272 KiB + 768 KiB + 784 KiB, so that all stay in 2 MiB of L2. */
struct blocks {
    uint32_t a[(BLOCK_ROWS + LANES) * STEPS];
    uint32_t b[BLOCK_COLS * STEPS];
    float c[SUM_ROWS * SUM_STRIDE]; /* sums of a C that is not summed where it stands */
    float row_scales[RUNS][ROW_SCALES]; /* where lanes hold int16: of A's rows by run, and of B's columns */
    float col_scales[RUNS][COL_SCALES];
};
_Static_assert(sizeof(struct blocks) <= STERNA_SCRATCH_BYTES, "the blocks fit in scratch");

/* The scales of a microkernel's rows and columns; those of the next run stand ROW_SCALES and COL_SCALES on. */
struct scales {
    const float *rows, *cols;
};

static void multiply_lanes(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, struct scales scales,
                           float *c, int64_t stride, int add);

/* ---------------------------------------------------------------- blocks */

/* A part of C, or of its sums in scratch. */
struct tile {
    float *data;
    int64_t stride, rows, cols;
};

static void copy_tile(const struct tile *from, const struct tile *to) {
    for (int64_t i = 0; i < from->rows; i++)
        memcpy(to->data + i * to->stride, from->data + i * from->stride, (size_t)from->cols * sizeof(float));
}

/* A microkernel call for a tile smaller than it computes: in a full tile beside. */
static void multiply_edge(const uint32_t *a, const uint32_t *b, int64_t steps, struct scales scales, const struct tile *c,
                          int add) {
    float full[GEMM_ROWS * GEMM_COLS] __attribute__((aligned(64))) = {0};
    struct tile edge = {full, GEMM_COLS, c->rows, c->cols};
    if (add) copy_tile(c, &edge);
    multiply_lanes(a, b, steps, (int)(round_up(c->cols, PANEL) / PANEL), scales, full, GEMM_COLS, add);
    copy_tile(&edge, c);
}

/* A call of the microkernel: rows i... and columns j... of c. */
static void multiply_part(const struct blocks *s, int64_t steps, int64_t i, int64_t j, const struct tile *c, int add) {
    const uint32_t *a = s->a + lane_index(LAYOUT_ROWS, i, 0), *b = s->b + lane_index(LAYOUT_PANELS, j, 0);
    struct tile part = {c->data + i * c->stride + j, c->stride, least(c->rows - i, GEMM_ROWS),
                        least(c->cols - j, GEMM_COLS)};
    struct scales scales = {s->row_scales[0] + i, s->col_scales[0] + j};
    if (part.rows == GEMM_ROWS && part.cols % PANEL == 0)
        multiply_lanes(a, b, steps, (int)(part.cols / PANEL), scales, part.data, part.stride, add);
    else multiply_edge(a, b, steps, scales, &part, add);
}

/* c = or += the packed A block times the packed B block: some columns of B stay in L1 while A passes by from L2, or
 * some rows of A while B does. */
static void multiply_block(const struct blocks *s, int64_t steps, const struct tile *c, int add) {
    if (COLS_STAY)
        for (int64_t j = 0; j < c->cols; j += GEMM_COLS)
            for (int64_t i = 0; i < c->rows; i += GEMM_ROWS) multiply_part(s, steps, i, j, c, add);
    else
        for (int64_t i = 0; i < c->rows; i += GEMM_ROWS)
            for (int64_t j = 0; j < c->cols; j += GEMM_COLS) multiply_part(s, steps, i, j, c, add);
}

/* ---------------------------------------------------------------- the product */

struct product {
    struct operand a, b;
    int64_t depth;
    const sterna_matrix *c;
    int64_t a0, b0; /* A's row that makes C's row 0, and B's column that makes C's column 0 */
    int accumulate;
};

/* The factors of a piece, padded with zeros; null when the operand has none. */
static const float *piece_factors(const struct operand *o, int64_t r, int64_t depth, float factors[DEPTH]) {
    if (!o->factors) return NULL;
    for (int64_t i = 0; i < DEPTH; i++) factors[i] = i < depth ? o->factors[(r + i) * o->factor_stride] : 0;
    return factors;
}

/* How deep the blocks are that r is cut into: as few as may be, all alike but for the last. */
static int64_t even_depth(int64_t depth) {
    int64_t blocks = depth > DEPTH ? (depth + DEPTH - 1) / DEPTH : 1;
    return round_up((depth + blocks - 1) / blocks, 16 * GEMM_DEPTH);
}

/* c = or += rows i... of A times columns j... of B. One packed B block serves all rows. */
static void sum_tile(const struct product *p, int64_t i, int64_t j, const struct tile *c, int add, struct blocks *s) {
    float factors[DEPTH];
    int64_t r = 0, even = even_depth(p->depth);
    do {
        int64_t depth = least(p->depth - r, even), steps = round_up(depth, GEMM_DEPTH) / GEMM_DEPTH;
        struct piece b = {p->b0 + j, c->cols, r, depth, NULL, NULL};
#if GEMM_INT16 == 2
        pack_cols(&p->b, &b, s->col_scales, s->b);
#else
        pack_b(&p->b, &b, s->b);
#endif
        const float *piece = piece_factors(&p->a, r, depth, factors);
        for (int64_t i0 = 0; i0 < c->rows; i0 += BLOCK_ROWS) {
            struct tile rows = {c->data + i0 * c->stride, c->stride, least(c->rows - i0, BLOCK_ROWS), c->cols};
            struct piece a = {p->a0 + i + i0, rows.rows, r, depth, piece, NULL};
#if GEMM_INT16
            pack_rows(&p->a, &a, s->row_scales, s->a);
#else
            pack_a(&p->a, &a, s->a);
#endif
            multiply_block(s, steps, &rows, add || r > 0);
        }
        r += even;
    } while (r < p->depth);
}

/* bf16 C from (i, j) on: its sums over all of r, rounded once. */
static void round_tile(const struct tile *sums, const sterna_matrix *c, int64_t i, int64_t j, int accumulate) {
    for (int64_t r = 0; r < sums->rows; r++) {
        row to = {row_at(c, i + r, j).data, STERNA_BF16};
        for (int64_t k = 0; k < sums->cols; k += LANES) {
            int64_t left = sums->cols - k;
            vfloat sum = load_floats(sums->data + r * sums->stride + k, lanes_of(left));
            store(to, k, left, accumulate ? load(to, k, left) + sum : sum);
        }
    }
}

/* Whether C is summed where it stands. Rows that lie some 2 KiB apart crowd into two of L1's 64 sets: a tile of 32 of
 * them that each block of r takes up again is better off in scratch. The sums are the same. */
static int sums_in_place(const struct product *p) {
    int crowded = GEMM_ROWS >= 32 && p->c->stride % 512 == 0 && p->depth > DEPTH;
    return p->c->type == STERNA_F32 && !crowded;
}

/* `rows` rows and `cols` columns of C from (i, j) on. */
static void sum_part(const struct product *p, int64_t i, int64_t j, int64_t rows, int64_t cols, struct blocks *s) {
    struct tile sums = {s->c, SUM_STRIDE, rows, cols};
    if (p->c->type != STERNA_F32) {
        sum_tile(p, i, j, &sums, 0, s);
        round_tile(&sums, p->c, i, j, p->accumulate);
        return;
    }
    struct tile c = {(float *)p->c->data + i * p->c->stride + j, p->c->stride, rows, cols};
    if (sums_in_place(p)) {
        sum_tile(p, i, j, &c, p->accumulate, s);
        return;
    }
    if (p->accumulate) copy_tile(&c, &sums);
    sum_tile(p, i, j, &sums, p->accumulate, s);
    copy_tile(&sums, &c);
}

/* Rows row0...row1-1 and columns col0...col1-1 of C. */
static void multiply(const struct product *p, int64_t row0, int64_t row1, int64_t col0, int64_t col1, void *scratch) {
    int64_t height = sums_in_place(p) ? row1 - row0 : SUM_ROWS;
    for (int64_t j = col0; j < col1; j += BLOCK_COLS)
        for (int64_t i = row0; i < row1; i += height)
            sum_part(p, i, j, least(row1 - i, height), least(col1 - j, BLOCK_COLS), scratch);
}

/* ---------------------------------------------------------------- the kernels */

#if GEMM_INT16 != 2

/* dx (T, K) = dy (T, N) W (N, K), scales folded into dy; per group, group by group of columns. */
static int32_t input_gradient(const sterna_matrix *dy, const sterna_packed *w, const sterna_matrix *dx,
                              int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    struct product p = {.a = matrix_operand(dy, 1), .b = {.format = FORMAT_CODES, .codes = w},
                        .depth = w->rows, .c = dx, .accumulate = accumulate};
    p.a.factor_stride = w->scaling == STERNA_PER_TENSOR ? 0 : sterna_groups(w);
    int64_t cols = sterna_group_cols(w);
    for (int64_t col = 0; col < w->cols; col += cols) {
        p.a.factors = w->scales + col / cols;
        multiply(&p, row0, row1, col, least(col + cols, w->cols), scratch);
    }
    return STERNA_OK;
}

/* dw (N, K) = dy^T (N, T) q (T, K), token scales folded into dy. */
static int32_t weight_gradient(const sterna_matrix *dy, const sterna_quantized *q, const sterna_matrix *dw,
                               int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    struct product p = {.a = matrix_operand(dy, 0),
                        .b = {.format = FORMAT_I8, .data = q->codes, .stride = q->stride},
                        .depth = q->rows, .c = dw, .a0 = row0, .accumulate = accumulate};
    p.a.factors = q->scales;
    p.a.factor_stride = 1;
    multiply(&p, 0, row1 - row0, 0, q->cols, scratch);
    return STERNA_OK;
}

#endif

#if GEMM_INT16 != 1

static int32_t gemm(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                    int64_t row0, int64_t row1, void *scratch) {
    struct product p = {.a = matrix_operand(a, !(flags & STERNA_TRANSPOSE_A)),
                        .b = matrix_operand(b, (flags & STERNA_TRANSPOSE_B) != 0),
                        .depth = flags & STERNA_TRANSPOSE_A ? a->rows : a->cols,
                        .c = c, .accumulate = flags & STERNA_ACCUMULATE};
    multiply(&p, row0, row1, 0, c->cols, scratch);
    return STERNA_OK;
}

#endif

#endif
