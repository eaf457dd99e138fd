/* join.h: floats rounded to pairs of bf16, a pair in every 32-bit lane. */
#ifndef STERNA_AMX_JOIN_H
#define STERNA_AMX_JOIN_H

#include "kernels/template/lanes.h"

/* x's 16, then y's. */
INLINE vuint join_along(vfloat x, vfloat y) {
    return (vuint)_mm512_cvtne2ps_pbh((__m512)y, (__m512)x);
}

/* The 16-bit lanes of the lower and of the upper half, by turns. */
INLINE __m512i by_turns(__m512i x) {
    const vuint turns = {0x00100000, 0x00110001, 0x00120002, 0x00130003, 0x00140004, 0x00150005,
                         0x00160006, 0x00170007, 0x00180008, 0x00190009, 0x001a000a, 0x001b000b,
                         0x001c000c, 0x001d000d, 0x001e000e, 0x001f000f};
    return _mm512_permutexvar_epi16((__m512i)turns, x);
}

/* Those of x and y by turns. */
INLINE vuint join_across(vfloat x, vfloat y) {
    return (vuint)by_turns((__m512i)join_along(x, y));
}

#endif
