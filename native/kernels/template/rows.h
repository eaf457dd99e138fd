/*
 * rows.h: the row kernels in vectors, the same bytes as reference/rows.c. Included by the rows.c of a
 * tier, which calls fill_rows.
 *
 * A loop over columns calls its step with a whole vector (or 16 columns) until less is left, then once
 * with the rest, so that the compiler makes the loop without the tail's masks.
 */
#include <math.h>

#include "dispatch/element.h"
#include "dispatch/rows.h"
#include "dispatch/table.h"
#include "kernels/template/row.h"

/* ---------------------------------------------------------------- quantize */

INLINE void magnitude_step(vint lanes[PARTS], row x, int64_t c, int64_t left) {
    for (int p = 0; p < PARTS; p++)
        lanes[p] = max_int(lanes[p], magnitude_bits(load(x, c + p * LANES, left - p * LANES)));
}

/* The bits of max |x|, which are ordered as the numbers are; NaN and infinity lie above every number. */
static int32_t largest_bits(row x, int64_t cols) {
    vint lanes[PARTS] = {{0}};
    int64_t c = 0;
    for (; c + 16 <= cols; c += 16) magnitude_step(lanes, x, c, 16);
    if (c < cols) magnitude_step(lanes, x, c, cols - c);
    return max_of_int_lanes(lanes);
}

#define INFINITY_BITS 0x7f800000

static float at_least_floor(float largest) {
    return largest > QUANTIZE_FLOOR ? largest : QUANTIZE_FLOOR;
}

/* The low byte of v * factor + 1.5 * 2^23 is the nearest integer. */
INLINE void store_codes(int8_t *codes, int64_t left, vfloat v, float factor) {
    store_bytes((uint8_t *)codes, (vint)(v * factor + ROUND_TO_INTEGER), lanes_of(left));
}

static void quantize_row(row x, int8_t *codes, int64_t cols, float factor) {
    int64_t c = 0;
    for (; c + LANES <= cols; c += LANES) store_codes(codes + c, LANES, load(x, c, LANES), factor);
    if (c < cols) store_codes(codes + c, cols - c, load(x, c, cols - c), factor);
}

static int32_t quantize(const sterna_matrix *x, const sterna_quantized *q, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) {
        row in = row_at(x, r, 0);
        int32_t bits = largest_bits(in, x->cols);
        if (bits >= INFINITY_BITS) return STERNA_STATUS(2, STERNA_NONFINITE);
        float largest = at_least_floor(float_of_bits(bits));
        quantize_row(in, q->codes + r * q->stride, x->cols, 127 / largest);
        q->scales[r] = largest / 127;
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- RMSNorm */

INLINE void square_step(vfloat squares[PARTS], row x, int64_t c, int64_t left) {
    for (int p = 0; p < PARTS; p++) {
        vfloat v = load(x, c + p * LANES, left - p * LANES);
        squares[p] += v * v;
    }
}

INLINE float inverse_rms_of(const vfloat squares[PARTS], int64_t cols, float epsilon) {
    return 1 / sqrtf(sum_of_lanes(squares) / (float)cols + epsilon);
}

static float inverse_rms(row x, int64_t cols, float epsilon) {
    vfloat squares[PARTS] = {{0}};
    int64_t c = 0;
    for (; c + 16 <= cols; c += 16) square_step(squares, x, c, 16);
    if (c < cols) square_step(squares, x, c, cols - c);
    return inverse_rms_of(squares, cols, epsilon);
}

INLINE vfloat normalized(row x, row gain, int64_t c, int64_t left, float inv_rms) {
    return load(x, c, left) * inv_rms * load(gain, c, left);
}

static void normalize_row(row x, row gain, row y, int64_t cols, float inv_rms) {
    int64_t c = 0;
    for (; c + LANES <= cols; c += LANES) store(y, c, LANES, normalized(x, gain, c, LANES, inv_rms));
    if (c < cols) store(y, c, cols - c, normalized(x, gain, c, cols - c, inv_rms));
}

static int32_t rmsnorm(const sterna_matrix *x, const sterna_matrix *gain, float epsilon, const sterna_matrix *y,
                       float *inv_rms, int64_t row0, int64_t row1) {
    row gains = row_at(gain, 0, 0);
    for (int64_t r = row0; r < row1; r++) {
        row in = row_at(x, r, 0);
        inv_rms[r] = inverse_rms(in, x->cols, epsilon);
        normalize_row(in, gains, row_at(y, r, 0), x->cols, inv_rms[r]);
    }
    return STERNA_OK;
}

static int gain_in_range(const sterna_matrix *gain) {
    return float_of_bits(largest_bits(row_at(gain, 0, 0), gain->cols)) <= GAIN_MAX; /* no NaN is */
}

enum { NORM_ROWS = LANES / 4 }; /* at a time: their sums do not wait for each other */

/* Lanes of rows: squares of x, and bits of the largest |x gain|. */
typedef struct norm_sums {
    vfloat squares[NORM_ROWS][PARTS];
    vint largest[NORM_ROWS][PARTS];
} norm_sums;

INLINE void norm_step(norm_sums *s, const sterna_matrix *x, row gain, int64_t r, int rows, int64_t c, int64_t left) {
    for (int p = 0; p < PARTS; p++) {
        int64_t at = c + p * LANES, rest = left - p * LANES;
        vfloat g = load(gain, at, rest);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            vfloat v = load(row_at(x, r + i, 0), at, rest);
            if (p == 0 && x->type == STERNA_BF16) prefetch(row_at(x, r + i, c + AHEAD)); /* kept of all tokens, as f32 is not */
            s->squares[i][p] += v * v;
            s->largest[i][p] = max_magnitude(s->largest[i][p], v * g);
        }
    }
}

