/*
 * gemm.c: the float products in plain C. Sums run in float64 over the whole reduction, 64 columns of a
 * row at a time, and are rounded once.
 */
#include "dispatch/element.h"
#include "dispatch/families.h"
#include "dispatch/grid.h"

#define COLS STERNA_BLOCK

/* x(r, col0...) = sum, or += sum. */
static void store(const sterna_matrix *x, int64_t r, int64_t col0, int64_t cols, const double *sum, int accumulate) {
    for (int64_t j = 0; j < cols; j++)
        sterna_put(x, r, col0 + j, (float)(accumulate ? sterna_get(x, r, col0 + j) + sum[j] : sum[j]));
}

static int64_t width(int64_t cols, int64_t col0) {
    return cols - col0 < COLS ? cols - col0 : COLS;
}

/* The block of codes that begins at column col0 of row r. */
static void unpack(const sterna_packed *w, int64_t r, int64_t col0, int code[COLS]) {
    const uint8_t *block = sterna_packed_row(w, r) + col0 / COLS * 8 * sterna_bits(w->grid);
    for (int j = 0; j < COLS; j++) code[j] = sterna_get_code(block, w->grid, j);
}

#define TOKENS 16 /* tokens that share an unpacked block */

static int32_t input_gradient(const sterna_matrix *dy, const sterna_packed *w, const sterna_matrix *dx,
                              int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    (void)scratch;
    for (int64_t col0 = 0; col0 < w->cols; col0 += COLS)
        for (int64_t t0 = row0; t0 < row1; t0 += TOKENS) {
            int64_t tokens = row1 - t0 < TOKENS ? row1 - t0 : TOKENS;
            double sum[TOKENS][COLS] = {{0}};
            for (int64_t n = 0; n < w->rows; n++) {
                int code[COLS];
                unpack(w, n, col0, code);
                double scale = sterna_row_scales(w, n)[col0 / sterna_group_cols(w)];
                for (int64_t t = 0; t < tokens; t++) {
                    double factor = scale * sterna_get(dy, t0 + t, n);
                    for (int j = 0; j < COLS; j++) sum[t][j] += factor * code[j];
                }
            }
            for (int64_t t = 0; t < tokens; t++)
                store(dx, t0 + t, col0, width(w->cols, col0), sum[t], accumulate);
        }
    return STERNA_OK;
}

static int32_t weight_gradient(const sterna_matrix *dy, const sterna_quantized *q, const sterna_matrix *dw,
                               int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    (void)scratch;
    for (int64_t n = row0; n < row1; n++)
        for (int64_t col0 = 0; col0 < q->cols; col0 += COLS) {
            int64_t cols = width(q->cols, col0);
            double sum[COLS] = {0};
            for (int64_t t = 0; t < dy->rows; t++) {
                double factor = (double)sterna_get(dy, t, n) * q->scales[t];
                for (int64_t j = 0; j < cols; j++) sum[j] += factor * q->codes[t * q->stride + col0 + j];
            }
            store(dw, n - row0, col0, cols, sum, accumulate);
        }
    return STERNA_OK;
}

static int32_t gemm(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                    int64_t row0, int64_t row1, void *scratch) {
    (void)scratch;
    int a_transposed = flags & STERNA_TRANSPOSE_A, b_transposed = flags & STERNA_TRANSPOSE_B;
    int64_t depth = a_transposed ? a->rows : a->cols;
    for (int64_t i = row0; i < row1; i++)
        for (int64_t col0 = 0; col0 < c->cols; col0 += COLS) {
            int64_t cols = width(c->cols, col0);
            double sum[COLS] = {0};
            for (int64_t k = 0; k < depth; k++) {
                double factor = a_transposed ? sterna_get(a, k, i) : sterna_get(a, i, k);
                for (int64_t j = 0; j < cols; j++)
                    sum[j] += factor * (b_transposed ? sterna_get(b, col0 + j, k) : sterna_get(b, k, col0 + j));
            }
            store(c, i, col0, cols, sum, flags & STERNA_ACCUMULATE);
        }
    return STERNA_OK;
}

void sterna_reference_gemm(sterna_table *t) {
    t->input_gradient = input_gradient;
    t->weight_gradient = weight_gradient;
    t->input_gradient_int16 = input_gradient;
    t->weight_gradient_int16 = weight_gradient;
    t->gemm = gemm;
    t->gemm_int16 = gemm;
}
