/* optimizer.c: AdamW, SGD with momentum and Adafactor turn a gradient tile into a delta tile. */
#include <math.h>
#include <stddef.h>

#include "dispatch/bf16.h"
#include "dispatch/families.h"
#include "dispatch/grid.h"
#include "dispatch/philox.h"

/* ---------------------------------------------------------------- moments */

enum kind { SIGNED, SQUARE };

/* Where up to 64 columns of a row of a moment lie, and the random words that write them. */
struct block {
    int64_t at;    /* of the first element in data */
    int64_t scale; /* of the block in scales */
    int64_t number;
    int count;
};

static struct block block_of(const sterna_moment *m, int64_t r, int64_t c) {
    int64_t number = r * sterna_blocks(m->cols) + c / STERNA_BLOCK;
    int64_t count = m->cols - c < STERNA_BLOCK ? m->cols - c : STERNA_BLOCK;
    return (struct block){r * m->cols + c, number, number, (int)count};
}

static void load_moment(const sterna_moment *m, enum kind kind, struct block b, float values[64]) {
    for (int i = 0; i < b.count; i++) {
        if (m->type == STERNA_F32) values[i] = ((const float *)m->data)[b.at + i];
        else if (m->type == STERNA_BF16) values[i] = sterna_f32_of_bf16(((const uint16_t *)m->data)[b.at + i]);
        else if (kind == SIGNED) values[i] = (float)((const int8_t *)m->data)[b.at + i] * m->scales[b.scale];
        else {
            float root = (float)((const uint8_t *)m->data)[b.at + i] * m->scales[b.scale];
            values[i] = root * root;
        }
    }
}

/* The half of an element's word that rounds a moment of that kind. */
static uint32_t half_of(enum kind kind, uint32_t word) {
    return kind == SIGNED ? word >> 16 : word & 0xffff;
}

/* Block-wise int8: a signed moment, or the root of a square, over the block's largest, in steps of 2^-16 of a code. A
 * block below 2^-100 counts as zero, so that the inverse of its scale stays finite. */
static void store_int8(const sterna_moment *m, enum kind kind, struct block b, const float values[64],
                       const uint32_t words[64]) {
    float scaled[64], top = kind == SIGNED ? 127 : 255, bottom = kind == SIGNED ? -127 : 0, max = 0;
    for (int i = 0; i < b.count; i++) {
        scaled[i] = kind == SIGNED ? values[i] : sqrtf(values[i]);
        if (fabsf(scaled[i]) > max) max = fabsf(scaled[i]);
    }
    if (max < 0x1p-100f) max = 0;
    float factor = max > 0 ? top / max * 65536 : 0;
    m->scales[b.scale] = max / top;
    for (int i = 0; i < b.count; i++) {
        float z = scaled[i] * factor;
        z = z > bottom * 65536 ? z : bottom * 65536; /* a NaN becomes the bottom */
        z = z < top * 65536 ? z : top * 65536;
        int code = ((int)rintf(z) + (int)half_of(kind, words[i])) >> 16;
        if (kind == SQUARE && max > 0 && code < 1) code = 1;
        ((uint8_t *)m->data)[b.at + i] = (uint8_t)code;
    }
}

static void store_moment(const sterna_moment *m, enum kind kind, struct block b, const float values[64],
                         uint64_t key) {
    uint32_t words[64];
    if (m->type == STERNA_F32) {
        for (int i = 0; i < b.count; i++) ((float *)m->data)[b.at + i] = values[i];
        return;
    }
    sterna_philox_words(key, STERNA_STREAM_MOMENT, b.number, words);
    if (m->type == STERNA_I8) store_int8(m, kind, b, values, words);
    else
        for (int i = 0; i < b.count; i++)
            ((uint16_t *)m->data)[b.at + i] = sterna_bf16_stochastic(values[i], half_of(kind, words[i]) << 16);
}

/* ---------------------------------------------------------------- sums of squares */

static float *row_of(const sterna_matrix *g, int64_t r) {
    return (float *)g->data + r * g->stride;
}

/* Column c adds to lane c % 16; then lanes i and i + 8, + 4, + 2, + 1. */
static double sum_squares(const float *row, int64_t cols) {
    double lanes[16] = {0};
    for (int64_t c = 0; c < cols; c++) lanes[c % 16] += (double)row[c] * (double)row[c];
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

static void write_squares(const sterna_matrix *g, int64_t rows, double *squares) {
    for (int64_t r = 0; r < rows && squares; r++) squares[r] = sum_squares(row_of(g, r), g->cols);
}

/* A gradient enters a state only while its square is finite in f32. */
static int all_squares_finite(const sterna_matrix *g, float factor, int64_t rows) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < g->cols; c++) {
            float scaled = row_of(g, r)[c] * factor;
            if (!isfinite(scaled * scaled)) return 0;
        }
    return 1;
}

static int32_t row_squares(const sterna_matrix *g, double *squares, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) squares[r - row0] = sum_squares(row_of(g, r), g->cols);
    return STERNA_OK;
}