INLINE void gained_step(const sterna_matrix *x, row gain, const sterna_quantized *q, const float *factor, int64_t r,
                        int rows, int64_t c, int64_t left) {
    for (int p = 0; p < PARTS; p++) {
        int64_t at = c + p * LANES, rest = left - p * LANES;
        vfloat g = load(gain, at, rest);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            int8_t *codes = q->codes + (r + i) * q->stride + at;
            if (p == 0) __builtin_prefetch(codes + AHEAD, 1);
            store_codes(codes, rest, load(row_at(x, r + i, 0), at, rest) * g, factor[i]);
        }
    }
}

/* `rows` rows from r on. NONFINITE at the first that is not finite. */
INLINE int32_t quantize_normed(const sterna_matrix *x, row gain, float epsilon, const sterna_quantized *q, float *inv_rms,
                               int64_t r, int rows) {
    norm_sums s = {{{{0}}}, {{{0}}}};
    float factor[NORM_ROWS];
    int64_t c = 0;
    for (; c + 16 <= x->cols; c += 16) norm_step(&s, x, gain, r, rows, c, 16);
    if (c < x->cols) norm_step(&s, x, gain, r, rows, c, x->cols - c);
    for (int i = 0; i < rows; i++) {
        float inverse = inverse_rms_of(s.squares[i], x->cols, epsilon);
        if (!(inverse > 0) && largest_bits(row_at(x, r + i, 0), x->cols) >= INFINITY_BITS) return STERNA_STATUS(2, STERNA_NONFINITE);
        float largest = at_least_floor(float_of_bits(max_of_int_lanes(s.largest[i])) * inverse); /* no NaN is larger */
        factor[i] = 127 / largest * inverse;
        q->scales[r + i] = largest / 127;
        inv_rms[r + i] = inverse;
    }
    for (c = 0; c + 16 <= x->cols; c += 16) gained_step(x, gain, q, factor, r, rows, c, 16);
    if (c < x->cols) gained_step(x, gain, q, factor, r, rows, c, x->cols - c);
    return STERNA_OK;
}

INLINE int32_t quantize_normed_rows(sterna_matrix x, row gain, float epsilon, const sterna_quantized *q, float *inv_rms,
                                    int64_t row0, int64_t row1) {
    int32_t status = STERNA_OK;
    int64_t r = row0;
    for (; r + NORM_ROWS <= row1 && !status; r += NORM_ROWS) status = quantize_normed(&x, gain, epsilon, q, inv_rms, r, NORM_ROWS);
    for (; r < row1 && !status; r++) status = quantize_normed(&x, gain, epsilon, q, inv_rms, r, 1);
    return status;
}

