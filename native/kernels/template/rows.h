/* rows.h: the row kernels in vectors, the same bytes as reference/rows.c. Included by the
 * rows.c of a tier, which calls fill_rows. */
#include <math.h>

#include "dispatch/element.h"
#include "dispatch/rows.h"
#include "dispatch/table.h"
#include "kernels/template/row.h"

/* ---------------------------------------------------------------- quantize */

static int all_finite(const sterna_matrix *x, int64_t row0, int64_t row1) {
    vint worst = {0};
    for (int64_t r = row0; r < row1; r++) {
        row in = row_at(x, r, 0);
        for (int64_t c = 0; c < x->cols; c += LANES)
            worst = max_int(worst, magnitude_bits(load(in, c, x->cols - c)));
    }
    return largest_int(worst) < 0x7f800000;
}

/* Magnitudes have one order as floats and no signed zero, so the lanes may be reduced in any order. */
static float largest_of(const vfloat lanes[PARTS]) {
    float largest = max_of_lanes(lanes);
    return largest > QUANTIZE_FLOOR ? largest : QUANTIZE_FLOOR;
}

/* The low byte of v * factor + 1.5 * 2^23 is the nearest integer. */
INLINE void store_codes(int8_t *codes, int64_t left, vfloat v, float factor) {
    store_bytes((uint8_t *)codes, (vint)(v * factor + ROUND_TO_INTEGER), lanes_of(left));
}

static float largest_in_row(row x, int64_t cols) {
    vfloat lanes[PARTS] = {{0}};
    for (int64_t c = 0; c < cols; c += 16)
        for (int p = 0; p < PARTS; p++) {
            int64_t at = c + p * LANES;
            lanes[p] = max_float(magnitude(load(x, at, cols - at)), lanes[p]);
        }
    return largest_of(lanes);
}

