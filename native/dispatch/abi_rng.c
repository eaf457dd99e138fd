/* abi_rng.c: validates the arguments of the random-number functions; sterna_key has no tiers. */
#include <math.h>

#include "check.h"
#include "philox.h"

int32_t sterna_philox(int32_t tier, const uint32_t *counter, const uint32_t *key, uint32_t *out,
                      int64_t blocks) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_pointer(counter, 4));
    STERNA_CHECK(3, sterna_check_pointer(key, 4));
    STERNA_CHECK(4, sterna_check_pointer(out, 4));
    STERNA_CHECK(5, blocks >= 0 && blocks <= STERNA_MAX_EXTENT ? 0 : STERNA_BAD_RANGE);
    return t->philox(counter, key, out, blocks);
}

uint64_t sterna_key(uint64_t seed, uint32_t tensor, uint64_t step) {
    const uint32_t counter[4] = {tensor, (uint32_t)step, (uint32_t)(step >> 32), 0x53544552};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    sterna_philox_block(counter, key, out);
    return (uint64_t)out[1] << 32 | out[0];
}

int32_t sterna_normal(int32_t tier, uint64_t key, float deviation, const sterna_matrix *x, int64_t row0,
                      int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(3, deviation >= 0 && isfinite(deviation) ? 0 : STERNA_BAD_RANGE);
    STERNA_CHECK(4, sterna_check_matrix(x, STERNA_ANY_FLOAT));
    STERNA_CHECK_SLICE(5, row0, row1, STERNA_MAX_ELEMENTS / x->cols);
    STERNA_CHECK(4, sterna_check_tile(x, row1 - row0, x->cols));
    return t->normal(key, deviation, x, row0, row1);
}
