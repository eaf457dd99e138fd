/* transpose.h: an 8 x 8 transpose of 32-bit words, for tiers from AVX2 up. */
#ifndef STERNA_TRANSPOSE_H
#define STERNA_TRANSPOSE_H

#include <immintrin.h>

#include "kernels/template/inline.h"

/* r[i] word j becomes r[j] word i. */
INLINE void transpose_8x8(__m256i r[8]) {
    __m256i pairs[8], quads[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            quads[i + 2 * j] = _mm256_unpacklo_epi64(pairs[i + j], pairs[i + j + 2]);
            quads[i + 2 * j + 1] = _mm256_unpackhi_epi64(pairs[i + j], pairs[i + j + 2]);
        }
    for (int j = 0; j < 4; j++) {
        r[j] = _mm256_permute2x128_si256(quads[j], quads[j + 4], 0x20);
        r[j + 4] = _mm256_permute2x128_si256(quads[j], quads[j + 4], 0x31);
    }
}

#endif
