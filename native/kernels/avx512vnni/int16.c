/* int16.c: gradients of quantized layers in 16-bit fixed point, in 8 x 48 tiles of vpdpwssd, as those of f32 FMA. */
#include "dispatch/families.h"
#include "kernels/template/lanes.h"

#define GEMM_DEPTH 2
#define GEMM_INT16 1
#define GEMM_ROWS 8
#define GEMM_COLS 48
#define GEMM_BLOCK_ROWS 256
#define GEMM_STEPS 256

#include "kernels/template/gemm.h"

/* As _mm512_dpwssd_epi32, but the sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE vint add_products(vint sum, vuint x, vuint column) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(column));
    return sum;
}

#include "kernels/template/lane_tiles.h"

void sterna_avx512vnni_int16(sterna_table *t) {
    t->input_gradient_int16 = input_gradient;
    t->weight_gradient_int16 = weight_gradient;
}
