/* rng.c: Philox and normal numbers, 16 lanes. */
#define TIER(op) op##_avx512
#include "kernels/template/rng.h"

void sterna_avx512_rng(sterna_table *t) {
    t->philox = philox_avx512;
    t->normal = normal_avx512;
}
