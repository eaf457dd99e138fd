/* operand.h: what gemm.h, whose parameters these are, multiplies, and the lanes that it becomes. */
#ifndef STERNA_OPERAND_H
#define STERNA_OPERAND_H

#include <string.h>

#include "dispatch/grid.h"
#include "kernels/template/row.h"
#include "kernels/template/sizes.h"

enum {
    PANEL = 16,
    STEPS = GEMM_STEPS,
    DEPTH = STEPS * GEMM_DEPTH,
    BLOCK_ROWS = GEMM_BLOCK_ROWS,
    BLOCK_COLS = 768,
    RUN = GEMM_RUN,
    RUNS = STEPS / RUN,
    /* Room for a number of each row of A or column of B, and for those that only padding has. */
    SPARE = GEMM_ROWS + LANES,
    ROW_SCALES = (BLOCK_ROWS + SPARE + 63) / 64 * 64,
    COL_SCALES = (BLOCK_COLS + SPARE + 63) / 64 * 64,
    OUTERS = ROW_SCALES > COL_SCALES ? ROW_SCALES : COL_SCALES
};

enum format { FORMAT_F32, FORMAT_BF16, FORMAT_I8, FORMAT_CODES };

/* A(i, r) as `outer` i and r, or B(r, j) as `outer` j and r. In memory r runs along a row (element
 * outer * stride + r) or across rows (element r * stride + outer). */
struct operand {
    enum format format;
    int along;
    const void *data;
    int64_t stride;
    const sterna_packed *codes; /* FORMAT_CODES: across, element (r, outer) */
    const float *factors;       /* element (outer, r) counts times factors[r * factor_stride]; or null */
    int64_t factor_stride;
};

static struct operand matrix_operand(const sterna_matrix *x, int along) {
    return (struct operand){.format = x->type == STERNA_F32 ? FORMAT_F32 : FORMAT_BF16,
                            .along = along, .data = x->data, .stride = x->stride};
}

/* Elements from `at` on, at most `count` of them; missing lanes are 0. */
INLINE vfloat load_row(const struct operand *o, enum format format, int64_t at, int64_t count) {
    if (format == FORMAT_I8) return float_of(load_codes((const int8_t *)o->data + at, lanes_of(count)));
    return load((row){(void *)o->data, format == FORMAT_F32 ? STERNA_F32 : STERNA_BF16}, at, count);
}

/* What is packed: `outers` rows of A (columns of B) from `outer`, `depth` steps of r from `r`. */
struct piece {
    int64_t outer, outers, r, depth;
    const float *factors; /* DEPTH of them, from r on, or null */
    const float *inverse; /* of A's rows: what turns their numbers into int16 */
};

/* LANES numbers of one outer from step r of the piece on, or of step r from `outer` on; at most `count` of them, then
 * zeros. With factors when `scaled`. */
INLINE vfloat numbers_along(const struct operand *o, enum format format, const struct piece *p, int scaled, int64_t outer,
                            int64_t r, int64_t count) {
    vfloat v = load_row(o, format, (p->outer + outer) * o->stride + p->r + r, count);
    return scaled ? v * load_floats(p->factors + r, LANES) : v;
}

/* Rows of floats lie far apart: those that come next are fetched while these are packed. */
#define AHEAD_ROWS 32

INLINE vfloat numbers_across(const struct operand *o, enum format format, const struct piece *p, int scaled, int64_t outer,
                             int64_t r, int64_t count) {
    int64_t at = (p->r + r) * o->stride + p->outer + outer;
    if (format != FORMAT_I8)
        __builtin_prefetch((const char *)o->data + (at + AHEAD_ROWS * o->stride) * (format == FORMAT_F32 ? 4 : 2));
    vfloat v = load_row(o, format, at, count);
    return scaled ? v * p->factors[r] : v;
}

/* How a block keeps lane (outer, step): A as rows of steps, B as panels of 16 outers. */
enum layout { LAYOUT_ROWS, LAYOUT_PANELS };

INLINE int64_t lane_index(enum layout layout, int64_t outer, int64_t step) {
    if (layout == LAYOUT_ROWS) return outer * STEPS + step;
    return (outer / PANEL * STEPS + step) * PANEL + outer % PANEL;
}

/* ---------------------------------------------------------------- lanes */

#if GEMM_DEPTH == 1

/* A lane is one number, which y is again. */
INLINE vuint join_along(vfloat x, vfloat y) {
    (void)y;
    return (vuint)x;
}

INLINE vuint join_across(vfloat x, vfloat y) {
    (void)y;
    return (vuint)x;
}

#elif GEMM_INT16

#if LANES == 16

/* Pairs of neighbours: x's 16 numbers, then y's. */
INLINE vuint join_along(vfloat x, vfloat y) {
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    __m512i pairs = _mm512_packs_epi32((__m512i)nearest_int(x), (__m512i)nearest_int(y));
    return (vuint)_mm512_permutexvar_epi64(order, pairs);
}

#else

INLINE vuint join_along(vfloat x, vfloat y) {
    __m256i pairs = _mm256_packs_epi32((__m256i)nearest_int(x), (__m256i)nearest_int(y));
    return (vuint)_mm256_permute4x64_epi64(pairs, 0xd8);
}

#endif

/* Pairs of x and y, lane by lane; both lie within int16. */
INLINE vuint join_across(vfloat x, vfloat y) {
    return ((vuint)nearest_int(x) & 0xffff) | (vuint)nearest_int(y) << 16;
}

#endif

#endif