/* The gain is f32 and the type of x a constant, as in training. */
INLINE int32_t quantize_normed_f32(sterna_matrix x, int32_t type, row gain, float epsilon, const sterna_quantized *q,
                                   float *inv_rms, int64_t row0, int64_t row1) {
    x.type = type;
    gain.type = STERNA_F32;
    return quantize_normed_rows(x, gain, epsilon, q, inv_rms, row0, row1);
}

static int32_t rmsnorm_quantize(const sterna_matrix *x, const sterna_matrix *gain, float epsilon,
                                const sterna_quantized *q, float *inv_rms, int64_t row0, int64_t row1) {
    row g = row_at(gain, 0, 0);
    if (!gain_in_range(gain)) return STERNA_STATUS(3, STERNA_NONFINITE);
    if (g.type != STERNA_F32) return quantize_normed_rows(*x, g, epsilon, q, inv_rms, row0, row1);
    if (x->type == STERNA_F32) return quantize_normed_f32(*x, STERNA_F32, g, epsilon, q, inv_rms, row0, row1);
    return quantize_normed_f32(*x, STERNA_BF16, g, epsilon, q, inv_rms, row0, row1);
}

/* Fewer than above: where a row is 4 KiB or a multiple, those of all matrices share a few lines of L1. */
enum { NORM_GRADIENT_ROWS = LANES / 8 };

/* The operands of rmsnorm_backward. */
typedef struct norm_gradient {
    sterna_matrix x, dy, dx;
    row gain, dgain;
    const float *inv_rms;
    int accumulate;
} norm_gradient;

/* lanes: of the sums of dy xhat gain over columns. */
INLINE void slope_step(const norm_gradient *n, vfloat lanes[][PARTS], int64_t r, int rows, int64_t c, int64_t left) {
    for (int p = 0; p < PARTS; p++) {
        int64_t at = c + p * LANES, rest = left - p * LANES;
        vfloat gain = load(n->gain, at, rest), dgain = load(n->dgain, at, rest);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            vfloat slope = load(row_at(&n->dy, r + i, 0), at, rest) * (load(row_at(&n->x, r + i, 0), at, rest) * n->inv_rms[r + i]);
            dgain += slope;
            lanes[i][p] += slope * gain;
        }
        store(n->dgain, at, rest, dgain);
    }
}

/* One vector or two of `rows` rows. */
INLINE void norm_gradient_step(const norm_gradient *n, const float *mean, int64_t r, int rows, int64_t c, int64_t left, int vectors) {
    vfloat gain[2], d[2];
    for (int j = 0; j < vectors; j++) gain[j] = load(n->gain, c + j * LANES, left - j * LANES);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
        row x = row_at(&n->x, r + i, 0), dy = row_at(&n->dy, r + i, 0), dx = row_at(&n->dx, r + i, 0);
        float inv_rms = n->inv_rms[r + i];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) {
            int64_t at = c + j * LANES, rest = left - j * LANES;
            vfloat g = load(dy, at, rest) * gain[j], xhat = load(x, at, rest) * inv_rms;
            d[j] = (g - xhat * mean[i]) * inv_rms;
            if (n->accumulate) d[j] = load(dx, at, rest) + d[j];
        }
        store_vectors(dx, c, left, d, vectors);
    }
}

/* `rows` rows from r on; dgain is added to. */
INLINE void norm_gradient_of(const norm_gradient *n, int64_t r, int rows) {
    vfloat lanes[NORM_GRADIENT_ROWS][PARTS] = {{{0}}};
    float mean[NORM_GRADIENT_ROWS];
    int64_t cols = n->x.cols, c = 0;
    for (; c + 16 <= cols; c += 16) slope_step(n, lanes, r, rows, c, 16);
    if (c < cols) slope_step(n, lanes, r, rows, c, cols - c);
    for (int i = 0; i < rows; i++) mean[i] = sum_of_lanes(lanes[i]) / (float)cols;
    for (c = 0; c + 2 * LANES <= cols; c += 2 * LANES) norm_gradient_step(n, mean, r, rows, c, 2 * LANES, 2);
    for (; c < cols; c += LANES) norm_gradient_step(n, mean, r, rows, c, cols - c, 1);
}

