/* abi_rows.c: validates the arguments of the row kernels, in order, then calls the table. */
#include <float.h>
#include <math.h>

#include "attention.h"
#include "check.h"

/* A float matrix shaped like x. */
static int32_t check_like(const sterna_matrix *y, const sterna_matrix *x) {
    int32_t reason = sterna_check_matrix(y, STERNA_ANY_FLOAT);
    return reason ? reason : sterna_check_shape(y, x->rows, x->cols);
}

static int32_t check_quantized_like(const sterna_quantized *q, const sterna_matrix *x) {
    int32_t reason = sterna_check_quantized(q);
    if (reason) return reason;
    return q->rows == x->rows && q->cols == x->cols ? 0 : STERNA_BAD_SHAPE;
}

static int32_t check_gain(const sterna_matrix *gain, const sterna_matrix *x) {
    int32_t reason = sterna_check_matrix(gain, STERNA_ANY_FLOAT);
    return reason ? reason : sterna_check_shape(gain, 1, x->cols);
}

/* A normal number, so that 1 / sqrt(epsilon) is finite. */
static int32_t check_epsilon(float epsilon) {
    return epsilon >= FLT_MIN && epsilon <= FLT_MAX ? 0 : STERNA_BAD_RANGE;
}

/* ids[row0...row1-1] lie in low...high - 1. */
static int32_t check_ids(const int32_t *ids, int64_t low, int64_t high, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        if (ids[r] < low || ids[r] >= high) return STERNA_BAD_VALUE;
    return 0;
}

int32_t sterna_quantize(int32_t tier, const sterna_matrix *x, const sterna_quantized *q, int64_t row0,
                        int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, check_quantized_like(q, x));
    STERNA_CHECK_SLICE(4, row0, row1, x->rows);
    return t->quantize(x, q, row0, row1);
}

int32_t sterna_rmsnorm(int32_t tier, const sterna_matrix *x, const sterna_matrix *gain, float epsilon,
                       const sterna_matrix *y, float *inv_rms, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, check_gain(gain, x));
    STERNA_CHECK(4, check_epsilon(epsilon));
    STERNA_CHECK(5, check_like(y, x));
    STERNA_CHECK(6, sterna_check_pointer(inv_rms, 4));
    STERNA_CHECK_SLICE(7, row0, row1, x->rows);
    return t->rmsnorm(x, gain, epsilon, y, inv_rms, row0, row1);
}

int32_t sterna_rmsnorm_quantize(int32_t tier, const sterna_matrix *x, const sterna_matrix *gain, float epsilon,
                                const sterna_quantized *q, float *inv_rms, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, check_gain(gain, x));
    STERNA_CHECK(4, check_epsilon(epsilon));
    STERNA_CHECK(5, check_quantized_like(q, x));
    STERNA_CHECK(6, sterna_check_pointer(inv_rms, 4));
    STERNA_CHECK_SLICE(7, row0, row1, x->rows);
    return t->rmsnorm_quantize(x, gain, epsilon, q, inv_rms, row0, row1);
}

int32_t sterna_rmsnorm_backward(int32_t tier, const sterna_matrix *x, const sterna_matrix *gain,
                                const float *inv_rms, const sterna_matrix *dy, const sterna_matrix *dx,
                                int32_t accumulate, float *dgain, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, check_gain(gain, x));
    STERNA_CHECK(4, sterna_check_pointer(inv_rms, 4));
    STERNA_CHECK(5, check_like(dy, x));
    STERNA_CHECK(6, check_like(dx, x));
    STERNA_CHECK(7, sterna_check_flag(accumulate));
    STERNA_CHECK(8, sterna_check_pointer(dgain, 4));
    STERNA_CHECK_SLICE(9, row0, row1, x->rows);
    return t->rmsnorm_backward(x, gain, inv_rms, dy, dx, accumulate, dgain, row0, row1);
}

/* The table holds every position that the rows of x take. */
static int32_t check_positions(const sterna_matrix *x, const sterna_matrix *table, int64_t length, int64_t first) {
    int64_t positions = x->rows < length ? x->rows : length;
    return first >= 0 && first <= table->rows - positions ? 0 : STERNA_BAD_RANGE;
}

