/* grid.c: packed codes from floats and back, 16 lanes. */
#define TIER(op) op##_avx512
#include "kernels/template/grid.h"

void sterna_avx512_grid(sterna_table *t) {
    t->statistics = statistics_avx512;
    t->encode = encode_avx512;
    t->decode = decode_avx512;
    t->histogram = histogram_avx512;
}
