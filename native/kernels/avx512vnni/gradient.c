/* gradient.c: the products of int8 gradients by vpdpbusd. */
#include "dispatch/families.h"
#include "kernels/avx512vnni/byte_tile.h"

#define TILE_ROWS BYTE_TILE_ROWS
#define TILE_PANELS BYTE_TILE_PANELS
#define WORD_BYTES 4

#include <immintrin.h>

static inline void store_words(void *out, __m256i words) {
    _mm256_storeu_si256((__m256i *)out, words);
}

#include "kernels/template/product_tiles.h"

NEVER_INLINE void multiply_tile(const uint8_t *panel, int64_t panel_bytes, int64_t panels, const uint8_t *left,
                                int64_t steps, tile_sums *sums) {
    multiply_byte_tile(panel, panel_bytes, panels, left, steps, 0, sums->of);
}

void sterna_avx512vnni_gradient(sterna_table *t) {
    t->input_gradient_int8 = input_gradient_int8;
    t->weight_gradient_int8 = weight_gradient_int8;
}
