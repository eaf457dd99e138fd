/* abi_update.c: validates the arguments of the weight updates. */
#include "check.h"

int32_t sterna_update_packed(int32_t tier, const sterna_packed *w, const sterna_matrix *delta, float keep,
                             uint64_t key, int32_t rounding, int64_t *flips, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_packed(w));
    STERNA_CHECK(3, sterna_check_matrix(delta, STERNA_ONLY_F32));
    STERNA_CHECK(4, sterna_check_range(keep, 0, 1));
    STERNA_CHECK(6, sterna_check_rounding(rounding));
    STERNA_CHECK(7, sterna_check_pointer(flips, 8));
    STERNA_CHECK_SLICE(8, row0, row1, w->rows);
    STERNA_CHECK(3, sterna_check_tile(delta, row1 - row0, w->cols));
    STERNA_CHECK(2, sterna_check_divisors(w, row0, row1));
    return t->update_packed(w, delta, keep, key, rounding, flips, row0, row1);
}

int32_t sterna_update_float(int32_t tier, const sterna_matrix *w, const sterna_matrix *delta, float keep,
                            uint64_t key, int32_t rounding, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(w, STERNA_ANY_FLOAT));
    STERNA_CHECK(3, sterna_check_matrix(delta, STERNA_ONLY_F32));
    STERNA_CHECK(4, sterna_check_range(keep, 0, 1));
    STERNA_CHECK(6, sterna_check_rounding(rounding));
    STERNA_CHECK_SLICE(7, row0, row1, w->rows);
    STERNA_CHECK(3, sterna_check_tile(delta, row1 - row0, w->cols));
    return t->update_float(w, delta, keep, key, rounding, row0, row1);
}
