/* abi_gemm.c: validates the arguments of the float products. */
#include "check.h"

static int32_t check_flags(int32_t flags, int32_t known) {
    return (flags & ~known) == 0 ? 0 : STERNA_BAD_RANGE;
}

#define GRADIENT_FLAGS (STERNA_ACCUMULATE | STERNA_ALLOW_INT16)

int32_t sterna_input_gradient(int32_t tier, const sterna_matrix *dy, const sterna_packed *w,
                              const sterna_matrix *dx, int32_t flags, int64_t row0, int64_t row1,
                              void *scratch) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(dy, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, sterna_check_packed(w));
    STERNA_CHECK(3, w->rows == dy->cols ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(4, sterna_check_matrix(dx, STERNA_ANY_FLOAT));
    STERNA_CHECK(4, sterna_check_shape(dx, dy->rows, w->cols));
    STERNA_CHECK(5, check_flags(flags, GRADIENT_FLAGS));
    STERNA_CHECK_SLICE(6, row0, row1, dx->rows);
    STERNA_CHECK(8, sterna_check_scratch(scratch));
    int32_t accumulate = flags & STERNA_ACCUMULATE;
    return flags & STERNA_ALLOW_INT16 ? t->input_gradient_int16(dy, w, dx, accumulate, row0, row1, scratch)
                                      : t->input_gradient(dy, w, dx, accumulate, row0, row1, scratch);
}

int32_t sterna_weight_gradient(int32_t tier, const sterna_matrix *dy, const sterna_quantized *q,
                               const sterna_matrix *dw, int32_t flags, int64_t row0, int64_t row1,
                               void *scratch) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(dy, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, sterna_check_quantized(q));
    STERNA_CHECK(3, q->rows == dy->rows ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(4, sterna_check_matrix(dw, STERNA_ONLY_F32));
    STERNA_CHECK(4, dw->cols == q->cols ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(5, check_flags(flags, GRADIENT_FLAGS));
    STERNA_CHECK_SLICE(6, row0, row1, dy->cols);
    STERNA_CHECK(4, dw->rows >= row1 - row0 ? 0 : STERNA_BAD_SHAPE); /* dw holds the slice alone */
    STERNA_CHECK(8, sterna_check_scratch(scratch));
    int32_t accumulate = flags & STERNA_ACCUMULATE;
    return flags & STERNA_ALLOW_INT16 ? t->weight_gradient_int16(dy, q, dw, accumulate, row0, row1, scratch)
                                      : t->weight_gradient(dy, q, dw, accumulate, row0, row1, scratch);
}

int32_t sterna_gemm(int32_t tier, const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c,
                    int32_t flags, int64_t row0, int64_t row1, void *scratch) {
    const int32_t known = STERNA_ACCUMULATE | STERNA_TRANSPOSE_A | STERNA_TRANSPOSE_B | STERNA_ALLOW_BF16
                        | STERNA_ALLOW_INT16;
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(a, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, sterna_check_matrix(b, STERNA_ANY_FLOAT));
    STERNA_CHECK(4, sterna_check_matrix(c, STERNA_ANY_FLOAT));
    STERNA_CHECK(5, check_flags(flags, known));
    int64_t m = flags & STERNA_TRANSPOSE_A ? a->cols : a->rows;
    int64_t k = flags & STERNA_TRANSPOSE_A ? a->rows : a->cols;
    STERNA_CHECK(3, (flags & STERNA_TRANSPOSE_B ? b->cols : b->rows) == k ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(4, sterna_check_shape(c, m, flags & STERNA_TRANSPOSE_B ? b->rows : b->cols));
    STERNA_CHECK_SLICE(6, row0, row1, c->rows);
    STERNA_CHECK(8, sterna_check_scratch(scratch));
    return flags & STERNA_ALLOW_INT16 ? t->gemm_int16(a, b, c, flags, row0, row1, scratch)
                                      : t->gemm(a, b, c, flags, row0, row1, scratch);
}
