/* gradient.c: the products of int8 gradients by vpdpbusd. */
#include "dispatch/families.h"

#define TILE_ROWS 8
#define TILE_PANELS 3
#define WORD_BYTES 4

#include <immintrin.h>

static inline void store_words(void *out, __m256i words) {
    _mm256_storeu_si256((__m256i *)out, words);
}

#include "kernels/template/product_tiles.h"

#define PREFETCH 1024 /* bytes of a panel ahead: it comes from L2 */

/* As _mm512_dpbusd_epi32, but the sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE bytes dot(bytes sum, bytes u, bytes left) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(left));
    return sum;
}

/* 24 sums, 3 panels and a word of left take 28 of 32 registers; 11 loads feed 24 products. */
INLINE void multiply_panels(const uint8_t *panel, int64_t panel_bytes, int panels, const uint8_t *left,
                            int64_t steps, tile_sums *sums) {
    bytes sum[TILE_ROWS][TILE_PANELS], u[TILE_PANELS];
    for (int i = 0; i < TILE_ROWS; i++)
        for (int j = 0; j < panels; j++) sum[i][j] = zero_bytes();
    for (int64_t s = 0; s < steps; s++, panel += PANEL * STEP, left += TILE_ROWS * WORD_BYTES) {
#pragma GCC unroll 3
        for (int j = 0; j < panels; j++) {
            u[j] = load_vector(panel + j * panel_bytes);
            __builtin_prefetch(panel + j * panel_bytes + PREFETCH);
        }
#pragma GCC unroll 8
        for (int i = 0; i < TILE_ROWS; i++) {
            bytes word = broadcast_word(left + i * WORD_BYTES);
#pragma GCC unroll 3
            for (int j = 0; j < panels; j++) sum[i][j] = dot(sum[i][j], u[j], word);
        }
    }
    for (int i = 0; i < TILE_ROWS; i++)
        for (int j = 0; j < panels; j++) memcpy(sums->of[i][j], &sum[i][j], sizeof(bytes));
}

NEVER_INLINE void multiply_tile(const uint8_t *panel, int64_t panel_bytes, int64_t panels, const uint8_t *left,
                                int64_t steps, tile_sums *sums) {
    if (panels == 1) multiply_panels(panel, panel_bytes, 1, left, steps, sums);
    else if (panels == 2) multiply_panels(panel, panel_bytes, 2, left, steps, sums);
    else multiply_panels(panel, panel_bytes, 3, left, steps, sums);
}

void sterna_avx512vnni_gradient(sterna_table *t) {
    t->input_gradient_int8 = input_gradient_int8;
    t->weight_gradient_int8 = weight_gradient_int8;
}
