/*
 * rows.c: the definition of the row kernels. They are EXACT: every tier gives these bytes (which NaN a
 * NaN is stays open). A sum over columns runs in 16 lanes, lane c % 16 for column c, then as a tree:
 * lanes i and i + 8, then + 4, + 2, + 1.
 */
#include <math.h>

#include "dispatch/element.h"
#include "dispatch/exp.h"
#include "dispatch/families.h"
#include "dispatch/rows.h"

static float sum_of_lanes(float lane[16]) {
    for (int step = 8; step; step /= 2)
        for (int i = 0; i < step; i++) lane[i] += lane[i + step];
    return lane[0];
}

static float greater(float a, float b) {
    return a > b ? a : b;
}

/* ---------------------------------------------------------------- quantize */

static int all_finite(const sterna_matrix *x, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < x->cols; c++)
            if (!isfinite(sterna_get(x, r, c))) return 0;
    return 1;
}

/* |value| is at most the absmax, so that the code needs no clip: 127 / absmax * value rounds to 127. */
static int8_t code_of(float value, float factor) {
    return (int8_t)(value * factor + ROUND_TO_INTEGER - ROUND_TO_INTEGER);
}

static int32_t quantize(const sterna_matrix *x, const sterna_quantized *q, int64_t row0, int64_t row1) {
    if (!all_finite(x, row0, row1)) return STERNA_STATUS(2, STERNA_NONFINITE);
    for (int64_t r = row0; r < row1; r++) {
        float largest = QUANTIZE_FLOOR;
        for (int64_t c = 0; c < x->cols; c++) largest = greater(fabsf(sterna_get(x, r, c)), largest);
        float factor = 127 / largest;
        for (int64_t c = 0; c < x->cols; c++) q->codes[r * q->stride + c] = code_of(sterna_get(x, r, c), factor);
        q->scales[r] = largest / 127;
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- RMSNorm */

static float inverse_rms(const sterna_matrix *x, int64_t r, float epsilon) {
    float lane[16] = {0};
    for (int64_t c = 0; c < x->cols; c++) {
        float v = sterna_get(x, r, c);
        lane[c % 16] += v * v;
    }
    return 1 / sqrtf(sum_of_lanes(lane) / (float)x->cols + epsilon);
}

static int32_t rmsnorm(const sterna_matrix *x, const sterna_matrix *gain, float epsilon, const sterna_matrix *y,
                       float *inv_rms, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) {
        inv_rms[r] = inverse_rms(x, r, epsilon);
        for (int64_t c = 0; c < x->cols; c++)
            sterna_put(y, r, c, sterna_get(x, r, c) * inv_rms[r] * sterna_get(gain, 0, c));
    }
    return STERNA_OK;
}

/* What the codes are in proportion to. Where the squares overflow, 1 / sqrt(infinity) leaves nothing of x. */
static float gained(const sterna_matrix *x, const sterna_matrix *gain, int64_t r, int64_t c, float inv_rms) {
    return inv_rms == 0 ? 0 : sterna_get(x, r, c) * sterna_get(gain, 0, c);
}

static int32_t rmsnorm_quantize(const sterna_matrix *x, const sterna_matrix *gain, float epsilon,
                                const sterna_quantized *q, float *inv_rms, int64_t row0, int64_t row1) {
    for (int64_t c = 0; c < gain->cols; c++)
        if (!(fabsf(sterna_get(gain, 0, c)) <= GAIN_MAX)) return STERNA_STATUS(3, STERNA_NONFINITE);
    if (!all_finite(x, row0, row1)) return STERNA_STATUS(2, STERNA_NONFINITE);
    for (int64_t r = row0; r < row1; r++) {
        inv_rms[r] = inverse_rms(x, r, epsilon);
        float largest = QUANTIZE_FLOOR;
        for (int64_t c = 0; c < x->cols; c++)
            largest = greater(fabsf(gained(x, gain, r, c, inv_rms[r])) * inv_rms[r], largest);
        float factor = 127 / largest * inv_rms[r];
        for (int64_t c = 0; c < x->cols; c++)
            q->codes[r * q->stride + c] = code_of(gained(x, gain, r, c, inv_rms[r]), factor);
        q->scales[r] = largest / 127;
    }
    return STERNA_OK;
}

static int32_t rmsnorm_backward(const sterna_matrix *x, const sterna_matrix *gain, const float *inv_rms,
                                const sterna_matrix *dy, const sterna_matrix *dx, int32_t accumulate, float *dgain,
                                int64_t row0, int64_t row1) {
    for (int64_t c = 0; c < x->cols; c++) dgain[c] = 0;
    for (int64_t r = row0; r < row1; r++) {
        float lane[16] = {0};
        for (int64_t c = 0; c < x->cols; c++) {
            float slope = sterna_get(dy, r, c) * (sterna_get(x, r, c) * inv_rms[r]);
            dgain[c] += slope;
            lane[c % 16] += slope * sterna_get(gain, 0, c);
        }
        float mean = sum_of_lanes(lane) / (float)x->cols;
        for (int64_t c = 0; c < x->cols; c++) {
            float g = sterna_get(dy, r, c) * sterna_get(gain, 0, c), xhat = sterna_get(x, r, c) * inv_rms[r];
            float d = (g - xhat * mean) * inv_rms[r];
            sterna_put(dx, r, c, accumulate ? sterna_get(dx, r, c) + d : d);
        }
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- rotary positions */

static int32_t rope(const sterna_matrix *x, int64_t head_dim, const sterna_matrix *table, int64_t length,
                    int64_t first, int32_t direction, int64_t row0, int64_t row1) {
    int64_t half = head_dim / 2;
    for (int64_t r = row0; r < row1; r++)
        for (int64_t head = 0; head < x->cols; head += head_dim)
            for (int64_t i = 0; i < half; i++) {
                int64_t position = first + r % length;
                float cosine = sterna_get(table, position, i);
                float sine = sterna_get(table, position, half + i) * (float)direction;
                float a = sterna_get(x, r, head + i), b = sterna_get(x, r, head + half + i);
                sterna_put(x, r, head + i, a * cosine - b * sine);
                sterna_put(x, r, head + half + i, b * cosine + a * sine);
            }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- SwiGLU */

static int32_t swiglu(const sterna_matrix *gate, const sterna_matrix *up, const sterna_matrix *y, int64_t row0,
                      int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < gate->cols; c++) {
            float a = sterna_get(gate, r, c);
            sterna_put(y, r, c, a / (1 + sterna_exp(-a)) * sterna_get(up, r, c));
        }
    return STERNA_OK;
}

/* With s = 1 / (1 + exp(-a)): silu(a) = a s, silu'(a) = s (1 + a (1 - s)). */
static int32_t swiglu_backward(const sterna_matrix *gate, const sterna_matrix *up, const sterna_matrix *dy,
                               const sterna_matrix *dgate, const sterna_matrix *dup, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < gate->cols; c++) {
            float a = sterna_get(gate, r, c), b = sterna_get(up, r, c), d = sterna_get(dy, r, c);
            float s = 1 / (1 + sterna_exp(-a));
            sterna_put(dgate, r, c, d * b * (s * (1 + a * (1 - s))));
            sterna_put(dup, r, c, d * (a * s));
        }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- add, copy, gather, scatter */

static int32_t add(const sterna_matrix *x, const sterna_matrix *y, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < x->cols; c++) sterna_put(y, r, c, sterna_get(y, r, c) + sterna_get(x, r, c));
    return STERNA_OK;
}

static int32_t copy(const sterna_matrix *x, const sterna_matrix *y, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < x->cols; c++) sterna_put(y, r, c, sterna_get(x, r, c));
    return STERNA_OK;
}

static int32_t gather(const sterna_matrix *table, const int32_t *ids, const sterna_matrix *y, int64_t row0,
                      int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < y->cols; c++) sterna_put(y, r, c, sterna_get(table, ids[r], c));
    return STERNA_OK;
}