/* The types are constants where this is inlined, unless they differ. */
INLINE void norm_gradient_rows(norm_gradient n, int64_t row0, int64_t row1) {
    int64_t r = row0;
    for (; r + NORM_GRADIENT_ROWS <= row1; r += NORM_GRADIENT_ROWS) norm_gradient_of(&n, r, NORM_GRADIENT_ROWS);
    for (; r < row1; r++) norm_gradient_of(&n, r, 1);
}

/* gain and dy are f32 and the types of x and dx constants: as in training. */
INLINE void norm_gradient_rows_f32(norm_gradient n, int32_t x, int32_t dx, int64_t row0, int64_t row1) {
    n.gain.type = n.dy.type = STERNA_F32;
    n.x.type = x;
    n.dx.type = dx;
    norm_gradient_rows(n, row0, row1);
}

static int32_t rmsnorm_backward(const sterna_matrix *x, const sterna_matrix *gain, const float *inv_rms,
                                const sterna_matrix *dy, const sterna_matrix *dx, int32_t accumulate, float *dgain,
                                int64_t row0, int64_t row1) {
    norm_gradient n = {*x, *dy, *dx, row_at(gain, 0, 0), {dgain, STERNA_F32}, inv_rms, accumulate};
    int f32 = gain->type == STERNA_F32 && dy->type == STERNA_F32, x_f32 = x->type == STERNA_F32, dx_f32 = dx->type == STERNA_F32;
    memset(dgain, 0, (size_t)x->cols * sizeof *dgain);
    if (f32 && x_f32 && dx_f32) norm_gradient_rows_f32(n, STERNA_F32, STERNA_F32, row0, row1);
    else if (f32 && !x_f32 && dx_f32) norm_gradient_rows_f32(n, STERNA_BF16, STERNA_F32, row0, row1);
    else if (f32 && !x_f32) norm_gradient_rows_f32(n, STERNA_BF16, STERNA_BF16, row0, row1);
    else norm_gradient_rows(n, row0, row1);
    return STERNA_OK;
}

/* ---------------------------------------------------------------- rotary positions */

/* The pairs (low, high) of one head, and the angles of one position. */
typedef struct rotation {
    row low, high, cosines, sines;
    float direction;
} rotation;

INLINE void rotate_step(const rotation *t, int64_t i, int64_t left) {
    vfloat cosine = load(t->cosines, i, left), sine = load(t->sines, i, left) * t->direction;
    vfloat a = load(t->low, i, left), b = load(t->high, i, left);
    store(t->low, i, left, a * cosine - b * sine);
    store(t->high, i, left, b * cosine + a * sine);
}

INLINE void rotate(rotation t, int64_t half) {
    int64_t i = 0;
    for (; i + LANES <= half; i += LANES) rotate_step(&t, i, LANES);
    if (i < half) rotate_step(&t, i, half - i);
}

/* A row; the types are constants where this is inlined, unless they differ. */
INLINE void rotate_row(row x, int64_t cols, int64_t half, row cosines, row sines, float direction) {
    for (int64_t head = 0; head < cols; head += 2 * half)
        rotate((rotation){row_from(x, head), row_from(x, head + half), cosines, sines, direction}, half);
}

/* Two vectors of columns, the even and the odd ones apart: of bf16 they are the lower and the upper halves of lanes, so
 * that no shuffle takes them apart or joins them. */
typedef struct columns {
    vfloat even, odd;
} columns;

#define UPPER_HALF (-0x10000)

INLINE columns load_apart(row x, int64_t c, int64_t left) {
    vfloat a = load(x, c, left), b = load(x, c + LANES, left - LANES);
    return (columns){even_lanes(a, b), odd_lanes(a, b)};
}

INLINE columns load_bf16_apart(const uint16_t *p, int lanes) {
    vint both = (vint)load_floats((const float *)p, lanes);
    return (columns){(vfloat)(both << 16), (vfloat)(both & UPPER_HALF)};
}

INLINE void store_bf16_apart(uint16_t *p, columns x, int lanes) {
    vint upper[2];
    round_pair(upper, x.even, x.odd);
    store_floats((float *)p, (vfloat)or_and((vint)((vuint)upper[0] >> 16), upper[1], splat_int(UPPER_HALF)), lanes);
}

