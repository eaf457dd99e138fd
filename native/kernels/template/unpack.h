/*
 * unpack.h: packed codes to bytes, a block of 64 at a time, for the tier that includes it (AVX-512BW with
 * one vector a block, or AVX2 with two).
 *
 * A block comes out as unsigned bytes u = code + bias, bias = 2^(n-1); binary as u = 0 or 2, bias 1. That
 * is what the unsigned operand of the byte products wants: sum code x = sum u x - bias sum x. Byte k is
 * weight k of the block; padding comes out as 2^(n-1) (binary: 0), so its x must be 0.
 *
 * Where a tier multiplies signed bytes, it says SIGNED_PANELS 1, and panels of them hold the codes themselves.
 */
#ifndef STERNA_UNPACK_H
#define STERNA_UNPACK_H

#include "bytes.h"
#include "dispatch/grid.h"

#if !defined(SIGNED_PANELS)
#define SIGNED_PANELS 0
#endif

static inline int32_t bias_of_bits(int bits) {
    return 1 << (bits > 1 ? bits - 1 : 0);
}

static inline int32_t code_bias(int32_t grid) {
    return bias_of_bits(sterna_bits(grid));
}

typedef uint8_t byte_lanes __attribute__((vector_size(sizeof(bytes)))); /* they wrap */

/* What a panel holds of u. */
INLINE bytes panel_codes(bytes u, int bits) {
    return SIGNED_PANELS ? (bytes)((byte_lanes)u - (uint8_t)bias_of_bits(bits)) : u;
}

/* Width of a block's first plane: the highest power of two in n. */
INLINE int first_plane(int bits) {
    return bits & 8 ? 8 : bits & 4 ? 4 : bits & 2 ? 2 : 1;
}

#if defined(__AVX512BW__)

/* A plane of `width` bits: repeated up to 64 bytes, each repeat shifted to its own field. Bits above the
 * field are not cleared. */
INLINE __m512i spread_plane(const uint8_t *plane, int width) {
    if (width == 8) return _mm512_loadu_si512(plane);
    if (width == 4) {
        __m512i twice = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)plane));
        return _mm512_srlv_epi64(twice, _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4));
    }
    if (width == 2) {
        __m512i four = _mm512_broadcast_i64x2(_mm_loadu_si128((const __m128i *)plane));
        return _mm512_srlv_epi64(four, _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6));
    }
    int64_t eight;
    memcpy(&eight, plane, 8);
    return _mm512_srlv_epi64(_mm512_set1_epi64(eight), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Every bit at once at its place of value 2: rotated right by one less than its number. */
INLINE __m512i unpack_binary(const uint8_t *plane) {
    int64_t eight;
    memcpy(&eight, plane, 8);
    __m512i spread = _mm512_rorv_epi64(_mm512_set1_epi64(eight), _mm512_setr_epi64(63, 0, 1, 2, 3, 4, 5, 6));
    return _mm512_and_si512(spread, _mm512_set1_epi8(2));
}

/* `bits` is a constant where this is inlined. */
INLINE void unpack_block(const uint8_t *block, int bits, bytes out[BLOCK_VECTORS]) {
    enum { and_xor = 0x6a, or_and = 0xf8 }; /* (a & b) ^ c and a | (b & c), as tables of vpternlog */
    if (bits == 1) {
        out[0] = unpack_binary(block);
        return;
    }
    int first = first_plane(bits);
    __m512i field = _mm512_set1_epi8((char)((1 << first) - 1));
    __m512i sign = _mm512_set1_epi8((char)(1 << (first - 1)));
    __m512i u = spread_plane(block, first);
    u = bits == 8 ? _mm512_xor_si512(u, sign) : _mm512_ternarylogic_epi64(u, field, sign, and_xor);
    block += 8 * first;
    for (int width = first / 2; width > 0; width /= 2) {
        if (!(bits & width)) continue;
        __m512i low = _mm512_set1_epi8((char)((1 << width) - 1));
        u = _mm512_ternarylogic_epi64(_mm512_slli_epi64(u, width), spread_plane(block, width), low, or_and);
        block += 8 * width;
    }
    out[0] = u;
}

#else

/* Half of a plane's 64 fields, as above. */
INLINE __m256i spread_half(const uint8_t *plane, int width, int half) {
    if (width == 8) return _mm256_loadu_si256((const __m256i *)plane + half);
    if (width == 4) return _mm256_srli_epi64(_mm256_loadu_si256((const __m256i *)plane), 4 * half);
    if (width == 2) {
        __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)plane));
        return _mm256_srlv_epi64(twice, half ? _mm256_setr_epi64x(4, 4, 6, 6) : _mm256_setr_epi64x(0, 0, 2, 2));
    }
    int64_t eight;
    memcpy(&eight, plane, 8);
    return _mm256_srlv_epi64(_mm256_set1_epi64x(eight),
                             half ? _mm256_setr_epi64x(4, 5, 6, 7) : _mm256_setr_epi64x(0, 1, 2, 3));
}

INLINE __m256i unpack_half(const uint8_t *block, int bits, int half) {
    int first = first_plane(bits);
    __m256i u = spread_half(block, first, half);
    if (bits != 8) u = _mm256_and_si256(u, _mm256_set1_epi8((char)((1 << first) - 1)));
    if (bits != 1) u = _mm256_xor_si256(u, _mm256_set1_epi8((char)(1 << (first - 1))));
    block += 8 * first;
    for (int width = first / 2; width > 0; width /= 2) {
        if (!(bits & width)) continue;
        __m256i field = _mm256_and_si256(spread_half(block, width, half), _mm256_set1_epi8((char)((1 << width) - 1)));
        u = _mm256_or_si256(_mm256_slli_epi64(u, width), field);
        block += 8 * width;
    }
    return bits == 1 ? _mm256_add_epi8(u, u) : u;
}

INLINE void unpack_block(const uint8_t *block, int bits, bytes out[BLOCK_VECTORS]) {
    for (int half = 0; half < 2; half++) out[half] = unpack_half(block, bits, half);
}

#endif

#endif