static int32_t quantize(const sterna_matrix *x, const sterna_quantized *q, int64_t row0, int64_t row1) {
    if (!all_finite(x, row0, row1)) return STERNA_STATUS(2, STERNA_NONFINITE);
    int64_t cols = x->cols;
    for (int64_t r = row0; r < row1; r++) {
        row in = row_at(x, r, 0);
        int8_t *codes = q->codes + r * q->stride;
        float largest = largest_in_row(in, cols), factor = 127 / largest;
        for (int64_t c = 0; c < cols; c += LANES)
            store_codes(codes + c, cols - c, load(in, c, cols - c), factor);
        q->scales[r] = largest / 127;
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- RMSNorm */

static float inverse_rms(row x, int64_t cols, float epsilon) {
    vfloat lanes[PARTS] = {{0}};
    for (int64_t c = 0; c < cols; c += 16)
        for (int p = 0; p < PARTS; p++) {
            int64_t at = c + p * LANES;
            vfloat v = load(x, at, cols - at);
            lanes[p] += v * v;
        }
    return 1 / sqrtf(sum_of_lanes(lanes) / (float)cols + epsilon);
}

INLINE vfloat normalized(row x, row gain, int64_t c, int64_t left, float inv_rms) {
    return load(x, c, left) * inv_rms * load(gain, c, left);
}

static int32_t rmsnorm(const sterna_matrix *x, const sterna_matrix *gain, float epsilon, const sterna_matrix *y,
                       float *inv_rms, int64_t row0, int64_t row1) {
    int64_t cols = x->cols;
    row gains = row_at(gain, 0, 0);
    for (int64_t r = row0; r < row1; r++) {
        row in = row_at(x, r, 0), out = row_at(y, r, 0);
        float inverse = inv_rms[r] = inverse_rms(in, cols, epsilon);
        for (int64_t c = 0; c < cols; c += LANES)
            store(out, c, cols - c, normalized(in, gains, c, cols - c, inverse));
    }
    return STERNA_OK;
}

static int gain_in_range(const sterna_matrix *gain) {
    for (int64_t c = 0; c < gain->cols; c++)
        if (!(fabsf(sterna_get(gain, 0, c)) <= GAIN_MAX)) return 0;
    return 1;
}

static float largest_normalized(row x, row gain, int64_t cols, float inv_rms) {
    vfloat lanes[PARTS] = {{0}};
    for (int64_t c = 0; c < cols; c += 16)
        for (int p = 0; p < PARTS; p++) {
            int64_t at = c + p * LANES;
            lanes[p] = max_float(magnitude(normalized(x, gain, at, cols - at, inv_rms)), lanes[p]);
        }
    return largest_of(lanes);
}

static int32_t rmsnorm_quantize(const sterna_matrix *x, const sterna_matrix *gain, float epsilon,
                                const sterna_quantized *q, float *inv_rms, int64_t row0, int64_t row1) {
    if (!all_finite(x, row0, row1)) return STERNA_STATUS(2, STERNA_NONFINITE);
    if (!gain_in_range(gain)) return STERNA_STATUS(3, STERNA_NONFINITE);
    int64_t cols = x->cols;
    row gains = row_at(gain, 0, 0);
    for (int64_t r = row0; r < row1; r++) {
        row in = row_at(x, r, 0);
        int8_t *codes = q->codes + r * q->stride;
        float inverse = inv_rms[r] = inverse_rms(in, cols, epsilon);
        float largest = largest_normalized(in, gains, cols, inverse), factor = 127 / largest;
        for (int64_t c = 0; c < cols; c += LANES)
            store_codes(codes + c, cols - c, normalized(in, gains, c, cols - c, inverse), factor);
        q->scales[r] = largest / 127;
    }
    return STERNA_OK;
}

/* mean(g * xhat) */
static float mean_projection(row x, row gain, row dy, int64_t cols, float inv_rms) {
    vfloat lanes[PARTS] = {{0}};
    for (int64_t c = 0; c < cols; c += 16)
        for (int p = 0; p < PARTS; p++) {
            int64_t at = c + p * LANES, left = cols - at;
            lanes[p] += load(dy, at, left) * load(gain, at, left) * (load(x, at, left) * inv_rms);
        }
    return sum_of_lanes(lanes) / (float)cols;
}

static int32_t rmsnorm_backward(const sterna_matrix *x, const sterna_matrix *gain, const float *inv_rms,
                                const sterna_matrix *dy, const sterna_matrix *dx, int32_t accumulate,
                                int64_t row0, int64_t row1) {
    int64_t cols = x->cols;
    row gains = row_at(gain, 0, 0);
    for (int64_t r = row0; r < row1; r++) {
        row in = row_at(x, r, 0), din = row_at(dx, r, 0), dout = row_at(dy, r, 0);
        float inverse = inv_rms[r], mean = mean_projection(in, gains, dout, cols, inverse);
        for (int64_t c = 0; c < cols; c += LANES) {
            int64_t left = cols - c;
            vfloat g = load(dout, c, left) * load(gains, c, left), xhat = load(in, c, left) * inverse;
            vfloat d = (g - xhat * mean) * inverse;
            store(din, c, left, accumulate ? load(din, c, left) + d : d);
        }
    }
    return STERNA_OK;
}

/* Token by token, so that memory is read in order; the sums stay in the cache. */
static int32_t rmsnorm_gain_gradient(const sterna_matrix *x, const float *inv_rms, const sterna_matrix *dy,
                                     float *dgain, int64_t col0, int64_t col1) {
    row sums = {dgain, STERNA_F32};
    memset(dgain + col0, 0, (size_t)(col1 - col0) * sizeof *dgain);
    for (int64_t r = 0; r < x->rows; r++) {
        row in = row_at(x, r, 0), dout = row_at(dy, r, 0);
        for (int64_t c = col0; c < col1; c += LANES) {
            int64_t left = col1 - c;
            store(sums, c, left, load(sums, c, left) + load(dout, c, left) * load(in, c, left) * inv_rms[r]);
        }
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- rotary positions */

/* Turns the pairs (low, high) of one head by the angles of one position. */
static void rotate(row low, row high, row cosines, row sines, int64_t half, float direction) {
    for (int64_t i = 0; i < half; i += LANES) {
        int64_t left = half - i;
        vfloat cosine = load(cosines, i, left), sine = load(sines, i, left) * direction;
        vfloat a = load(low, i, left), b = load(high, i, left);
        store(low, i, left, a * cosine - b * sine);
        store(high, i, left, b * cosine + a * sine);
    }
}

static int32_t rope(const sterna_matrix *x, int64_t head_dim, const sterna_matrix *table, int64_t length,
                    int64_t first_position, int32_t direction, int64_t row0, int64_t row1) {
    int64_t half = head_dim / 2;
    for (int64_t r = row0; r < row1; r++) {
        int64_t position = first_position + r % length;
        row cosines = row_at(table, position, 0), sines = row_at(table, position, half);
        for (int64_t head = 0; head < x->cols; head += head_dim)
            rotate(row_at(x, r, head), row_at(x, r, head + half), cosines, sines, half, (float)direction);
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- SwiGLU */

static int32_t swiglu(const sterna_matrix *gate, const sterna_matrix *up, const sterna_matrix *y, int64_t row0,
                      int64_t row1) {
    int64_t cols = gate->cols;
    for (int64_t r = row0; r < row1; r++) {
        row gates = row_at(gate, r, 0), ups = row_at(up, r, 0), out = row_at(y, r, 0);
        for (int64_t c = 0; c < cols; c += LANES) {
            vfloat a = load(gates, c, cols - c);
            store(out, c, cols - c, a / (1 + vector_exp(-a)) * load(ups, c, cols - c));
        }
    }
    return STERNA_OK;
}

static int32_t swiglu_backward(const sterna_matrix *gate, const sterna_matrix *up, const sterna_matrix *dy,
                               const sterna_matrix *dgate, const sterna_matrix *dup, int64_t row0, int64_t row1) {
    int64_t cols = gate->cols;
    for (int64_t r = row0; r < row1; r++) {
        row gates = row_at(gate, r, 0), ups = row_at(up, r, 0), dout = row_at(dy, r, 0);
        row dgates = row_at(dgate, r, 0), dups = row_at(dup, r, 0);
        for (int64_t c = 0; c < cols; c += LANES) {
            int64_t left = cols - c;
            vfloat a = load(gates, c, left), b = load(ups, c, left), d = load(dout, c, left);
            vfloat s = 1 / (1 + vector_exp(-a));
            store(dgates, c, left, d * b * (s * (1 + a * (1 - s))));
            store(dups, c, left, d * (a * s));
        }
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- add, copy, gather, scatter */

static void copy_row(row x, row y, int64_t cols) {
    for (int64_t c = 0; c < cols; c += LANES) store(y, c, cols - c, load(x, c, cols - c));
}

static void add_row(row x, row y, int64_t cols) {
    for (int64_t c = 0; c < cols; c += LANES) store(y, c, cols - c, load(y, c, cols - c) + load(x, c, cols - c));
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

static float row_max(row logits, int64_t cols, float start) {
    vfloat lanes[PARTS];
    for (int p = 0; p < PARTS; p++) lanes[p] = splat(start);
    for (int64_t c = 0; c < cols; c += 16)
        for (int p = 0; p < PARTS; p++) {
            int64_t at = c + p * LANES;
            lanes[p] = max_float(load_logits(logits, at, cols - at), lanes[p]);
        }
    return max_of_lanes(lanes);
}

static float row_sum(row logits, int64_t cols, float shift) {
    vfloat lanes[PARTS] = {{0}};
    for (int64_t c = 0; c < cols; c += 16)
        for (int p = 0; p < PARTS; p++) {
            int64_t at = c + p * LANES;
            lanes[p] += vector_exp(load_logits(logits, at, cols - at) - shift);
        }
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

static void scale_probabilities(row logits, int64_t cols, float shift, float scale) {
    for (int64_t c = 0; c < cols; c += LANES)
        store(logits, c, cols - c, vector_exp(load(logits, c, cols - c) - shift) * scale);
}

static void clear_row(row x, int64_t cols) {
    for (int64_t c = 0; c < cols; c += LANES) store(x, c, cols - c, (vfloat){0});
}

static int32_t cross_entropy_gradient(const sterna_matrix *logits, int64_t vocab0, const int32_t *targets,
                                      const float *max, const float *sum, float factor, int64_t row0, int64_t row1) {
    int64_t cols = logits->cols;
    for (int64_t r = row0; r < row1; r++) {
        row in = row_at(logits, r, 0);
        if (targets[r] < 0) {
            clear_row(in, cols);
            continue;
        }
        float shift = softmax_shift(max[r]), scale = factor / sum[r];
        int64_t target = targets[r] - vocab0;
        int here = target >= 0 && target < cols;
        float logit = here ? sterna_get(logits, r, target) : 0;
        scale_probabilities(in, cols, shift, scale);
        if (here) sterna_put(logits, r, target, sterna_exp(logit - shift) * scale - factor);
    }
    return STERNA_OK;
}

static void fill_rows(sterna_table *t) {
    t->quantize = quantize;
    t->rmsnorm = rmsnorm;
    t->rmsnorm_quantize = rmsnorm_quantize;
    t->rmsnorm_backward = rmsnorm_backward;
    t->rmsnorm_gain_gradient = rmsnorm_gain_gradient;
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