INLINE void rotate_bf16(uint16_t *low, uint16_t *high, columns cosine, columns sine, int lanes) {
    columns a = load_bf16_apart(low, lanes), b = load_bf16_apart(high, lanes);
    columns x = {a.even * cosine.even - b.even * sine.even, a.odd * cosine.odd - b.odd * sine.odd};
    columns y = {b.even * cosine.even + a.even * sine.even, b.odd * cosine.odd + a.odd * sine.odd};
    store_bf16_apart(low, x, lanes);
    store_bf16_apart(high, y, lanes);
}

/* A row of bf16 whose heads have an even number of pairs. */
static void rotate_bf16_row(uint16_t *x, int64_t cols, int64_t half, row cosines, row sines, float direction) {
    for (int64_t i = 0; i < half; i += 2 * LANES) {
        int lanes = lanes_of((half - i) / 2);
        columns cosine = load_apart(cosines, i, half - i), sine = load_apart(sines, i, half - i);
        sine.even *= direction;
        sine.odd *= direction;
        for (int64_t head = 0; head < cols; head += 2 * half) rotate_bf16(x + head + i, x + head + half + i, cosine, sine, lanes);
    }
}

static int32_t rope(const sterna_matrix *x, int64_t head_dim, const sterna_matrix *table, int64_t length,
                    int64_t first, int32_t direction, int64_t row0, int64_t row1) {
    int64_t cols = x->cols, half = head_dim / 2;
    int f32_table = table->type == STERNA_F32;
    for (int64_t r = row0; r < row1; r++) {
        int64_t position = first + r % length;
        row in = row_at(x, r, 0), cosines = row_at(table, position, 0), sines = row_at(table, position, half);
        if (f32_table && in.type == STERNA_F32) rotate_row(as_f32(in), cols, half, as_f32(cosines), as_f32(sines), (float)direction);
        else if (f32_table && half % 2 == 0) rotate_bf16_row(in.data, cols, half, as_f32(cosines), as_f32(sines), (float)direction);
        else rotate_row(in, cols, half, cosines, sines, (float)direction);
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- SwiGLU */

INLINE void swiglu_step(row gate, row up, row y, int64_t c, int64_t left, int n) {
    vfloat v[VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) v[i] = -load(gate, c + i * LANES, left - i * LANES);
    vector_exps(v, n);
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
        int64_t at = c + i * LANES, rest = left - i * LANES;
        v[i] = load(gate, at, rest) / (1 + v[i]) * load(up, at, rest);
    }
    store_vectors(y, c, left, v, n);
}

static int32_t swiglu(const sterna_matrix *gate, const sterna_matrix *up, const sterna_matrix *y, int64_t row0,
                      int64_t row1) {
    int64_t cols = gate->cols;
    for (int64_t r = row0; r < row1; r++) {
        row gates = row_at(gate, r, 0), ups = row_at(up, r, 0), out = row_at(y, r, 0);
        int64_t c = 0;
        for (; c + 64 <= cols; c += 64) swiglu_step(gates, ups, out, c, 64, VECTORS);
        for (; c < cols; c += LANES) swiglu_step(gates, ups, out, c, cols - c, 1);
    }
    return STERNA_OK;
}

typedef struct swiglu_gradient {
    row gate, up, dy, dgate, dup;
} swiglu_gradient;

INLINE void swiglu_gradient_step(const swiglu_gradient *g, int64_t c, int64_t left, int n) {
    vfloat s[SIDES], dup[SIDES];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) s[i] = -load(g->gate, c + i * LANES, left - i * LANES);
    vector_exps(s, n);
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) s[i] = 1 / (1 + s[i]);
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
        int64_t at = c + i * LANES, rest = left - i * LANES;
        vfloat a = load(g->gate, at, rest), b = load(g->up, at, rest), d = load(g->dy, at, rest);
        dup[i] = d * (a * s[i]);
        s[i] = d * b * (s[i] * (1 + a * (1 - s[i])));
    }
    store_vectors(g->dgate, c, left, s, n);
    store_vectors(g->dup, c, left, dup, n);
}

/* A row; the types are constants where this is inlined, unless they differ. */
INLINE void swiglu_gradient_row(swiglu_gradient g, int64_t cols) {
    int64_t c = 0;
    for (; c + SIDES * LANES <= cols; c += SIDES * LANES) swiglu_gradient_step(&g, c, SIDES * LANES, SIDES);
    for (; c < cols; c += LANES) swiglu_gradient_step(&g, c, cols - c, 1);
}

