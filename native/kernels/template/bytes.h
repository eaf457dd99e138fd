/* bytes.h: the widest vector of bytes of the tier that includes it, AVX-512BW or AVX2. */
#ifndef STERNA_BYTES_H
#define STERNA_BYTES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/template/inline.h"

/* The four sums of eight int32 lanes each. */
INLINE __m128i add_lanes_of_four_256(__m256i a, __m256i b, __m256i c, __m256i d) {
    __m256i quads = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
}

#if defined(__AVX512BW__)

typedef __m512i bytes;
#define BLOCK_VECTORS 1 /* vectors in a block of 64 codes */

INLINE bytes zero_bytes(void) {
    return _mm512_setzero_si512();
}

INLINE bytes load_vector(const void *from) {
    return _mm512_loadu_si512(from);
}

/* Four bytes in every 32-bit lane. */
INLINE bytes broadcast_word(const void *from) {
    int32_t word;
    memcpy(&word, from, 4);
    return _mm512_set1_epi32(word);
}

INLINE __m256i halves_added(bytes a) {
    return _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
}

/* sums[i] = the sum of the int32 lanes of v[i]. */
INLINE void add_lanes_of_four(const bytes v[4], int32_t sums[4]) {
    _mm_storeu_si128((__m128i *)sums, add_lanes_of_four_256(halves_added(v[0]), halves_added(v[1]), halves_added(v[2]),
                                                    halves_added(v[3])));
}

#else

typedef __m256i bytes;
#define BLOCK_VECTORS 2

INLINE bytes zero_bytes(void) {
    return _mm256_setzero_si256();
}

INLINE bytes load_vector(const void *from) {
    return _mm256_loadu_si256((const __m256i *)from);
}

INLINE bytes broadcast_word(const void *from) {
    int32_t word;
    memcpy(&word, from, 4);
    return _mm256_set1_epi32(word);
}

INLINE void add_lanes_of_four(const bytes v[4], int32_t sums[4]) {
    _mm_storeu_si128((__m128i *)sums, add_lanes_of_four_256(v[0], v[1], v[2], v[3]));
}

#endif

#endif
