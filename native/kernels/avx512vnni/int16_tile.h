/* int16_tile.h: the register tile of vpdpwssd for gemm.h: 8 x 48 sums, as those of f32 FMA. */
#ifndef STERNA_INT16_TILE_H
#define STERNA_INT16_TILE_H

#include "kernels/template/lanes.h"

#define GEMM_DEPTH 2
#define GEMM_ROWS 8
#define GEMM_COLS 48
#define GEMM_BLOCK_ROWS 256
#define GEMM_STEPS 256

/* As _mm512_dpwssd_epi32, but the sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE vint add_products(vint sum, vuint x, vuint column) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(column));
    return sum;
}

#endif
