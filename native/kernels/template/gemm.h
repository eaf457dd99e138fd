/*
 * gemm.h: one blocked product for every format, after BLIS (Van Zee and van de Geijn, 2015).
 *
 *     C(i, j) = sum over r of A(i, r) B(r, j)
 *
 * Packing turns a piece of A and a piece of B, whatever their format, into blocks of 32-bit lanes in
 * scratch; the microkernel sees those alone. A lane holds GEMM_DEPTH neighbours along r: one f32, or two
 * bf16 or int16 (int16.h). Row i of the A block is a run of STEPS lanes. The B block is made of panels of 16 columns: lane
 * `step` of column j stands at (j / 16 * STEPS + step) * 16 + j % 16.
 *
 * The same bytes for every cut into slices: how r is cut depends on its depth alone, a block's sum runs along
 * r in one order, and blocks are added to C in order. Which rows share a call changes none of these.
 *
 * The tier's file defines, the macros and the joins before it includes this one:
 *   GEMM_DEPTH             reduction steps in a lane, 1 or 2
 *   GEMM_INT16             1 when lanes hold int16: a row of A in steps of its own scale, B int8 (int16.h)
 *   GEMM_ROWS, GEMM_COLS   C rows and columns of a full microkernel call; columns a multiple of 16
 *   GEMM_BLOCK_ROWS        rows of an A block, a multiple of GEMM_ROWS
 *   GEMM_STEPS             lanes in a row of a block, at most 256 and a multiple of 16: a microkernel's rows of A
 *                          and columns of B stay in L1
 *   join_along(x, y)       lanes (vuint) of numbers (vfloat) that follow each other along r: x, then y
 *   join_across(x, y)      lanes of LANES columns: x at step r, y at step r + 1
 *                          (both are here when GEMM_DEPTH is 1, in int16.h when lanes hold int16; numbers that
 *                          bf16 holds may go past them)
 *   multiply_lanes(a, b, steps, panels, scales, c, stride, add)
 *                          c (GEMM_ROWS, 16 panels) = or += A B from packed blocks, where lanes hold int16 times
 *                          scales (GEMM_ROWS); may read lanes up to the next multiple of 16 steps, which are zero
 */
#ifndef STERNA_GEMM_H
#define STERNA_GEMM_H

#ifndef GEMM_INT16
#define GEMM_INT16 0
#endif

#include <string.h>

#include "dispatch/grid.h"
#include "dispatch/table.h"
#include "kernels/template/codes.h"
#if GEMM_INT16
#include "kernels/template/int16.h"
#endif
#include "kernels/template/row.h"
#include "kernels/template/square.h"

enum {
    PANEL = 16,
    STEPS = GEMM_STEPS,
    DEPTH = STEPS * GEMM_DEPTH,
    BLOCK_ROWS = GEMM_BLOCK_ROWS,
    BLOCK_COLS = 768,
    /* Columns of B for a call of the microkernel are so few that they stay in L1 beside C while A passes. */
    COLS_STAY = GEMM_COLS * STEPS * 4 <= 16384
};

/* Scratch: with A of 256 rows and 256 steps 256 KiB + 768 KiB + 768 KiB, so that all stay in 2 MiB of L2. */
struct blocks {
    uint32_t a[(BLOCK_ROWS + LANES) * STEPS];
    uint32_t b[BLOCK_COLS * STEPS];
    float c[BLOCK_ROWS * BLOCK_COLS]; /* sums of a C that is not f32 itself */
    float scales[BLOCK_ROWS + LANES]; /* of A's rows, where lanes hold int16 */
};
_Static_assert(sizeof(struct blocks) <= STERNA_SCRATCH_BYTES, "the blocks fit in scratch");

static void multiply_lanes(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, const float *scales,
                           float *c, int64_t stride, int add);

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
#endif

static inline int64_t at_most(int64_t x, int64_t limit) {
    return x < limit ? x : limit;
}

static inline int64_t round_up(int64_t x, int64_t unit) {
    return (x + unit - 1) / unit * unit;
}