/* dgate and dup of the type `result`, all else f32: as in training. */
INLINE void swiglu_gradient_row_f32(swiglu_gradient g, int32_t result, int64_t cols) {
    g.gate.type = g.up.type = g.dy.type = STERNA_F32;
    g.dgate.type = g.dup.type = result;
    swiglu_gradient_row(g, cols);
}

static int32_t swiglu_backward(const sterna_matrix *gate, const sterna_matrix *up, const sterna_matrix *dy,
                               const sterna_matrix *dgate, const sterna_matrix *dup, int64_t row0, int64_t row1) {
    int f32 = gate->type == STERNA_F32 && up->type == STERNA_F32 && dy->type == STERNA_F32 && dgate->type == dup->type;
    for (int64_t r = row0; r < row1; r++) {
        swiglu_gradient g = {row_at(gate, r, 0), row_at(up, r, 0), row_at(dy, r, 0), row_at(dgate, r, 0), row_at(dup, r, 0)};
        if (f32 && dgate->type == STERNA_F32) swiglu_gradient_row_f32(g, STERNA_F32, gate->cols);
        else if (f32) swiglu_gradient_row_f32(g, STERNA_BF16, gate->cols);
        else swiglu_gradient_row(g, gate->cols);
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- add, copy, gather, scatter */

INLINE void copy_step(row x, row y, int64_t c, int64_t left, int n) {
    vfloat v[2];
    for (int i = 0; i < n; i++) v[i] = load(x, c + i * LANES, left - i * LANES);
    store_vectors(y, c, left, v, n);
}

static void copy_row(row x, row y, int64_t cols) {
    int64_t c = 0;
    for (; c + 2 * LANES <= cols; c += 2 * LANES) copy_step(x, y, c, 2 * LANES, 2);
    for (; c < cols; c += LANES) copy_step(x, y, c, cols - c, 1);
}

static void add_row(row x, row y, int64_t cols) {
    int64_t c = 0;
    for (; c + LANES <= cols; c += LANES) store(y, c, LANES, load(y, c, LANES) + load(x, c, LANES));
    if (c < cols) store(y, c, cols - c, load(y, c, cols - c) + load(x, c, cols - c));
}

static int32_t add(const sterna_matrix *x, const sterna_matrix *y, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) add_row(row_at(x, r, 0), row_at(y, r, 0), x->cols);
    return STERNA_OK;
}

static int32_t copy(const sterna_matrix *x, const sterna_matrix *y, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) copy_row(row_at(x, r, 0), row_at(y, r, 0), x->cols);
    return STERNA_OK;
}

static int32_t gather(const sterna_matrix *table, const int32_t *ids, const sterna_matrix *y, int64_t row0,
                      int64_t row1) {
    for (int64_t r = row0; r < row1; r++) copy_row(row_at(table, ids[r], 0), row_at(y, r, 0), y->cols);
    return STERNA_OK;
}

