/* int16_tile.h: the register tile of vpmaddwd for gemm.h: 6 x 16 sums, a panel's step, a pair of A and its product. */
#ifndef STERNA_INT16_TILE_H
#define STERNA_INT16_TILE_H

#include "kernels/template/lanes.h"

#define GEMM_DEPTH 2
#define GEMM_ROWS 6
#define GEMM_COLS 16
#define GEMM_BLOCK_ROWS 240
#define GEMM_STEPS 256

/* The sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE vint add_products(vint sum, vuint x, vuint column) {
    __m256i pairs = _mm256_madd_epi16((__m256i)x, (__m256i)column);
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(pairs));
    return sum;
}

#endif
