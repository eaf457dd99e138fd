/* int16.c: gradients of quantized layers in 16-bit fixed point. */
#include "dispatch/families.h"
#include "kernels/avx2/int16_tile.h"

#define GEMM_INT16 1

#include "kernels/template/gemm.h"
#include "kernels/template/lane_tiles.h"

void sterna_avx2_int16(sterna_table *t) {
    t->input_gradient_int16 = input_gradient;
    t->weight_gradient_int16 = weight_gradient;
}
