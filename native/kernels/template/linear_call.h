/*
 * linear_call.h: one call of sterna_linear, whatever multiplies: its sizes, the panels of its weights, and
 * how sums become y.
 */
#ifndef STERNA_LINEAR_CALL_H
#define STERNA_LINEAR_CALL_H

#include "dispatch/bf16.h"
#include "panel.h"
#include "sizes.h"

struct linear_scratch;

typedef struct linear_call {
    const sterna_quantized *q;
    const sterna_packed *w;
    const sterna_matrix *y, *residual;    /* residual: null, or what the products are added to */
    int bits;
    int32_t bias;                         /* what the sums of u x have too much of, times the sum of x */
    int64_t blocks, groups, group_blocks; /* blocks of a row; groups of a row; blocks of a group */
    int64_t row_bytes, panel_bytes;
    struct linear_scratch *scratch; /* as the one who multiplies lays it out */
} linear_call;

static inline linear_call make_linear_call(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                                           const sterna_matrix *residual, void *scratch) {
    linear_call c = {
        .q = q, .w = w, .y = y, .residual = residual, .bits = sterna_bits(w->grid), .bias = code_bias(w->grid),
        .blocks = sterna_blocks(w->cols), .groups = sterna_groups(w),
        .group_blocks = sterna_blocks(sterna_group_cols(w)),
        .row_bytes = sterna_packed_row_bytes(w->grid, w->cols), .scratch = scratch,
    };
    c.panel_bytes = c.blocks * PANEL * STERNA_BLOCK + c.groups * PANEL * (int64_t)sizeof(float);
    return c;
}

/* Blocks of group g: all alike but the last. */
static inline int64_t blocks_of_group(const linear_call *c, int64_t g) {
    return least(c->group_blocks, c->blocks - g * c->group_blocks);
}

/* ---------------------------------------------------------------- results */

/* As many rows side by side as a register holds. */
#define LANES ((int64_t)sizeof(bytes) / 4)
typedef float floats __attribute__((vector_size(sizeof(bytes))));
typedef int32_t ints __attribute__((vector_size(sizeof(bytes))));
typedef uint16_t shorts __attribute__((vector_size(sizeof(bytes) / 2)));

INLINE floats floats_at(const float *x) {
    floats v;
    memcpy(&v, x, sizeof v);
    return v;
}

INLINE floats floats_of_bf16(shorts x) {
    return (floats)(__builtin_convertvector(x, ints) << 16);
}

/* As sterna_bf16_of_f32, in every lane. */
INLINE shorts exact_bf16_of_floats(floats x) {
    ints bits = (ints)x, is_nan = (bits & 0x7fffffff) > 0x7f800000;
    ints nearest = bits + 0x7fff + (bits >> 16 & 1), quiet = bits | 0x400000;
    return __builtin_convertvector(((is_nan & quiet) | (~is_nan & nearest)) >> 16, shorts);
}

#if defined(__AVX512BF16__)

/* The instruction makes 0 of numbers below the normal ones. */
INLINE shorts bf16_of_floats(floats x) {
    enum { DENORMAL = 0x20 };
    if (_mm512_fpclass_ps_mask((__m512)x, DENORMAL)) return exact_bf16_of_floats(x);
    return (shorts)_mm512_cvtneps_pbh((__m512)x);
}

#else

INLINE shorts bf16_of_floats(floats x) {
    return exact_bf16_of_floats(x);
}

#endif

/* The first `count` lanes from element `at` on; then zeros. */
INLINE floats load_lanes(const sterna_matrix *x, int64_t at, int64_t count) {
    if (x->type == STERNA_F32) {
        floats value = {0};
        memcpy(&value, (const float *)x->data + at, (size_t)count * sizeof(float));
        return value;
    }
    shorts bf16 = {0};
    memcpy(&bf16, (const uint16_t *)x->data + at, (size_t)count * sizeof(uint16_t));
    return floats_of_bf16(bf16);
}