static int32_t scatter_add(const sterna_matrix *dy, const int32_t *ids, int64_t id0, const sterna_matrix *dtable) {
    for (int64_t r = 0; r < dy->rows; r++) {
        int64_t to = ids[r] - id0;
        if (to < 0 || to >= dtable->rows) continue;
        for (int64_t c = 0; c < dy->cols; c++)
            sterna_put(dtable, to, c, sterna_get(dtable, to, c) + sterna_get(dy, r, c));
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- cross-entropy */

/* A maximum of zero is +0, so that its bytes do not depend on the order. */
static float row_max(const sterna_matrix *logits, int64_t r, float max) {
    for (int64_t c = 0; c < logits->cols; c++) max = greater(sterna_get(logits, r, c), max);
    return max + 0.0f;
}

static int32_t cross_entropy(const sterna_matrix *logits, int64_t vocab0, const int32_t *targets, float *max,
                             float *sum, float *target, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) {
        if (targets[r] < 0) continue;
        float largest = row_max(logits, r, max[r]), shift = softmax_shift(largest), lane[16] = {0};
        for (int64_t c = 0; c < logits->cols; c++) lane[c % 16] += sterna_exp(sterna_get(logits, r, c) - shift);
        sum[r] = sum[r] * sterna_exp(max[r] - shift) + sum_of_lanes(lane);
        max[r] = largest;
        int64_t c = targets[r] - vocab0;
        if (c >= 0 && c < logits->cols) target[r] = sterna_get(logits, r, c);
    }
    return STERNA_OK;
}

static int32_t cross_entropy_gradient(const sterna_matrix *logits, int64_t vocab0, const int32_t *targets,
                                      const float *max, const float *sum, float factor, const sterna_matrix *gradient,
                                      int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) {
        float shift = softmax_shift(max[r]), scale = factor / sum[r];
        for (int64_t c = 0; c < logits->cols; c++) {
            float g = sterna_exp(sterna_get(logits, r, c) - shift) * scale;
            if (c == targets[r] - vocab0) g -= factor;
            sterna_put(gradient, r, c, targets[r] < 0 ? 0 : g);
        }
    }
    return STERNA_OK;
}

void sterna_reference_rows(sterna_table *t) {
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
