/* sizes.h: arithmetic of sizes and positions. */
#ifndef STERNA_SIZES_H
#define STERNA_SIZES_H

#include <stdint.h>

#include "kernels/template/inline.h"

INLINE int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

INLINE int64_t clamp(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}

INLINE int64_t round_up(int64_t x, int64_t unit) {
    return (x + unit - 1) / unit * unit;
}

#endif
