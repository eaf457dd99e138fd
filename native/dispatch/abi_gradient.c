/* abi_gradient.c: validates the arguments of the int8 gradients. */
#include "check.h"
#include "gradient.h"

static int32_t check_gradient(const sterna_gradient *g) {
    int32_t reason = sterna_check_pointer(g, 8);
    if (reason) return reason;
    reason = sterna_check_extents(g->rows, g->cols, g->stride);
    if (!reason) reason = sterna_check_pointer(g->codes, 1);
    return reason ? reason : sterna_check_pointer(g->scales, 4);
}

/* dy's tokens, from `first` on, are whole groups of g. */
static int32_t check_tokens(const sterna_gradient *g, int64_t first, int64_t tokens) {
    if (tokens > g->cols || first > g->cols - tokens) return STERNA_BAD_SHAPE;
    return first + tokens == g->cols || tokens % STERNA_GRADIENT_GROUP == 0 ? 0 : STERNA_BAD_SHAPE;
}

/* A group begins there, or `end` does. */
static int32_t check_begin(int64_t row, int64_t end) {
    return row % STERNA_GRADIENT_GROUP == 0 || row == end ? 0 : STERNA_BAD_RANGE;
}

int32_t sterna_quantize_gradient(int32_t tier, const sterna_matrix *dy, const float *row_scales,
                                 const float *x_scales, const sterna_quantized *by_token,
                                 const sterna_gradient *by_feature, int64_t first, uint64_t key, int64_t row0,
                                 int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(dy, STERNA_ANY_FLOAT));
    if (by_token && row_scales) STERNA_CHECK(3, sterna_check_pointer(row_scales, 4));
    if (by_feature) STERNA_CHECK(4, sterna_check_pointer(x_scales, 4));
    STERNA_CHECK(5, by_token || by_feature ? 0 : STERNA_BAD_NULL);
    if (by_token) {
        STERNA_CHECK(5, sterna_check_quantized(by_token));
        STERNA_CHECK(5, by_token->rows == dy->rows && by_token->cols == dy->cols ? 0 : STERNA_BAD_SHAPE);
    }
    if (by_feature) {
        STERNA_CHECK(6, check_gradient(by_feature));
        STERNA_CHECK(6, by_feature->rows == dy->cols ? 0 : STERNA_BAD_SHAPE);
    }
    STERNA_CHECK(7, sterna_check_slice(0, first, STERNA_MAX_EXTENT));
    STERNA_CHECK(7, check_begin(first, -1));
    if (by_feature) STERNA_CHECK(6, check_tokens(by_feature, first, dy->rows));
    STERNA_CHECK_SLICE(9, row0, row1, dy->rows);
    STERNA_CHECK(9, check_begin(row0, dy->rows));
    STERNA_CHECK(10, check_begin(row1, dy->rows));
    return t->quantize_gradient(dy, row_scales, x_scales, by_token, by_feature, first, key, row0, row1);
}

int32_t sterna_input_gradient_int8(int32_t tier, const sterna_quantized *q, const sterna_packed *w,
                                   const sterna_matrix *dx, int32_t accumulate, int64_t row0, int64_t row1,
                                   void *scratch) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_quantized(q));
    STERNA_CHECK(3, sterna_check_packed(w));
    STERNA_CHECK(3, w->scaling == STERNA_PER_GROUP ? STERNA_BAD_TYPE : 0);
    STERNA_CHECK(3, w->rows == q->cols ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(4, sterna_check_matrix(dx, STERNA_ANY_FLOAT));
    STERNA_CHECK(4, sterna_check_shape(dx, q->rows, w->cols));
    STERNA_CHECK(5, sterna_check_flag(accumulate));
    STERNA_CHECK_SLICE(6, row0, row1, q->rows);
    STERNA_CHECK(8, sterna_check_scratch(scratch));
    return t->input_gradient_int8(q, w, dx, accumulate, row0, row1, scratch);
}

int32_t sterna_weight_gradient_int8(int32_t tier, const sterna_gradient *g, const sterna_quantized *x,
                                    const sterna_matrix *dw, int32_t accumulate, int64_t row0, int64_t row1,
                                    void *scratch) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, check_gradient(g));
    STERNA_CHECK(3, sterna_check_quantized(x));
    STERNA_CHECK(3, x->rows == g->cols ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(4, sterna_check_matrix(dw, STERNA_ONLY_F32));
    STERNA_CHECK(4, dw->cols == x->cols ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(5, sterna_check_flag(accumulate));
    STERNA_CHECK_SLICE(6, row0, row1, g->rows);
    STERNA_CHECK(4, dw->rows >= row1 - row0 ? 0 : STERNA_BAD_SHAPE); /* dw holds the slice alone */
    STERNA_CHECK(8, sterna_check_scratch(scratch));
    return t->weight_gradient_int8(g, x, dw, accumulate, row0, row1, scratch);
}