/* y = value, or residual + value, in the first `count` lanes from elements y_at and residual_at on; residual may be y. */
INLINE void store_lanes(const sterna_matrix *y, int64_t y_at, const sterna_matrix *residual, int64_t residual_at,
                        floats value, int64_t count) {
    if (residual) value = load_lanes(residual, residual_at, count) + value;
    if (y->type == STERNA_F32) {
        memcpy((float *)y->data + y_at, &value, (size_t)count * sizeof(float));
    } else {
        shorts bf16 = bf16_of_floats(value);
        memcpy((uint16_t *)y->data + y_at, &bf16, (size_t)count * sizeof(uint16_t));
    }
}

/* A panel of values, `count` of them. */
INLINE void store_panel(const sterna_matrix *y, int64_t y_at, const sterna_matrix *residual, int64_t residual_at,
                        const floats value[PANEL / LANES], int64_t count) {
    if (count == PANEL) {
        for (int64_t i = 0; i < PANEL; i += LANES)
            store_lanes(y, y_at + i, residual, residual_at + i, value[i / LANES], LANES);
    } else {
        for (int64_t i = 0; i < count; i += LANES)
            store_lanes(y, y_at + i, residual, residual_at + i, value[i / LANES], least(LANES, count - i));
    }
}

/* total (PANEL, groups added up) of token t and rows n...n+count-1 becomes y. */
static inline void store_values(const linear_call *c, int64_t t, int64_t n, const float *total, int64_t count) {
    floats value[PANEL / LANES];
    for (int64_t i = 0; i < PANEL; i += LANES) value[i / LANES] = floats_at(total + i) * c->q->scales[t];
    store_panel(c->y, t * c->y->stride + n, c->residual, c->residual ? t * c->residual->stride + n : 0, value, count);
}

/* total = or, from the second group on, += (float)(sum - bias) * scale, for the rows of a panel. */
INLINE void add_group(float *total, const int32_t *sum, int32_t bias, const float *scale, int64_t group) {
    for (int64_t i = 0; i < PANEL; i += LANES) {
        ints s;
        memcpy(&s, sum + i, sizeof s);
        floats part = __builtin_convertvector(s - bias, floats) * floats_at(scale + i);
        if (group > 0) part = floats_at(total + i) + part;
        memcpy(total + i, &part, sizeof part);
    }
}

/* ---------------------------------------------------------------- panels */

/* Sixteen rows of w, from some block on, that become a panel. */
typedef struct panel_rows {
    const uint8_t *rows[PANEL], *next; /* next: as much is fetched from there on */
    uint8_t *panel;
} panel_rows;

/* Rows n...n+rows-1, at most 16, from block `block` on; missing rows repeat the last one. What is fetched are the rows
 * `ahead` of these. */
static inline panel_rows rows_of_panel(const linear_call *c, int64_t n, int64_t rows, int64_t ahead, int64_t block,
                                       uint8_t *panel) {
    panel_rows p = {.next = sterna_packed_row(c->w, n + ahead) + block * PANEL * 8 * c->bits, .panel = panel};
    for (int64_t r = 0; r < PANEL; r++)
        p.rows[r] = sterna_packed_row(c->w, n + least(r, rows - 1)) + block * 8 * c->bits;
    return p;
}

static inline void unpack_rows(const linear_call *c, const panel_rows *p, int64_t begin, int64_t end) {
    unpack_panel(p->rows, begin, end, c->bits, p->next, p->panel);
}

/* The scales of group g. */
static inline void copy_scales(const linear_call *c, int64_t n, int64_t rows, int64_t g, float scales[PANEL]) {
    int64_t stride = c->w->scaling == STERNA_PER_TENSOR ? 0 : c->groups;
    const float *first = sterna_row_scales(c->w, n) + g;
    for (int64_t r = 0; r < PANEL; r++) scales[r] = first[least(r, rows - 1) * stride];
}

#endif
