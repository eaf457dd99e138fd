/*
 * byte_tile.h: the register tile of vpdpbusd: 8 rows of signed bytes by 3 panels of 16 columns of unsigned ones. Both
 * come in steps of four bytes along the sum: x[step][8 rows][4], panel[step][16 columns][4].
 */
#ifndef STERNA_BYTE_TILE_H
#define STERNA_BYTE_TILE_H

#include "kernels/template/bytes.h"

#define BYTE_TILE_ROWS 8
#define BYTE_TILE_PANELS 3
#define PREFETCH 1024 /* bytes of a panel ahead: it comes from L2 */

/* As _mm512_dpbusd_epi32, but the sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE bytes dot_bytes(bytes sum, bytes u, bytes x) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(x));
    return sum;
}

/* 24 sums, 3 panels and a word of x take 28 of 32 registers; 11 loads feed 24 products. */
INLINE void multiply_panels(const uint8_t *panel, int64_t panel_bytes, int panels, const void *x, int64_t steps,
                            int resume, int32_t sums[BYTE_TILE_ROWS][BYTE_TILE_PANELS][16]) {
    bytes sum[BYTE_TILE_ROWS][BYTE_TILE_PANELS], u[BYTE_TILE_PANELS];
    const uint8_t *word = x;
#pragma GCC unroll 8
    for (int t = 0; t < BYTE_TILE_ROWS; t++)
#pragma GCC unroll 3
        for (int p = 0; p < panels; p++) sum[t][p] = resume ? load_vector(sums[t][p]) : zero_bytes();
    for (int64_t s = 0; s < steps; s++, panel += sizeof(bytes), word += BYTE_TILE_ROWS * 4) {
#pragma GCC unroll 3
        for (int p = 0; p < panels; p++) {
            u[p] = load_vector(panel + p * panel_bytes);
            __builtin_prefetch(panel + p * panel_bytes + PREFETCH);
        }
#pragma GCC unroll 8
        for (int t = 0; t < BYTE_TILE_ROWS; t++) {
            bytes row = broadcast_word(word + t * 4);
#pragma GCC unroll 3
            for (int p = 0; p < panels; p++) sum[t][p] = dot_bytes(sum[t][p], u[p], row);
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < BYTE_TILE_ROWS; t++)
#pragma GCC unroll 3
        for (int p = 0; p < panels; p++) memcpy(sums[t][p], &sum[t][p], sizeof(bytes));
}

/* sums = or, with `resume`, += the products of up to 3 panels, panel_bytes apart, over `steps` steps. */
INLINE void multiply_byte_tile(const uint8_t *panel, int64_t panel_bytes, int64_t panels, const void *x,
                               int64_t steps, int resume, int32_t sums[BYTE_TILE_ROWS][BYTE_TILE_PANELS][16]) {
    if (panels == 1) multiply_panels(panel, panel_bytes, 1, x, steps, resume, sums);
    else if (panels == 2) multiply_panels(panel, panel_bytes, 2, x, steps, resume, sums);
    else multiply_panels(panel, panel_bytes, 3, x, steps, resume, sums);
}

#endif