int32_t sterna_rope(int32_t tier, const sterna_matrix *x, int64_t head_dim, const sterna_matrix *table,
                    int64_t length, int64_t first, int32_t direction, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, head_dim >= 2 && head_dim % 2 == 0 && x->cols % head_dim == 0 ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(4, sterna_check_matrix(table, STERNA_ANY_FLOAT));
    STERNA_CHECK(4, table->cols == head_dim ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(5, length >= 1 ? 0 : STERNA_BAD_RANGE);
    STERNA_CHECK(6, check_positions(x, table, length, first));
    STERNA_CHECK(7, direction == 1 || direction == -1 ? 0 : STERNA_BAD_RANGE);
    STERNA_CHECK_SLICE(8, row0, row1, x->rows);
    return t->rope(x, head_dim, table, length, first, direction, row0, row1);
}

int32_t sterna_swiglu(int32_t tier, const sterna_matrix *gate, const sterna_matrix *up, const sterna_matrix *y,
                      int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(gate, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, check_like(up, gate));
    STERNA_CHECK(4, check_like(y, gate));
    STERNA_CHECK_SLICE(5, row0, row1, gate->rows);
    return t->swiglu(gate, up, y, row0, row1);
}

int32_t sterna_swiglu_backward(int32_t tier, const sterna_matrix *gate, const sterna_matrix *up,
                               const sterna_matrix *dy, const sterna_matrix *dgate, const sterna_matrix *dup,
                               int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(gate, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, check_like(up, gate));
    STERNA_CHECK(4, check_like(dy, gate));
    STERNA_CHECK(5, check_like(dgate, gate));
    STERNA_CHECK(6, check_like(dup, gate));
    STERNA_CHECK_SLICE(7, row0, row1, gate->rows);
    return t->swiglu_backward(gate, up, dy, dgate, dup, row0, row1);
}

int32_t sterna_add(int32_t tier, const sterna_matrix *x, const sterna_matrix *y, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, check_like(y, x));
    STERNA_CHECK_SLICE(4, row0, row1, x->rows);
    return t->add(x, y, row0, row1);
}

int32_t sterna_copy(int32_t tier, const sterna_matrix *x, const sterna_matrix *y, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, check_like(y, x));
    STERNA_CHECK_SLICE(4, row0, row1, x->rows);
    return t->copy(x, y, row0, row1);
}

/* x's columns are whole heads of `cols` columns, and a cache's rows are divided evenly among them. */
static int32_t check_heads(const sterna_matrix *x, int64_t rows, int64_t cols) {
    return x->cols % cols == 0 && rows % (x->cols / cols) == 0 ? 0 : STERNA_BAD_SHAPE;
}

/* A head's part has room for x's rows behind `first`. */
static int32_t check_room(const sterna_matrix *x, int64_t rows, int64_t cols, int64_t first) {
    return first >= 0 && first <= rows / (x->cols / cols) - x->rows ? 0 : STERNA_BAD_RANGE;
}

/* Keys by column come in whole blocks, and a row of them is held in between. */
static int32_t check_blocks(const sterna_matrix *x, int64_t rows, int64_t cols, int32_t by_column) {
    return !by_column || (cols <= MAX_HEAD_DIM && rows / (x->cols / cols) % STERNA_KEY_BLOCK == 0) ? 0 : STERNA_BAD_SHAPE;
}

/* Columns col0...col0+cols-1 of rows row0...row0+rows-1. */
static sterna_matrix part_of(const sterna_matrix *x, int64_t row0, int64_t rows, int64_t col0, int64_t cols) {
    int64_t bytes = x->type == STERNA_F32 ? 4 : 2;
    return (sterna_matrix){(char *)x->data + (row0 * x->stride + col0) * bytes, rows, cols, x->stride, x->type, 0};
}

/* A head's columns x go to its rows from `row` on. */
static void append_rows(const sterna_table *t, const sterna_matrix *x, const sterna_matrix *y, int64_t row) {
    sterna_matrix to = part_of(y, row, x->rows, 0, y->cols);
    t->copy(x, &to, 0, x->rows);
}

static void append_columns(const sterna_table *t, const sterna_matrix *x, const sterna_matrix *y, int64_t row) {
    float numbers[MAX_HEAD_DIM]; /* of either type */
    sterna_matrix line = {numbers, 1, y->cols, y->cols, y->type, 0};
    for (int64_t r = 0; r < x->rows; r++) {
        sterna_matrix from = part_of(x, r, 1, 0, x->cols);
        t->copy(&from, &line, 0, 1);
        int64_t at = sterna_key_index(row + r, 0, y->stride);
        if (y->type == STERNA_F32)
            for (int64_t c = 0; c < y->cols; c++) ((float *)y->data)[at + c * STERNA_KEY_BLOCK] = numbers[c];
        else
            for (int64_t c = 0; c < y->cols; c++) ((uint16_t *)y->data)[at + c * STERNA_KEY_BLOCK] = ((uint16_t *)numbers)[c];
    }
}

int32_t sterna_append(int32_t tier, const sterna_matrix *x, const sterna_matrix *y, int64_t first, int32_t by_column) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, sterna_check_matrix(y, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, check_heads(x, y->rows, y->cols));
    STERNA_CHECK(4, check_room(x, y->rows, y->cols, first));
    STERNA_CHECK(5, sterna_check_flag(by_column));
    STERNA_CHECK(3, check_blocks(x, y->rows, y->cols, by_column));
    int64_t heads = x->cols / y->cols, capacity = y->rows / heads;
    for (int64_t h = 0; h < heads; h++) {
        sterna_matrix from = part_of(x, 0, x->rows, h * y->cols, y->cols);
        (by_column ? append_columns : append_rows)(t, &from, y, h * capacity + first);
    }
    return STERNA_OK;
}

