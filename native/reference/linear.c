/*
 * linear.c: y = q w^T, int8 activations times packed codes, for q (T, K), w (N, K), y (T, N).
 *
 * The integer sum of a group is exact, so its order is free. The floats have one order, which every tier
 * keeps: total = (float)sum_0 * scale_0; total = total + (float)sum_g * scale_g for the groups after it;
 * value = total * q.scales[t]; then y = value or residual + value, in f32, and one rounding if y is bf16.
 *
 * No overflow: |code| <= 128 and |activation| <= 127, so |sum| <= 128 * 127 * K. The fast tiers add
 * u * x with u = code + 2^(n-1) in 0...255 and subtract 2^(n-1) * sum x, at most 128 * 127 * K, in the end.
 * Every partial sum on the way is at most 255 * 127 * K <= 255 * 127 * 65536 = 2,122,383,360 < 2^31.
 */
#include "dispatch/element.h"
#include "dispatch/families.h"
#include "dispatch/grid.h"

/* codes (K) of row n of w. */
static void decode_row(const sterna_packed *w, int64_t n, int8_t *codes) {
    const uint8_t *row = sterna_packed_row(w, n);
    for (int64_t k = 0; k < w->cols; k++) {
        const uint8_t *block = row + k / STERNA_BLOCK * 8 * sterna_bits(w->grid);
        codes[k] = (int8_t)sterna_get_code(block, w->grid, k % STERNA_BLOCK);
    }
}

/* x (K) times codes (K), group by group with the row's scales; the token's scale comes after. */
static float product(const int8_t *x, const int8_t *codes, const float *scales, int64_t cols, int64_t group) {
    float total = 0;
    for (int64_t k0 = 0; k0 < cols; k0 += group) {
        int32_t sum = 0;
        for (int64_t k = k0; k < k0 + group && k < cols; k++) sum += codes[k] * x[k];
        float part = (float)sum * scales[k0 / group];
        total = k0 == 0 ? part : total + part;
    }
    return total;
}

static int32_t linear(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                      const sterna_matrix *residual, int64_t row0, int64_t row1, void *scratch) {
    int8_t *codes = scratch;
    int64_t group = sterna_group_cols(w);
    for (int64_t n = row0; n < row1; n++) {
        decode_row(w, n, codes);
        const float *scales = sterna_row_scales(w, n);
        for (int64_t t = 0; t < q->rows; t++) {
            float value = product(q->codes + t * q->stride, codes, scales, w->cols, group) * q->scales[t];
            sterna_put(y, t, n, residual ? sterna_get(residual, t, n) + value : value);
        }
    }
    return STERNA_OK;
}

void sterna_reference_linear(sterna_table *t) {
    t->linear = linear;
}
