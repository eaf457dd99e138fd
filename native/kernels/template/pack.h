/*
 * pack.h: pieces of operands become blocks of lanes; numbers in memory and lanes in a block may run different ways.
 */
#ifndef STERNA_PACK_H
#define STERNA_PACK_H

#if GEMM_INT16 != 2
#include "kernels/template/codes.h"
#endif
#include "kernels/template/operand.h"
#include "kernels/template/square.h"

/* What is known of a square before it is packed, so that its code has no choice inside: all of its lanes exist;
 * they have factors. */
struct square {
    int whole, scaled;
};

/* Whether numbers become steps of a scale: those of A, and in GEMM_INT16 2 of B, where lanes hold int16. */
INLINE int has_scale(enum layout layout) {
    return GEMM_INT16 == 2 || (GEMM_INT16 && layout == LAYOUT_ROWS);
}

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
    int64_t r = step * GEMM_DEPTH, count = known.whole ? LANES * GEMM_DEPTH : outer < p->outers ? p->depth - r : 0;
    if (is_exact(format, known))
        return load_pairs((const uint16_t *)o->data + (p->outer + outer) * o->stride + p->r + r, count);
    vfloat v[GEMM_DEPTH];
    for (int d = 0; d < GEMM_DEPTH; d++) {
        v[d] = numbers_along(o, format, p, known.scaled, outer, r + d * LANES, count - d * LANES);
        if (has_scale(layout)) v[d] *= p->inverse[outer];
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
        v[d] = numbers_across(o, format, p, known.scaled, outer, r, count);
        if (has_scale(layout)) v[d] *= load_floats(p->inverse + outer, LANES);
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

INLINE void pack_floats(const struct operand *o, const struct piece *p, enum layout layout, int64_t padded, uint32_t *out) {
    if (o->format == FORMAT_F32 && o->along) pack_format(o, FORMAT_F32, 1, p, layout, padded, out);
    else if (o->format == FORMAT_F32) pack_format(o, FORMAT_F32, 0, p, layout, padded, out);
    else if (o->along) pack_format(o, FORMAT_BF16, 1, p, layout, padded, out);
    else pack_format(o, FORMAT_BF16, 0, p, layout, padded, out);
}

static void pack_a(const struct operand *o, const struct piece *p, uint32_t *out) {
    pack_floats(o, p, LAYOUT_ROWS, round_up(round_up(p->outers, GEMM_ROWS), LANES), out);
}

#if !GEMM_INT16

/* ---------------------------------------------------------------- B of floats */

#if GEMM_DEPTH == 2

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
            int64_t panels = least(padded - outer, STERNA_BLOCK) / PANEL, rows = p->depth - r;
            uint32_t *to = out + lane_index(LAYOUT_PANELS, outer, r / 2);
            if (panels == 4 && rows >= 32) pack_two_bits(block, row_bytes, 32, 4, to);
            else pack_two_bits(block, row_bytes, rows, panels, to);
        }
}

/* A lane of 64 columns, two rows of int8. bf16 holds these, so that the upper half of a float has all of it. */
INLINE void pack_bytes(const int8_t *rows, int64_t stride, uint32_t *out) {
    for (int64_t n = 0; n < 64; n += PANEL, rows += PANEL, out += STEPS * PANEL) {
        vuint first = (vuint)float_of(load_codes(rows, LANES)), second = (vuint)float_of(load_codes(rows + stride, LANES));
        vuint pairs = first >> 16 | (second & 0xffff0000u);
        memcpy(out, &pairs, sizeof pairs);
    }
}

/* Activations, 64 columns at a time where they are whole: a line is read once, however far rows lie apart. */
static void pack_int8(const struct operand *o, const struct piece *p, int64_t padded, uint32_t *out) {
    int64_t whole = p->depth % (LANES * GEMM_DEPTH) == 0 ? p->outers / 64 * 64 : 0;
    struct piece rest = {p->outer + whole, p->outers - whole, p->r, p->depth, NULL, NULL};
    for (int64_t outer = 0; outer < whole; outer += 64)
        for (int64_t r = 0; r < p->depth; r += GEMM_DEPTH)
            pack_bytes((const int8_t *)o->data + (p->r + r) * o->stride + p->outer + outer, o->stride,
                       out + lane_index(LAYOUT_PANELS, outer, r / GEMM_DEPTH));
    pack_format(o, FORMAT_I8, 0, &rest, LAYOUT_PANELS, padded - whole, out + lane_index(LAYOUT_PANELS, whole, 0));
}

#else

static void pack_int8(const struct operand *o, const struct piece *p, int64_t padded, uint32_t *out) {
    pack_format(o, FORMAT_I8, 0, p, LAYOUT_PANELS, padded, out);
}

#endif

/* Codes become int8 on the stack, a block of columns by LANES steps, and go on from there. */
static void pack_codes(const struct operand *o, const struct piece *p, int64_t padded, uint32_t *out) {
#if GEMM_DEPTH == 2
    if (sterna_bits(o->codes->grid) == 2) {
        pack_two_bit_codes(o->codes, p, padded, out);
        return;
    }
#endif
    int8_t codes[LANES * GEMM_DEPTH][STERNA_BLOCK] __attribute__((aligned(64)));
    const struct operand unpacked = {.data = codes, .stride = STERNA_BLOCK};
    for (int64_t outer0 = 0; outer0 < padded; outer0 += STERNA_BLOCK)
        for (int64_t step = 0; step * GEMM_DEPTH < p->depth; step += LANES) {
            int64_t r = step * GEMM_DEPTH, rows = least(p->depth - r, LANES * GEMM_DEPTH);
            struct piece part = {.outers = least(p->outers - outer0, STERNA_BLOCK), .depth = rows};
            unpack_rows(o->codes, p->r + r, rows, p->outer + outer0, codes);
            for (int64_t outer = 0; outer < least(padded - outer0, STERNA_BLOCK); outer += LANES)
                pack_square(&unpacked, FORMAT_I8, 0, &part, LAYOUT_PANELS, outer, 0,
                            out + lane_index(LAYOUT_PANELS, outer0, step));
        }
}

static void pack_b(const struct operand *o, const struct piece *p, uint32_t *out) {
    int64_t padded = round_up(p->outers, PANEL);
    if (o->format == FORMAT_CODES) pack_codes(o, p, padded, out);
    else if (o->format == FORMAT_I8) pack_int8(o, p, padded, out);
    else pack_floats(o, p, LAYOUT_PANELS, padded, out);
}

#endif

#endif
