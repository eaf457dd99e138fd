/* update.c: weight updates, 8 lanes. */
#define TIER(op) op##_avx2
#include "kernels/template/update.h"

void sterna_avx2_update(sterna_table *t) {
    t->update_packed = update_packed_avx2;
    t->update_float = update_float_avx2;
}
