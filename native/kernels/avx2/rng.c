/* rng.c: Philox and normal numbers, 8 lanes. */
#define TIER(op) op##_avx2
#include "kernels/template/rng.h"

void sterna_avx2_rng(sterna_table *t) {
    t->philox = philox_avx2;
    t->normal = normal_avx2;
}
