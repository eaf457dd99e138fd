/*
 * product_pairs.h: the tiles of product_tiles.h without VNNI: bytes become int16, whose products vpmaddwd adds in
 * pairs to int32, exactly. A word of left stands as its even and its odd bytes:
 *
 *   left[step][even, odd][4 rows][2]   in int16
 *
 * and a word of a panel is split when it is used, for all rows of the tile. Define TILE_ROWS 4 and TILE_PANELS.
 */
#ifndef STERNA_PRODUCT_PAIRS_H
#define STERNA_PRODUCT_PAIRS_H

#include <immintrin.h>
#include <stdint.h>

#define WORD_BYTES 8

/* Rows 0...3 of a step, then of the step 8 steps (32 columns) on. */
static inline void store_words(uint8_t *out, __m256i words) {
    __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(words, 8), 8), odd = _mm256_srai_epi16(words, 8);
    _mm256_storeu_si256((__m256i *)out, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256((__m256i *)(out + 8 * TILE_ROWS * WORD_BYTES), _mm256_permute2x128_si256(even, odd, 0x31));
}

#include "kernels/template/product_tiles.h"

/* Vectors of a step of a panel. */
#define PANEL_VECTORS ((int)(PANEL * STEP / sizeof(bytes)))

#if defined(__AVX512BW__)

INLINE bytes even_bytes(bytes u) {
    return _mm512_and_si512(u, _mm512_set1_epi16(0xff));
}
INLINE bytes odd_bytes(bytes u) {
    return _mm512_srli_epi16(u, 8);
}
INLINE bytes multiply_pairs(bytes a, bytes b) {
    return _mm512_madd_epi16(a, b);
}

#else

INLINE bytes even_bytes(bytes u) {
    return _mm256_and_si256(u, _mm256_set1_epi16(0xff));
}
INLINE bytes odd_bytes(bytes u) {
    return _mm256_srli_epi16(u, 8);
}
INLINE bytes multiply_pairs(bytes a, bytes b) {
    return _mm256_madd_epi16(a, b);
}

#endif

/* The sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE bytes add_int32(bytes sum, bytes pairs) {
    __asm__("vpaddd %1, %0, %0" : "+v"(sum) : "v"(pairs));
    return sum;
}

INLINE void multiply_panels(const uint8_t *panel, int64_t panel_bytes, int panels, const uint8_t *left,
                            int64_t steps, tile_sums *sums) {
    bytes sum[TILE_ROWS][TILE_PANELS][PANEL_VECTORS];
    for (int i = 0; i < TILE_ROWS; i++)
        for (int j = 0; j < panels; j++)
            for (int v = 0; v < PANEL_VECTORS; v++) sum[i][j][v] = zero_bytes();
    for (int64_t s = 0; s < steps; s++, panel += PANEL * STEP, left += TILE_ROWS * WORD_BYTES) {
        bytes even[TILE_PANELS][PANEL_VECTORS], odd[TILE_PANELS][PANEL_VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < panels; j++)
#pragma GCC unroll 2
            for (int v = 0; v < PANEL_VECTORS; v++) {
                bytes u = load_vector(panel + j * panel_bytes + v * (int)sizeof(bytes));
                even[j][v] = even_bytes(u);
                odd[j][v] = odd_bytes(u);
            }
#pragma GCC unroll 4
        for (int i = 0; i < TILE_ROWS; i++) {
            bytes even_word = broadcast_word(left + i * 4), odd_word = broadcast_word(left + (TILE_ROWS + i) * 4);
#pragma GCC unroll 4
            for (int j = 0; j < panels; j++)
#pragma GCC unroll 2
                for (int v = 0; v < PANEL_VECTORS; v++) {
                    sum[i][j][v] = add_int32(sum[i][j][v], multiply_pairs(even[j][v], even_word));
                    sum[i][j][v] = add_int32(sum[i][j][v], multiply_pairs(odd[j][v], odd_word));
                }
        }
    }
    for (int i = 0; i < TILE_ROWS; i++)
        for (int j = 0; j < panels; j++) memcpy(sums->of[i][j], sum[i][j], sizeof sum[i][j]);
}

NEVER_INLINE void multiply_tile(const uint8_t *panel, int64_t panel_bytes, int64_t panels, const uint8_t *left,
                                int64_t steps, tile_sums *sums) {
    if (panels == TILE_PANELS) multiply_panels(panel, panel_bytes, TILE_PANELS, left, steps, sums);
    else
        for (int64_t j = 0; j < panels; j++) {
            tile_sums one;
            multiply_panels(panel + j * panel_bytes, 0, 1, left, steps, &one);
            for (int i = 0; i < TILE_ROWS; i++) memcpy(sums->of[i][j], one.of[i][0], sizeof one.of[i][0]);
        }
}

#endif
