/* abi_probe.c: validates the arguments of sterna_probe. */
#include "check.h"

int32_t sterna_probe(int32_t tier, int32_t probe, void *buffer, int64_t bytes, int64_t rounds, double *work) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, probe >= STERNA_PROBE_INT8 && probe <= STERNA_PROBE_UPDATE ? 0 : STERNA_BAD_RANGE);
    STERNA_CHECK(3, sterna_check_pointer(buffer, 64));
    STERNA_CHECK(4, bytes >= 64 && bytes % 64 == 0 ? 0 : STERNA_BAD_SHAPE);
    STERNA_CHECK(5, rounds >= 1 ? 0 : STERNA_BAD_RANGE);
    STERNA_CHECK(6, sterna_check_pointer(work, 8));
    return t->probe(probe, buffer, bytes, rounds, work);
}
