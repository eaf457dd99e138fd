/*
 * planes.h: the bits of LANES weights of a packed block in 32-bit lanes, and back. A block of n bits has
 * one plane for each power of two in n; weights whose fields share a byte lie 8 * width apart, so LANES
 * neighbours take one load, one shift and one mask a plane. `bits` and `first` are constants at every call.
 */
#ifndef STERNA_PLANES_H
#define STERNA_PLANES_H

#include "kernels/template/lanes.h"

/* A plane of one bit is 8 bytes: under 16 lanes it holds two fields for each byte. */
#define TWO_FIELDS(width) (8 * (width) < LANES)

INLINE vint plane_bytes(const uint8_t *plane, int width, int first) {
#if LANES == 16
    if (TWO_FIELDS(width)) {
        int64_t bytes;
        memcpy(&bytes, plane, 8);
        return (vint)_mm512_cvtepu8_epi32(_mm_set1_epi64x(bytes));
    }
#endif
    return load_bytes(plane + first % (8 * width), LANES);
}

/* Where the field of each of the weights first, first + 1, ... begins in its byte. */
INLINE vint plane_shifts(int width, int first) {
    vint shift = splat_int(first / (8 * width) * width);
    return TWO_FIELDS(width) ? shift + (lane_numbers() >> 3) : shift;
}

/* The n bits of weights first...first + LANES - 1. */
INLINE vint unpack_bits(const uint8_t *block, int bits, int first) {
    vint code = splat_int(0);
#pragma GCC unroll 4
    for (int width = 8; width > 0; width /= 2) {
        if (!(bits & width)) continue;
        vint fields = plane_bytes(block, width, first) >> plane_shifts(width, first);
        code = code << width | (width == 8 ? fields : fields & splat_int((1 << width) - 1));
        block += 8 * width;
    }
    return code;
}

/* The codes that bits stand for. */
INLINE vint codes_of_bits(vint x, int bits) {
    if (bits == 1) return x + x - splat_int(1);
    return x << (32 - bits) >> (32 - bits);
}

/* Planes under construction: planes[p] holds the bytes of the plane of width 8 >> p, LANES a vector. */
typedef struct packed_planes {
    vint planes[4][VECTORS];
} packed_planes;

INLINE void add_bits(packed_planes *p, int bits, int first, vint x) {
    int below = bits;
#pragma GCC unroll 4
    for (int plane = 0; plane < 4; plane++) {
        int width = 8 >> plane, slot = first % (8 * width) / LANES;
        if (!(bits & width)) continue;
        below -= width;
        vint shifts = plane_shifts(width, first), mask = splat_int((1 << width) - 1) << shifts;
        vint fields = x >> below << shifts;
        p->planes[plane][slot] = first / LANES == slot ? fields & mask : or_and(p->planes[plane][slot], fields, mask);
    }
}

INLINE void store_plane(uint8_t *plane, int width, const vint *bytes) {
#if LANES == 16
    if (TWO_FIELDS(width)) {
        __m128i twice = _mm512_cvtepi32_epi8((__m512i)bytes[0]);
        _mm_storel_epi64((__m128i *)plane, _mm_or_si128(twice, _mm_srli_si128(twice, 8)));
        return;
    }
#endif
#pragma GCC unroll 8
    for (int slot = 0; slot < 8 * width / LANES; slot++) store_bytes(plane + slot * LANES, bytes[slot], LANES);
}

INLINE void store_planes(uint8_t *block, int bits, const packed_planes *p) {
#pragma GCC unroll 4
    for (int plane = 0; plane < 4; plane++) {
        int width = 8 >> plane;
        if (!(bits & width)) continue;
        store_plane(block, width, p->planes[plane]);
        block += 8 * width;
    }
}

/* -1 in lanes before n, 0 in the others. */
INLINE vint lanes_before(int n) {
    return lane_numbers() < splat_int(n);
}

#endif
