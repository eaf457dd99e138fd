/*
 * product.h: the products of int8 gradients, for a tier from AVX2 up:
 *
 *     out(m, k) = or += sum over groups, in order, of (float)(sum over r of left(m, r) right(r, k)) * scales
 *
 * left (M, R) are a gradient's codes, right (R, K) those of packed weights or of activations, whose rows lie
 * along the reduction r. Right becomes panels of 16 columns, for products of unsigned by signed bytes
 *
 *     panel[step][16 columns][4]   u = code + bias, of rows 4 step...4 step + 3
 *
 * so that sum of left code = sum of left u - bias * sum of left; or with SIGNED_PANELS, of signed by signed bytes, the
 * codes. A tier's file includes this header, defines `multiply`, which is declared below, and gets `input_gradient_int8`
 * and `weight_gradient_int8`.
 */
#ifndef STERNA_PRODUCT_H
#define STERNA_PRODUCT_H

#include "dispatch/gradient.h"
#include "dispatch/table.h"
#include "kernels/template/row.h"
#include "kernels/template/sizes.h"
#include "kernels/template/unpack.h"

enum {
    PANEL = 16,                 /* columns */
    STEP = 4,                   /* rows */
    ROW_BLOCK = STERNA_BLOCK,   /* rows of right come in multiples of this, past the end with any codes */
    PANELS_OF_BLOCK = STERNA_BLOCK / PANEL
};

typedef struct product {
    const int8_t *left; /* (rows, depth) */
    int64_t left_stride, rows;
    const sterna_packed *w;    /* right, (depth, cols); null: */
    const sterna_quantized *x; /* right's codes */
    int32_t bias; /* of panels */
    int64_t depth, cols;
    int64_t group, groups; /* steps of the reduction that share a scale */
    float scale;           /* of all, and of row m and group g: */
    const float *row_scales; /* (rows, groups) */
    const sterna_matrix *out; /* (rows, cols) */
    int accumulate;
} product;

/* The whole product. */
static void multiply(const product *p, void *scratch);

/* ---------------------------------------------------------------- panels */

/* A row of 64 bytes, or four of them. */
typedef struct byte_row {
    bytes v[BLOCK_VECTORS];
} byte_row;

/* Four rows of 64 columns become a step of four panels. The words of each row are brought into the order in
 * which interleaving, which works within 128 bits, leaves them where they belong. */
#if defined(__AVX512BW__)

INLINE void interleave_rows(const byte_row rows[STEP], byte_row steps[PANELS_OF_BLOCK]) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i r[STEP];
    for (int i = 0; i < STEP; i++) r[i] = _mm512_permutexvar_epi32(order, rows[i].v[0]);
    __m512i low01 = _mm512_unpacklo_epi8(r[0], r[1]), high01 = _mm512_unpackhi_epi8(r[0], r[1]);
    __m512i low23 = _mm512_unpacklo_epi8(r[2], r[3]), high23 = _mm512_unpackhi_epi8(r[2], r[3]);
    steps[0].v[0] = _mm512_unpacklo_epi16(low01, low23);
    steps[1].v[0] = _mm512_unpackhi_epi16(low01, low23);
    steps[2].v[0] = _mm512_unpacklo_epi16(high01, high23);
    steps[3].v[0] = _mm512_unpackhi_epi16(high01, high23);
}

/* The first `count` bytes, then zeros. */
INLINE byte_row load_bytes_of_row(const int8_t *from, int64_t count) {
    __mmask64 some = count >= STERNA_BLOCK ? ~0ull : (1ull << count) - 1;
    return (byte_row){{_mm512_maskz_loadu_epi8(some, from)}};
}

INLINE byte_row flip_signs(byte_row row) {
    return (byte_row){{_mm512_xor_si512(row.v[0], _mm512_set1_epi8(-128))}};
}

#else

