/*
 * int16.c: gradients of quantized layers in 16-bit fixed point, in 6 x 16 tiles of vpmaddwd: 12 sums, a panel's step,
 * a pair of A and its product in registers.
 */
#include "dispatch/families.h"
#include "kernels/template/lanes.h"

#define GEMM_DEPTH 2
#define GEMM_INT16 1
#define GEMM_ROWS 6
#define GEMM_COLS 16
#define GEMM_BLOCK_ROWS 240
#define GEMM_STEPS 256

#include "kernels/template/gemm.h"

/* The sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE vint add_products(vint sum, vuint x, vuint column) {
    __m256i pairs = _mm256_madd_epi16((__m256i)x, (__m256i)column);
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(pairs));
    return sum;
}

#include "kernels/template/lane_tiles.h"

void sterna_avx2_int16(sterna_table *t) {
    t->input_gradient_int16 = input_gradient;
    t->weight_gradient_int16 = weight_gradient;
}
