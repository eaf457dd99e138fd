/* square.h: a square of LANES by LANES 32-bit lanes, transposed in registers. */
#ifndef STERNA_SQUARE_H
#define STERNA_SQUARE_H

#include "kernels/template/lanes.h"

#if LANES == 16

INLINE vuint low_pairs(vuint a, vuint b) {
    return (vuint)_mm512_unpacklo_epi32((__m512i)a, (__m512i)b);
}
INLINE vuint high_pairs(vuint a, vuint b) {
    return (vuint)_mm512_unpackhi_epi32((__m512i)a, (__m512i)b);
}
/* Quarters 0 and 2 of a, then of b; and quarters 1 and 3. */
INLINE vuint even_quarters(vuint a, vuint b) {
    return (vuint)_mm512_shuffle_i32x4((__m512i)a, (__m512i)b, 0x88);
}
INLINE vuint odd_quarters(vuint a, vuint b) {
    return (vuint)_mm512_shuffle_i32x4((__m512i)a, (__m512i)b, 0xdd);
}

#else

INLINE vuint low_pairs(vuint a, vuint b) {
    return (vuint)_mm256_unpacklo_epi32((__m256i)a, (__m256i)b);
}
INLINE vuint high_pairs(vuint a, vuint b) {
    return (vuint)_mm256_unpackhi_epi32((__m256i)a, (__m256i)b);
}
INLINE vuint low_halves(vuint a, vuint b) {
    return (vuint)_mm256_permute2x128_si256((__m256i)a, (__m256i)b, 0x20);
}
INLINE vuint high_halves(vuint a, vuint b) {
    return (vuint)_mm256_permute2x128_si256((__m256i)a, (__m256i)b, 0x31);
}

#endif

/* Four rows: in every run of 4 lanes, a 4 by 4 square. */
INLINE void transpose_fours(vuint v[4]) {
    vlong a = (vlong)low_pairs(v[0], v[1]), b = (vlong)high_pairs(v[0], v[1]);
    vlong c = (vlong)low_pairs(v[2], v[3]), d = (vlong)high_pairs(v[2], v[3]);
    v[0] = (vuint)unpack_low(a, c);
    v[1] = (vuint)unpack_high(a, c);
    v[2] = (vuint)unpack_low(b, d);
    v[3] = (vuint)unpack_high(b, d);
}

/* Lane j of v[i] becomes lane i of v[j]: first within runs of 4 lanes, then the runs among each other. */
INLINE void transpose_lanes(vuint v[LANES]) {
    for (int i = 0; i < LANES; i += 4) transpose_fours(v + i);
    for (int c = 0; c < 4; c++) { /* v[4 g + c] holds columns c, c + 4, ... of rows 4 g...4 g + 3 */
#if LANES == 16
        vuint even_top = even_quarters(v[c], v[4 + c]), odd_top = odd_quarters(v[c], v[4 + c]);
        vuint even_low = even_quarters(v[8 + c], v[12 + c]), odd_low = odd_quarters(v[8 + c], v[12 + c]);
        v[c] = even_quarters(even_top, even_low);
        v[4 + c] = even_quarters(odd_top, odd_low);
        v[8 + c] = odd_quarters(even_top, even_low);
        v[12 + c] = odd_quarters(odd_top, odd_low);
#else
        vuint low = low_halves(v[c], v[4 + c]), high = high_halves(v[c], v[4 + c]);
        v[c] = low;
        v[4 + c] = high;
#endif
    }
}

#endif
