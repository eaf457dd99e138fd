/* abi_grid.c: validates the arguments of the functions over packed weights. */
#include "check.h"
#include "grid.h"

int64_t sterna_row_bytes(int32_t grid, int64_t cols) {
    STERNA_CHECK(1, sterna_is_grid(grid) ? 0 : STERNA_BAD_TYPE);
    STERNA_CHECK(2, cols >= 1 && cols <= STERNA_MAX_COLS ? 0 : STERNA_BAD_SHAPE);
    return sterna_packed_row_bytes(grid, cols);
}

int32_t sterna_statistics(int32_t tier, const sterna_matrix *x, int64_t group, double *stats, int64_t row0,
                          int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, group >= 0 && group % STERNA_BLOCK == 0 && group <= STERNA_MAX_EXTENT ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(4, sterna_check_pointer(stats, 8));
    STERNA_CHECK_SLICE(5, row0, row1, x->rows);
    return t->statistics(x, group, stats, row0, row1);
}

int32_t sterna_encode(int32_t tier, const sterna_matrix *x, const sterna_packed *w, int64_t row0,
                      int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, sterna_check_packed(w));
    STERNA_CHECK_SLICE(4, row0, row1, w->rows);
    STERNA_CHECK(2, sterna_check_tile(x, row1 - row0, w->cols));
    STERNA_CHECK(3, sterna_check_divisors(w, row0, row1));
    return t->encode(x, w, row0, row1);
}

int32_t sterna_decode(int32_t tier, const sterna_packed *w, const sterna_matrix *x, int64_t row0,
                      int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_packed(w));
    STERNA_CHECK(3, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK_SLICE(4, row0, row1, w->rows);
    STERNA_CHECK(3, sterna_check_tile(x, row1 - row0, w->cols));
    return t->decode(w, x, row0, row1);
}

int32_t sterna_histogram(int32_t tier, const sterna_packed *w, int64_t *counts, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_packed(w));
    STERNA_CHECK(3, sterna_check_pointer(counts, 8));
    STERNA_CHECK_SLICE(4, row0, row1, w->rows);
    return t->histogram(w, counts, row0, row1);
}