/* ---------------------------------------------------------------- operands */

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

INLINE vfloat load_i8(const int8_t *p, int64_t count) {
    int8_t tail[LANES] = {0};
    if (count < LANES) p = memcpy(tail, p, (size_t)(count > 0 ? count : 0));
#if LANES == 16
    return float_of((vint)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
#else
    return float_of((vint)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#endif
}

/* Elements from `at` on, at most `count` of them; missing lanes are 0. */
INLINE vfloat load_row(const struct operand *o, enum format format, int64_t at, int64_t count) {
    if (format == FORMAT_I8) return load_i8((const int8_t *)o->data + at, count);
    return load((row){(void *)o->data, format == FORMAT_F32 ? STERNA_F32 : STERNA_BF16}, at, count);
}

/* ---------------------------------------------------------------- packing */

/* What is packed: `outers` rows of A (columns of B) from `outer`, `depth` steps of r from `r`. */
struct piece {
    int64_t outer, outers, r, depth;
    const float *factors; /* DEPTH of them, from r on, or null */
    const float *inverse; /* of A's rows: what turns their numbers into int16 */
};

/* How a block keeps lane (outer, step): A as rows of steps, B as panels of 16 outers. */
enum layout { LAYOUT_ROWS, LAYOUT_PANELS };

INLINE int64_t lane_index(enum layout layout, int64_t outer, int64_t step) {
    if (layout == LAYOUT_ROWS) return outer * STEPS + step;
    return (outer / PANEL * STEPS + step) * PANEL + outer % PANEL;
}

/* What is known of a square before it is packed, so that its code has no choice inside: all of its lanes exist;
 * they have factors. */
struct square {
    int whole, scaled;
};

/* Numbers that bf16 holds as they are need no rounding. */
INLINE int is_exact(enum format format, struct square known) {
    return GEMM_DEPTH == 2 && !GEMM_INT16 && format != FORMAT_F32 && !known.scaled;
}

/* The same numbers in memory and in lanes: `count` bf16, at most 2 LANES; then zeros. */
INLINE vuint load_pairs(const uint16_t *from, int64_t count) {
    uint16_t tail[2 * LANES] = {0};
    if (count < 2 * LANES) from = memcpy(tail, from, (size_t)(count > 0 ? count : 0) * 2);
    vuint pairs;
    memcpy(&pairs, from, sizeof pairs);
    return pairs;
}

/* LANES lanes of one outer, from `step` on. */
INLINE vuint lanes_along(const struct operand *o, enum format format, const struct piece *p, struct square known,
                         enum layout layout, int64_t outer, int64_t step) {
    int64_t r = step * GEMM_DEPTH, at = (p->outer + outer) * o->stride + p->r + r;
    int64_t count = known.whole ? LANES * GEMM_DEPTH : outer < p->outers ? p->depth - r : 0;
    if (is_exact(format, known)) return load_pairs((const uint16_t *)o->data + at, count);
    vfloat v[GEMM_DEPTH];
    for (int d = 0; d < GEMM_DEPTH; d++) {
        v[d] = load_row(o, format, at + d * LANES, count - d * LANES);
        if (known.scaled) v[d] *= load_floats(p->factors + r + d * LANES, LANES);
        if (GEMM_INT16 && layout == LAYOUT_ROWS) v[d] *= p->inverse[outer];
    }
    return join_along(v[0], v[GEMM_DEPTH - 1]);
}

/* Lane `step` of LANES outers from `outer` on. */
INLINE vuint lanes_across(const struct operand *o, enum format format, const struct piece *p, struct square known,
                          enum layout layout, int64_t outer, int64_t step) {
    vfloat v[GEMM_DEPTH];
    for (int d = 0; d < GEMM_DEPTH; d++) {
        int64_t r = step * GEMM_DEPTH + d;
        int64_t count = known.whole ? LANES : r < p->depth ? p->outers - outer : 0;
        v[d] = load_row(o, format, (p->r + r) * o->stride + p->outer + outer, count);
        if (known.scaled) v[d] *= p->factors[r];
        if (GEMM_INT16 && layout == LAYOUT_ROWS) v[d] *= load_floats(p->inverse + outer, LANES);
    }
    if (is_exact(format, known)) return (vuint)v[0] >> 16 | ((vuint)v[GEMM_DEPTH - 1] & 0xffff0000u);
    return join_across(v[0], v[GEMM_DEPTH - 1]);
}

/* LANES outers by LANES steps; transposed in registers when memory and layout run different ways. */
INLINE void pack_lanes(const struct operand *o, enum format format, int along, const struct piece *p,
                       struct square known, enum layout layout, int64_t outer, int64_t step, uint32_t *out) {
    vuint v[LANES];
    int64_t stride = layout == LAYOUT_ROWS ? STEPS : PANEL;
    out += lane_index(layout, outer, step);
    int transposed = along != (layout == LAYOUT_ROWS);
    for (int x = 0; x < LANES; x++) {
        v[x] = along ? lanes_along(o, format, p, known, layout, outer + x, step)
                     : lanes_across(o, format, p, known, layout, outer, step + x);
        if (!transposed) memcpy(out + x * stride, &v[x], sizeof v[x]);
    }
    if (!transposed) return;
    transpose_lanes(v);
    for (int x = 0; x < LANES; x++) memcpy(out + x * stride, &v[x], sizeof v[x]);
}

INLINE void pack_square(const struct operand *o, enum format format, int along, const struct piece *p,
                        enum layout layout, int64_t outer, int64_t step, uint32_t *out) {
    int whole = outer + LANES <= p->outers && (step + LANES) * GEMM_DEPTH <= p->depth;
    struct square whole_scaled = {1, 1}, whole_plain = {1, 0}, part = {0, p->factors != NULL};
    if (whole && p->factors) pack_lanes(o, format, along, p, whole_scaled, layout, outer, step, out);
    else if (whole) pack_lanes(o, format, along, p, whole_plain, layout, outer, step, out);
    else pack_lanes(o, format, along, p, part, layout, outer, step, out);
}

/* Squares follow each other as their numbers do in memory. */
INLINE void pack_format(const struct operand *o, enum format format, int along, const struct piece *p,
                        enum layout layout, int64_t padded, uint32_t *out) {
    int64_t steps = round_up(p->depth, GEMM_DEPTH) / GEMM_DEPTH;
    for (int64_t y = 0; y < (along ? padded : steps); y += LANES)
        for (int64_t x = 0; x < (along ? steps : padded); x += LANES)
            pack_square(o, format, along, p, layout, along ? y : x, along ? x : y, out);
}

#if GEMM_DEPTH == 2 && !GEMM_INT16

INLINE __m512i bytes_in_lanes(const uint8_t *from) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
}

/* `panels` panels of a block of 2-bit codes, `rows` (at most 32) rows of it from `block` on, then zeros. Byte i
 * holds weights i, i + 16, i + 32 and i + 48, so that a panel is one field of all bytes; its lowest two bits
 * choose a bf16, whatever stands above them. */
INLINE void pack_two_bits(const uint8_t *block, int64_t row_bytes, int64_t rows, int64_t panels, uint32_t *out) {
    const __m512i values = _mm512_set1_epi64((int64_t)0xbf80c0003f800000); /* -1, -2, 1, 0 */
    for (int64_t step = 0; step < 16; step++, block += 2 * row_bytes) {
        __m512i pair = _mm512_setzero_si512();
        if (2 * step < rows) pair = bytes_in_lanes(block);
        if (2 * step + 1 < rows) pair = _mm512_or_si512(pair, _mm512_slli_epi32(bytes_in_lanes(block + row_bytes), 16));
        for (int64_t n = 0; n < panels; n++, pair = _mm512_srli_epi32(pair, 2))
            _mm512_store_si512(out + (n * STEPS + step) * PANEL, _mm512_permutexvar_epi16(pair, values));
    }
}

/* Grids of 2 bits go to bf16 without a stop at int8: they are what trains, and B is packed in every call. */
static void pack_two_bit_codes(const sterna_packed *w, const struct piece *p, int64_t padded, uint32_t *out) {
    int64_t row_bytes = sterna_packed_row_bytes(w->grid, w->cols);
    for (int64_t outer = 0; outer < padded; outer += STERNA_BLOCK)
        for (int64_t r = 0; r < p->depth; r += 32) {
            const uint8_t *block = sterna_packed_row(w, p->r + r) + (p->outer + outer) / STERNA_BLOCK * 16;
            int64_t panels = at_most(padded - outer, STERNA_BLOCK) / PANEL, rows = p->depth - r;
            uint32_t *to = out + lane_index(LAYOUT_PANELS, outer, r / 2);
            if (panels == 4 && rows >= 32) pack_two_bits(block, row_bytes, 32, 4, to);
            else pack_two_bits(block, row_bytes, rows, panels, to);
        }
}

#endif

#if GEMM_INT16

/* A panel of B from `rows` (at most 2 steps) rows of int8, `count` columns of them; missing ones are 0. */
INLINE void pack_bytes(const int8_t *from, int64_t stride, int64_t rows, int64_t count, uint32_t *out) {
    for (int64_t r = 0; r < rows; r += 2, from += 2 * stride, out += PANEL)
        join_bytes(load_codes(from, count), r + 1 < rows ? load_codes(from + stride, count) : _mm_setzero_si128(), out);
}

/* Activations. */
static void pack_int8(const struct operand *o, const struct piece *p, uint32_t *out) {
    for (int64_t outer = 0; outer < p->outers; outer += PANEL, out += STEPS * PANEL) {
        const int8_t *from = (const int8_t *)o->data + p->r * o->stride + p->outer + outer;
        if (p->outers - outer >= PANEL) pack_bytes(from, o->stride, p->depth, PANEL, out);
        else pack_bytes(from, o->stride, p->depth, p->outers - outer, out);
    }
}

/* Weights: int8 on the stack first, a block of columns by some rows. */
static void pack_codes(const struct operand *o, const struct piece *p, int64_t padded, uint32_t *out) {
    enum { ROWS = 16 };
    int8_t codes[ROWS][STERNA_BLOCK] __attribute__((aligned(64)));
    for (int64_t outer0 = 0; outer0 < padded; outer0 += STERNA_BLOCK)
        for (int64_t r = 0; r < p->depth; r += ROWS) {
            int64_t rows = at_most(p->depth - r, ROWS);
            unpack_rows(o->codes, p->r + r, rows, p->outer + outer0, codes);
            for (int64_t outer = 0; outer < at_most(padded - outer0, STERNA_BLOCK); outer += PANEL)
                pack_bytes(codes[0] + outer, STERNA_BLOCK, rows, PANEL, out + lane_index(LAYOUT_PANELS, outer0 + outer, r / 2));
        }
}

#else

/* Codes become int8 on the stack, a block of columns by LANES steps, and go on from there. */
static void pack_codes(const struct operand *o, const struct piece *p, int64_t padded, uint32_t *out) {
#if GEMM_DEPTH == 2 && !GEMM_INT16
    if (sterna_bits(o->codes->grid) == 2) {
        pack_two_bit_codes(o->codes, p, padded, out);
        return;
    }
#endif
    int8_t codes[LANES * GEMM_DEPTH][STERNA_BLOCK] __attribute__((aligned(64)));
    const struct operand unpacked = {.data = codes, .stride = STERNA_BLOCK};
    for (int64_t outer0 = 0; outer0 < padded; outer0 += STERNA_BLOCK)
        for (int64_t step = 0; step * GEMM_DEPTH < p->depth; step += LANES) {
            int64_t r = step * GEMM_DEPTH, rows = at_most(p->depth - r, LANES * GEMM_DEPTH);
            struct piece part = {.outers = at_most(p->outers - outer0, STERNA_BLOCK), .depth = rows};
            unpack_rows(o->codes, p->r + r, rows, p->outer + outer0, codes);
            for (int64_t outer = 0; outer < at_most(padded - outer0, STERNA_BLOCK); outer += LANES)
                pack_square(&unpacked, FORMAT_I8, 0, &part, LAYOUT_PANELS, outer, 0,
                            out + lane_index(LAYOUT_PANELS, outer0, step));
        }
}

#endif

static void pack_a(const struct operand *o, const struct piece *p, uint32_t *out) {
    int64_t padded = round_up(round_up(p->outers, GEMM_ROWS), LANES);
    if (o->format == FORMAT_F32 && o->along) pack_format(o, FORMAT_F32, 1, p, LAYOUT_ROWS, padded, out);
    else if (o->format == FORMAT_F32) pack_format(o, FORMAT_F32, 0, p, LAYOUT_ROWS, padded, out);
    else if (o->along) pack_format(o, FORMAT_BF16, 1, p, LAYOUT_ROWS, padded, out);
    else pack_format(o, FORMAT_BF16, 0, p, LAYOUT_ROWS, padded, out);
}

static void pack_b(const struct operand *o, const struct piece *p, uint32_t *out) {
    int64_t padded = round_up(p->outers, PANEL);
    if (o->format == FORMAT_CODES) pack_codes(o, p, padded, out);
#if GEMM_INT16
    else pack_int8(o, p, out);
#else
    else if (o->format == FORMAT_I8) pack_format(o, FORMAT_I8, 0, p, LAYOUT_PANELS, padded, out);
    else if (o->format == FORMAT_F32 && o->along) pack_format(o, FORMAT_F32, 1, p, LAYOUT_PANELS, padded, out);
    else if (o->format == FORMAT_F32) pack_format(o, FORMAT_F32, 0, p, LAYOUT_PANELS, padded, out);
    else if (o->along) pack_format(o, FORMAT_BF16, 1, p, LAYOUT_PANELS, padded, out);
    else pack_format(o, FORMAT_BF16, 0, p, LAYOUT_PANELS, padded, out);
#endif
}

/* ---------------------------------------------------------------- steps of A's rows */

#if GEMM_INT16

/* LANES numbers of A, at most `count`, times the factors that they meet along r, or across it. */
INLINE vint magnitudes_along(const struct operand *o, enum format format, const struct piece *p, int64_t outer, int64_t r) {
    vfloat v = load_row(o, format, (p->outer + outer) * o->stride + p->r + r, p->depth - r);
    return magnitude_bits(v * load_floats(p->factors + r, LANES));
}

INLINE vint magnitudes_across(const struct operand *o, enum format format, const struct piece *p, int64_t outer, int64_t r) {
    vfloat v = load_row(o, format, (p->r + r) * o->stride + p->outer + outer, p->outers - outer);
    return magnitude_bits(v * p->factors[r]);
}

/* The bits of the largest magnitude of each row of a piece. */
INLINE void find_largest(const struct operand *o, enum format format, int along, const struct piece *p, int32_t *largest) {
    for (int64_t outer = 0; along && outer < p->outers; outer++) {
        vint max = splat_int(0);
        for (int64_t r = 0; r < p->depth; r += LANES) max = max_int(max, magnitudes_along(o, format, p, outer, r));
        largest[outer] = largest_int(max);
    }
    enum { CHUNK = 4 }; /* vectors of rows of A side by side */
    for (int64_t outer = 0; !along && outer < p->outers; outer += CHUNK * LANES) {
        vint max[CHUNK] = {{0}};
        for (int64_t r = 0; r < p->depth; r++)
#pragma GCC unroll 4
            for (int64_t v = 0; v < CHUNK; v++) max[v] = max_int(max[v], magnitudes_across(o, format, p, outer + v * LANES, r));
        memcpy(largest + outer, max, sizeof max);
    }
}

/* Sets the scales of the rows of a piece of A, and what turns their numbers into steps. */
static void measure_rows(const struct operand *o, const struct piece *p, float *scales, float inverse[BLOCK_ROWS + LANES]) {
    int32_t largest[BLOCK_ROWS + 4 * LANES]; /* written in runs of so many vectors */
    if (o->format == FORMAT_F32 && o->along) find_largest(o, FORMAT_F32, 1, p, largest);
    else if (o->format == FORMAT_F32) find_largest(o, FORMAT_F32, 0, p, largest);
    else if (o->along) find_largest(o, FORMAT_BF16, 1, p, largest);
    else find_largest(o, FORMAT_BF16, 0, p, largest);
    for (int64_t i = 0; i < BLOCK_ROWS + LANES; i++) {
        scales[i] = i < p->outers ? int16_scale(float_of_bits(largest[i])) : 0;
        inverse[i] = i < p->outers ? int16_inverse(float_of_bits(largest[i])) : 0;
    }
}

#endif

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
static void multiply_edge(const uint32_t *a, const uint32_t *b, int64_t steps, const float *scales, const struct tile *c,
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
    struct tile part = {c->data + i * c->stride + j, c->stride, at_most(c->rows - i, GEMM_ROWS),
                        at_most(c->cols - j, GEMM_COLS)};
    if (part.rows == GEMM_ROWS && part.cols % PANEL == 0)
        multiply_lanes(a, b, steps, (int)(part.cols / PANEL), s->scales + i, part.data, part.stride, add);
    else multiply_edge(a, b, steps, s->scales + i, &part, add);
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
    float factors[DEPTH], inverse[BLOCK_ROWS + LANES];
    int64_t r = 0, even = even_depth(p->depth);
    do {
        int64_t depth = at_most(p->depth - r, even), steps = round_up(depth, GEMM_DEPTH) / GEMM_DEPTH;
        pack_b(&p->b, &(struct piece){p->b0 + j, c->cols, r, depth, NULL, NULL}, s->b);
        const float *piece = piece_factors(&p->a, r, depth, factors);
        for (int64_t i0 = 0; i0 < c->rows; i0 += BLOCK_ROWS) {
            struct tile rows = {c->data + i0 * c->stride, c->stride, at_most(c->rows - i0, BLOCK_ROWS), c->cols};
            struct piece a = {p->a0 + i + i0, rows.rows, r, depth, piece, inverse};
#if GEMM_INT16
            measure_rows(&p->a, &a, s->scales, inverse);
#endif
            pack_a(&p->a, &a, s->a);
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

/* Rows row0...row1-1 and columns col0...col1-1 of C. */
static void multiply(const struct product *p, int64_t row0, int64_t row1, int64_t col0, int64_t col1, void *scratch) {
    struct blocks *s = scratch;
    int direct = p->c->type == STERNA_F32;
    int64_t height = direct ? row1 - row0 : BLOCK_ROWS; /* sums in scratch are a block high */
    for (int64_t j = col0; j < col1; j += BLOCK_COLS)
        for (int64_t i = row0; i < row1; i += height) {
            int64_t at = i * p->c->stride + j, rows = at_most(row1 - i, height), cols = at_most(col1 - j, BLOCK_COLS);
            struct tile c = direct ? (struct tile){(float *)p->c->data + at, p->c->stride, rows, cols}
                                   : (struct tile){s->c, BLOCK_COLS, rows, cols};
            sum_tile(p, i, j, &c, direct && p->accumulate, s);
            if (!direct) round_tile(&c, p->c, i, j, p->accumulate);
        }
}

/* ---------------------------------------------------------------- the kernels */

/* dx (T, K) = dy (T, N) W (N, K), scales folded into dy; per group, group by group of columns. */
static int32_t input_gradient(const sterna_matrix *dy, const sterna_packed *w, const sterna_matrix *dx,
                              int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    struct product p = {.a = matrix_operand(dy, 1), .b = {.format = FORMAT_CODES, .codes = w},
                        .depth = w->rows, .c = dx, .accumulate = accumulate};
    p.a.factor_stride = w->scaling == STERNA_PER_TENSOR ? 0 : sterna_groups(w);
    int64_t cols = sterna_group_cols(w);
    for (int64_t col = 0; col < w->cols; col += cols) {
        p.a.factors = w->scales + col / cols;
        multiply(&p, row0, row1, col, at_most(col + cols, w->cols), scratch);
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

#if !GEMM_INT16

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