INLINE void interleave_half(const byte_row rows[STEP], int half, byte_row steps[2]) {
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    __m256i r[STEP];
    for (int i = 0; i < STEP; i++) r[i] = _mm256_permutevar8x32_epi32(rows[i].v[half], order);
    __m256i low01 = _mm256_unpacklo_epi8(r[0], r[1]), high01 = _mm256_unpackhi_epi8(r[0], r[1]);
    __m256i low23 = _mm256_unpacklo_epi8(r[2], r[3]), high23 = _mm256_unpackhi_epi8(r[2], r[3]);
    steps[0].v[0] = _mm256_unpacklo_epi16(low01, low23);
    steps[0].v[1] = _mm256_unpackhi_epi16(low01, low23);
    steps[1].v[0] = _mm256_unpacklo_epi16(high01, high23);
    steps[1].v[1] = _mm256_unpackhi_epi16(high01, high23);
}

INLINE void interleave_rows(const byte_row rows[STEP], byte_row steps[PANELS_OF_BLOCK]) {
    interleave_half(rows, 0, steps);
    interleave_half(rows, 1, steps + 2);
}

INLINE __m256i load_half(const int8_t *from, int64_t count) {
    int8_t some[32] __attribute__((aligned(32))) = {0};
    if (count >= 32) return _mm256_loadu_si256((const __m256i *)from);
    if (count > 0) memcpy(some, from, (size_t)count);
    return _mm256_load_si256((const __m256i *)some);
}

INLINE byte_row load_bytes_of_row(const int8_t *from, int64_t count) {
    return (byte_row){{load_half(from, count), load_half(from + 32, count - 32)}};
}

INLINE byte_row flip_signs(byte_row row) {
    for (int v = 0; v < BLOCK_VECTORS; v++) row.v[v] = _mm256_xor_si256(row.v[v], _mm256_set1_epi8(-128));
    return row;
}

#endif

/* u, or the codes, of row r and the 64 columns from col on; `bits` are those of w's grid, or 0 for activations. */
INLINE byte_row load_right(const product *p, int bits, int64_t r, int64_t col) {
    byte_row row;
    if (!bits) {
        row = load_bytes_of_row(p->x->codes + r * p->x->stride + col, p->cols - col);
        return SIGNED_PANELS ? row : flip_signs(row);
    }
    unpack_block(sterna_packed_row(p->w, r) + col / STERNA_BLOCK * 8 * bits, bits, row.v);
    for (int v = 0; v < BLOCK_VECTORS; v++) row.v[v] = panel_codes(row.v[v], bits);
    return row;
}

/* Rows r...r+63 and the 64 columns from col on become part of the block's panels, of which panel...panels-1 are wanted. */
INLINE void make_square(const product *p, int bits, int64_t r, int64_t col, int64_t panel, int64_t panels,
                        int64_t panel_bytes, uint8_t *out) {
    for (int64_t step = 0; step < ROW_BLOCK; step += STEP) {
        byte_row right[STEP], steps[PANELS_OF_BLOCK];
#pragma GCC unroll 4
        for (int i = 0; i < STEP; i++) right[i] = load_right(p, bits, least(r + step + i, p->depth - 1), col);
        interleave_rows(right, steps);
#pragma GCC unroll 4
        for (int i = 0; i < PANELS_OF_BLOCK; i++)
            if (panel + i >= 0 && panel + i < panels)
                memcpy(out + (panel + i) * panel_bytes + step * PANEL, &steps[i], sizeof steps[i]);
    }
}

/* Rows r0...r0+rows-1, a multiple of 64, and columns col0...; 64 rows at a time, so that memory is read along them. */
INLINE void make_panels_of(const product *p, int bits, int64_t r0, int64_t rows, int64_t col0, int64_t panels,
                           int64_t panel_bytes, uint8_t *out) {
    int64_t begin = col0 / STERNA_BLOCK * STERNA_BLOCK, end = least(col0 + panels * PANEL, p->cols);
    for (int64_t r = 0; r < rows; r += ROW_BLOCK)
        for (int64_t col = begin; col < end; col += STERNA_BLOCK)
            make_square(p, bits, r0 + r, col, (col - col0) / PANEL, panels, panel_bytes, out + r * PANEL);
}

