/* adamw_packed.c: AdamW and the rounding of packed weights in one pass, 8 lanes. */
#define TIER(op) op##_avx2
#include "kernels/template/adamw_packed.h"

void sterna_avx2_adamw_packed(sterna_table *t) {
    t->adamw_packed = adamw_packed_avx2;
}
