/* grid.c: packed codes from floats and back, 8 lanes. */
#define TIER(op) op##_avx2
#include "kernels/template/grid.h"

void sterna_avx2_grid(sterna_table *t) {
    t->statistics = statistics_avx2;
    t->encode = encode_avx2;
    t->decode = decode_avx2;
    t->histogram = histogram_avx2;
}