static int32_t quantize_rows(const sterna_table *t, const sterna_matrix *x, const sterna_quantized *q, int64_t row) {
    sterna_quantized to = {q->codes + row * q->stride, q->scales + row, x->rows, q->cols, q->stride};
    return t->quantize(x, &to, 0, x->rows);
}

static int32_t quantize_columns(const sterna_table *t, const sterna_matrix *x, const sterna_quantized *q, int64_t row) {
    int8_t codes[MAX_HEAD_DIM];
    for (int64_t r = 0; r < x->rows; r++) {
        sterna_matrix from = part_of(x, r, 1, 0, x->cols);
        sterna_quantized line = {codes, q->scales + row + r, 1, q->cols, q->cols};
        int32_t status = t->quantize(&from, &line, 0, 1);
        if (status != STERNA_OK) return status;
        int8_t *to = q->codes + sterna_key_index(row + r, 0, q->stride);
        for (int64_t c = 0; c < q->cols; c++) to[c * STERNA_KEY_BLOCK] = codes[c];
    }
    return STERNA_OK;
}

int32_t sterna_append_quantized(int32_t tier, const sterna_matrix *x, const sterna_quantized *q, int64_t first,
                                int32_t by_column) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, sterna_check_quantized(q));
    STERNA_CHECK(3, check_heads(x, q->rows, q->cols));
    STERNA_CHECK(4, check_room(x, q->rows, q->cols, first));
    STERNA_CHECK(5, sterna_check_flag(by_column));
    STERNA_CHECK(3, check_blocks(x, q->rows, q->cols, by_column));
    int64_t heads = x->cols / q->cols, capacity = q->rows / heads;
    for (int64_t h = 0; h < heads; h++) {
        sterna_matrix from = part_of(x, 0, x->rows, h * q->cols, q->cols);
        int32_t status = (by_column ? quantize_columns : quantize_rows)(t, &from, q, h * capacity + first);
        if (status != STERNA_OK) return status;
    }
    return STERNA_OK;
}

int32_t sterna_gather(int32_t tier, const sterna_matrix *table, const int32_t *ids, const sterna_matrix *y,
                      int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(table, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, sterna_check_pointer(ids, 4));
    STERNA_CHECK(4, sterna_check_matrix(y, STERNA_ANY_FLOAT));
    STERNA_CHECK(4, y->cols == table->cols ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK_SLICE(5, row0, row1, y->rows);
    STERNA_CHECK(3, check_ids(ids, 0, table->rows, row0, row1));
    return t->gather(table, ids, y, row0, row1);
}

int32_t sterna_scatter_add(int32_t tier, const sterna_matrix *dy, const int32_t *ids, int64_t id0,
                           const sterna_matrix *dtable) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(dy, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, sterna_check_pointer(ids, 4));
    STERNA_CHECK(4, id0 >= 0 && id0 <= STERNA_MAX_EXTENT ? 0 : STERNA_BAD_RANGE);
    STERNA_CHECK(5, sterna_check_matrix(dtable, STERNA_ONLY_F32));
    STERNA_CHECK(5, dtable->cols == dy->cols ? 0 : STERNA_BAD_SHAPE);
    return t->scatter_add(dy, ids, id0, dtable);
}

int32_t sterna_cross_entropy(int32_t tier, const sterna_matrix *logits, int64_t vocab0, const int32_t *targets,
                             float *max, float *sum, float *target, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(logits, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, vocab0 >= 0 && vocab0 <= STERNA_MAX_EXTENT ? 0 : STERNA_BAD_RANGE);
    STERNA_CHECK(4, sterna_check_pointer(targets, 4));
    STERNA_CHECK(5, sterna_check_pointer(max, 4));
    STERNA_CHECK(6, sterna_check_pointer(sum, 4));
    STERNA_CHECK(7, sterna_check_pointer(target, 4));
    STERNA_CHECK_SLICE(8, row0, row1, logits->rows);
    STERNA_CHECK(4, check_ids(targets, -1, INT64_MAX, row0, row1));
    return t->cross_entropy(logits, vocab0, targets, max, sum, target, row0, row1);
}

int32_t sterna_cross_entropy_gradient(int32_t tier, const sterna_matrix *logits, int64_t vocab0,
                                      const int32_t *targets, const float *max, const float *sum, float factor,
                                      const sterna_matrix *gradient, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(logits, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, vocab0 >= 0 && vocab0 <= STERNA_MAX_EXTENT ? 0 : STERNA_BAD_RANGE);
    STERNA_CHECK(4, sterna_check_pointer(targets, 4));
    STERNA_CHECK(5, sterna_check_pointer(max, 4));
    STERNA_CHECK(6, sterna_check_pointer(sum, 4));
    STERNA_CHECK(7, isfinite(factor) ? 0 : STERNA_BAD_RANGE);
    STERNA_CHECK(8, check_like(gradient, logits));
    STERNA_CHECK_SLICE(9, row0, row1, logits->rows);
    STERNA_CHECK(4, check_ids(targets, -1, INT64_MAX, row0, row1));
    return t->cross_entropy_gradient(logits, vocab0, targets, max, sum, factor, gradient, row0, row1);
}