/* One loop for each number of bits, without a choice inside. */
static void make_panels(const product *p, int64_t r0, int64_t rows, int64_t col0, int64_t panels,
                        int64_t panel_bytes, uint8_t *out) {
    switch (p->w ? sterna_bits(p->w->grid) : 0) {
    case 0: make_panels_of(p, 0, r0, rows, col0, panels, panel_bytes, out); break;
    case 1: make_panels_of(p, 1, r0, rows, col0, panels, panel_bytes, out); break;
    case 2: make_panels_of(p, 2, r0, rows, col0, panels, panel_bytes, out); break;
    case 3: make_panels_of(p, 3, r0, rows, col0, panels, panel_bytes, out); break;
    case 4: make_panels_of(p, 4, r0, rows, col0, panels, panel_bytes, out); break;
    case 5: make_panels_of(p, 5, r0, rows, col0, panels, panel_bytes, out); break;
    case 6: make_panels_of(p, 6, r0, rows, col0, panels, panel_bytes, out); break;
    case 7: make_panels_of(p, 7, r0, rows, col0, panels, panel_bytes, out); break;
    default: make_panels_of(p, 8, r0, rows, col0, panels, panel_bytes, out); break;
    }
}

/* ---------------------------------------------------------------- results */

/* What turns sums into values: (sum - bias) * scale * row_scale. */
typedef struct scaling {
    vint bias;
    vfloat scale, row_scale;
} scaling;

/* out = or += values, `count` of them; the float type and `add` are constants at every call. */
INLINE void store_scaled(void *data, int32_t type, int add, const int32_t *sums, int64_t count, const scaling *s) {
    row out = {data, type};
    int64_t i = 0;
    for (; i < count; i += LANES) {
        int64_t left = count - i;
        vint sum;
        memcpy(&sum, sums + i, sizeof sum);
        vfloat value = float_of(sum - s->bias) * s->scale * s->row_scale;
        if (left >= LANES) store(out, i, LANES, add ? load(out, i, LANES) + value : value);
        else store(out, i, left, add ? load(out, i, left) + value : value);
    }
}

/* Row m from column col on: `count` sums of group g, less `bias`, go to out; whole panels of sums can be read. */
INLINE void store_sums(const product *p, int64_t m, int64_t col, int64_t count, int64_t g, const int32_t *sums,
                       int32_t bias) {
    scaling s = {splat_int(bias), splat(p->scale), splat(p->row_scales[m * p->groups + g])};
    void *data = row_at(p->out, m, col).data;
    int add = p->accumulate || g > 0;
    if (p->out->type == STERNA_BF16) store_scaled(data, STERNA_BF16, add, sums, count, &s);
    else if (add) store_scaled(data, STERNA_F32, 1, sums, count, &s);
    else store_scaled(data, STERNA_F32, 0, sums, count, &s);
}

/* ---------------------------------------------------------------- the table's entries */

static int32_t input_gradient_int8(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *dx,
                                   int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    sterna_matrix out = *dx;
    out.data = row_at(dx, row0, 0).data;
    product p = {.left = q->codes + row0 * q->stride, .left_stride = q->stride, .rows = row1 - row0, .w = w,
                 .bias = SIGNED_PANELS ? 0 : code_bias(w->grid), .depth = q->cols, .cols = w->cols,
                 .group = q->cols, .groups = 1,
                 .scale = w->scaling == STERNA_PER_TENSOR ? w->scales[0] : 1, .row_scales = q->scales + row0,
                 .out = &out, .accumulate = accumulate};
    multiply(&p, scratch);
    return STERNA_OK;
}

static int32_t weight_gradient_int8(const sterna_gradient *g, const sterna_quantized *x, const sterna_matrix *dw,
                                    int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    int64_t groups = sterna_gradient_groups(g->cols);
    product p = {.left = g->codes + row0 * g->stride, .left_stride = g->stride, .rows = row1 - row0, .x = x,
                 .bias = SIGNED_PANELS ? 0 : 128, .depth = g->cols, .cols = x->cols,
                 .group = STERNA_GRADIENT_GROUP, .groups = groups,
                 .scale = 1, .row_scales = g->scales + row0 * groups, .out = dw, .accumulate = accumulate};
    multiply(&p, scratch);
    return STERNA_OK;
}

#endif
