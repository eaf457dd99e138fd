/* abi_linear.c: validates the arguments of sterna_linear. */
#include "check.h"

int32_t sterna_linear(int32_t tier, const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                      const sterna_matrix *residual, int64_t row0, int64_t row1, void *scratch) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_quantized(q));
    STERNA_CHECK(3, sterna_check_packed(w));
    STERNA_CHECK(3, w->cols == q->cols ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(4, sterna_check_matrix(y, STERNA_ANY_FLOAT));
    STERNA_CHECK(4, sterna_check_shape(y, q->rows, w->rows));
    if (residual) STERNA_CHECK(5, sterna_check_matrix(residual, STERNA_ANY_FLOAT));
    if (residual) STERNA_CHECK(5, sterna_check_shape(residual, q->rows, w->rows));
    STERNA_CHECK_SLICE(6, row0, row1, w->rows);
    STERNA_CHECK(8, sterna_check_scratch(scratch));
    return t->linear(q, w, y, residual, row0, row1, scratch);
}