static int32_t column_squares(const sterna_matrix *g, double *sums, int64_t col0, int64_t col1) {
    for (int64_t c = col0; c < col1; c++) {
        sums[c] = 0;
        for (int64_t r = 0; r < g->rows; r++) sums[c] += (double)row_of(g, r)[c] * (double)row_of(g, r)[c];
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- steps */

static void adamw_block(const sterna_adamw_step *step, float *g, const sterna_moment *m, const sterna_moment *v,
                        struct block b) {
    float first[64], second[64];
    load_moment(m, SIGNED, b, first);
    load_moment(v, SQUARE, b, second);
    float rate = step->rate * step->bias1, root_bias2 = sqrtf(step->bias2);
    for (int i = 0; i < b.count; i++) {
        float gradient = g[i] * step->factor;
        first[i] = step->beta1 * first[i] + (1 - step->beta1) * gradient;
        second[i] = step->beta2 * second[i] + (1 - step->beta2) * (gradient * gradient);
        g[i] = rate * first[i] / (sqrtf(second[i]) * root_bias2 + step->epsilon);
    }
    store_moment(m, SIGNED, b, first, step->key);
    store_moment(v, SQUARE, b, second, step->key);
}

static int32_t adamw(const sterna_adamw_step *step, const sterna_matrix *g, const sterna_moment *m,
                     const sterna_moment *v, double *squares, int64_t row0, int64_t row1) {
    write_squares(g, row1 - row0, squares);
    if (!all_squares_finite(g, step->factor, row1 - row0)) return STERNA_STATUS(3, STERNA_NONFINITE);
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < m->cols; c += STERNA_BLOCK)
            adamw_block(step, row_of(g, r - row0) + c, m, v, block_of(m, r, c));
    return STERNA_OK;
}

/* m = momentum m + share g; g = rate m. */
static void momentum_block(float momentum, float share, float rate, uint64_t key, float *g, const sterna_moment *m,
                           struct block b) {
    float first[64];
    load_moment(m, SIGNED, b, first);
    for (int i = 0; i < b.count; i++) {
        first[i] = momentum * first[i] + share * g[i];
        g[i] = rate * first[i];
    }
    store_moment(m, SIGNED, b, first, key);
}

static int32_t sgd(const sterna_sgd_step *step, const sterna_matrix *g, const sterna_moment *m, double *squares,
                   int64_t row0, int64_t row1) {
    write_squares(g, row1 - row0, squares);
    if (!all_squares_finite(g, step->factor, row1 - row0)) return STERNA_STATUS(3, STERNA_NONFINITE);
    for (int64_t r = row0; r < row1; r++) {
        float *row = row_of(g, r - row0);
        for (int64_t c = 0; c < g->cols; c++) row[c] *= step->factor;
        for (int64_t c = 0; c < g->cols && !m; c++) row[c] *= step->rate;
        for (int64_t c = 0; c < g->cols && m; c += STERNA_BLOCK)
            momentum_block(step->momentum, 1, step->rate, step->key, row + c, m, block_of(m, r, c));
    }
    return STERNA_OK;
}

/* u(r, c) of Adafactor. */
static float scaled(float g, float row_factor, float col_factor) {
    return g * row_factor * col_factor;
}

static int32_t adafactor_squares(const sterna_adafactor_step *step, const sterna_matrix *g,
                                 const float *row_factor, const float *col_factor, double *squares,
                                 int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) {
        double lanes[16] = {0};
        float factor = step->factor * row_factor[r];
        for (int64_t c = 0; c < g->cols; c++) {
            double u = scaled(row_of(g, r - row0)[c], factor, col_factor[c]);
            lanes[c % 16] += u * u;
        }
        for (int half = 8; half > 0; half /= 2)
            for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
        squares[r - row0] = lanes[0];
    }
    return STERNA_OK;
}

static int32_t adafactor(const sterna_adafactor_step *step, const sterna_matrix *g, const float *row_factor,
                         const float *col_factor, const sterna_moment *m, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < g->cols; c++) {
            float u = scaled(row_of(g, r - row0)[c], step->factor * row_factor[r], col_factor[c]);
            if (!isfinite(u * u)) return STERNA_STATUS(3, STERNA_NONFINITE);
        }
    for (int64_t r = row0; r < row1; r++) {
        float *row = row_of(g, r - row0), factor = step->factor * row_factor[r];
        for (int64_t c = 0; c < g->cols; c++) row[c] = scaled(row[c], factor, col_factor[c]);
        for (int64_t c = 0; c < g->cols && !m; c++) row[c] *= step->rate;
        for (int64_t c = 0; c < g->cols && m; c += STERNA_BLOCK)
            momentum_block(step->beta1, 1 - step->beta1, step->rate, step->key, row + c, m, block_of(m, r, c));
    }
    return STERNA_OK;
}

void sterna_reference_optimizer(sterna_table *t) {
    t->adamw = adamw;
    t->sgd = sgd;
    t->row_squares = row_squares;
    t->column_squares = column_squares;
    t->adafactor_squares = adafactor_squares;
    t->adafactor = adafactor;
}