static int32_t scatter_add(const sterna_matrix *dy, const int32_t *ids, int64_t id0, const sterna_matrix *dtable) {
    for (int64_t r = 0; r < dy->rows; r++) {
        int64_t to = ids[r] - id0;
        if (to >= 0 && to < dtable->rows) add_row(row_at(dy, r, 0), row_at(dtable, to, 0), dy->cols);
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- cross-entropy */

/* A missing column counts as -infinity: it changes no maximum, and its exp is 0. */
INLINE vfloat load_logits(row logits, int64_t c, int64_t left) {
    return load_or(logits, c, left, -INFINITY);
}

enum { MAX_VECTORS = 4, MAX_COLS = MAX_VECTORS * LANES }; /* a maximum runs in any order: it takes no lanes by column */

INLINE void max_step(vfloat max[MAX_VECTORS], row logits, int64_t c, int64_t left) {
    for (int i = 0; i < MAX_VECTORS; i++)
        max[i] = max_float(load_logits(logits, c + i * LANES, left - i * LANES), max[i]);
}

static float row_max(row logits, int64_t cols, float start) {
    vfloat max[MAX_VECTORS], lanes[PARTS];
    for (int i = 0; i < MAX_VECTORS; i++) max[i] = splat(start);
    int64_t c = 0;
    for (; c + MAX_COLS <= cols; c += MAX_COLS) max_step(max, logits, c, MAX_COLS);
    if (c < cols) max_step(max, logits, c, cols - c);
    for (int p = 0; p < PARTS; p++) lanes[p] = max_float(max_float(max[0], max[1]), max_float(max[2], max[3]));
    return max_of_lanes(lanes) + 0.0f;
}

INLINE void sum_step(vfloat lanes[PARTS], row logits, int64_t c, int64_t left, float shift, int n) {
    vfloat v[VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) v[i] = load_logits(logits, c + i * LANES, left - i * LANES) - shift;
    vector_exps(v, n);
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) lanes[i % PARTS] += v[i];
}

static float row_sum(row logits, int64_t cols, float shift) {
    vfloat lanes[PARTS] = {{0}};
    int64_t c = 0;
    for (; c + 64 <= cols; c += 64) sum_step(lanes, logits, c, 64, shift, VECTORS);
    for (; c < cols; c += 16) sum_step(lanes, logits, c, cols - c, shift, PARTS);
    return sum_of_lanes(lanes);
}

static int32_t cross_entropy(const sterna_matrix *logits, int64_t vocab0, const int32_t *targets, float *max,
                             float *sum, float *target, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) {
        if (targets[r] < 0) continue;
        row in = row_at(logits, r, 0);
        float largest = row_max(in, logits->cols, max[r]), shift = softmax_shift(largest);
        sum[r] = sum[r] * sterna_exp(max[r] - shift) + row_sum(in, logits->cols, shift);
        max[r] = largest;
        int64_t c = targets[r] - vocab0;
        if (c >= 0 && c < logits->cols) target[r] = sterna_get(logits, r, c);
    }
    return STERNA_OK;
}

INLINE void probability_step(row logits, row out, int64_t c, int64_t left, float shift, float scale, int n) {
    vfloat v[VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) v[i] = load(logits, c + i * LANES, left - i * LANES) - shift;
    vector_exps(v, n);
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) v[i] *= scale;
    store_vectors(out, c, left, v, n);
}

static void scale_probabilities(row logits, row out, int64_t cols, float shift, float scale) {
    int64_t c = 0;
    for (; c + 64 <= cols; c += 64) probability_step(logits, out, c, 64, shift, scale, VECTORS);
    for (; c < cols; c += LANES) probability_step(logits, out, c, cols - c, shift, scale, 1);
}

static void clear_row(row x, int64_t cols) {
    for (int64_t c = 0; c < cols; c += LANES) store(x, c, cols - c, (vfloat){0});
}

static int32_t cross_entropy_gradient(const sterna_matrix *logits, int64_t vocab0, const int32_t *targets,
                                      const float *max, const float *sum, float factor, const sterna_matrix *gradient,
                                      int64_t row0, int64_t row1) {
    int64_t cols = logits->cols;
    for (int64_t r = row0; r < row1; r++) {
        row out = row_at(gradient, r, 0);
        if (targets[r] < 0) {
            clear_row(out, cols);
            continue;
        }
        float shift = softmax_shift(max[r]), scale = factor / sum[r];
        int64_t target = targets[r] - vocab0;
        int here = target >= 0 && target < cols;
        float logit = here ? sterna_get(logits, r, target) : 0;
        scale_probabilities(row_at(logits, r, 0), out, cols, shift, scale);
        if (here) sterna_put(gradient, r, target, sterna_exp(logit - shift) * scale - factor);
    }
    return STERNA_OK;
}

static void fill_rows(sterna_table *t) {
    t->quantize = quantize;
    t->rmsnorm = rmsnorm;
    t->rmsnorm_quantize = rmsnorm_quantize;
    t->rmsnorm_backward = rmsnorm_backward;
    t->rope = rope;
    t->swiglu = swiglu;
    t->swiglu_backward = swiglu_backward;
    t->add = add;
    t->copy = copy;
    t->gather = gather;
    t->scatter_add = scatter_add;
    t->cross_entropy = cross_entropy;
    t->cross_entropy_gradient = cross_entropy_gradient;
}
