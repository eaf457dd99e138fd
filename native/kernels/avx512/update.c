/* update.c: weight updates, 16 lanes. */
#define TIER(op) op##_avx512
#include "kernels/template/update.h"

void sterna_avx512_update(sterna_table *t) {
    t->update_packed = update_packed_avx512;
    t->update_float = update_float_avx512;
}
