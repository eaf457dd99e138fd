/*
 * panel.h: sixteen packed rows as a panel of bytes u (unpack.h), interleaved by fours for byte products:
 *
 *   out[step][16 rows][4]   bytes 4 step...4 step + 3 of every row; 16 steps a block of 64
 *
 * `rows` are the sixteen rows' first bytes; `bits` is the grid's.
 */
#ifndef STERNA_PANEL_H
#define STERNA_PANEL_H

#include "unpack.h"

#define PANEL 16 /* rows */
#define STEP 4   /* columns */
#define BLOCK_STEPS (STERNA_BLOCK / STEP)

#if defined(__AVX512BW__)

typedef uint32_t words __attribute__((vector_size(64)));

/* Bytes at...at+15 of every row: lane n of out[i] is dword i of row n. */
ALWAYS_INLINE void gather_quads(const uint8_t *const rows[PANEL], int64_t at, words out[4]) {
    __m512i v[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(rows[i] + at)));
        v[i] = _mm512_inserti32x4(v[i], _mm_loadu_si128((const __m128i *)(rows[i + 4] + at)), 1);
        v[i] = _mm512_inserti32x4(v[i], _mm_loadu_si128((const __m128i *)(rows[i + 8] + at)), 2);
        v[i] = _mm512_inserti32x4(v[i], _mm_loadu_si128((const __m128i *)(rows[i + 12] + at)), 3);
    }
    __m512i low01 = _mm512_unpacklo_epi32(v[0], v[1]), high01 = _mm512_unpackhi_epi32(v[0], v[1]);
    __m512i low23 = _mm512_unpacklo_epi32(v[2], v[3]), high23 = _mm512_unpackhi_epi32(v[2], v[3]);
    out[0] = (words)_mm512_unpacklo_epi64(low01, low23);
    out[1] = (words)_mm512_unpackhi_epi64(low01, low23);
    out[2] = (words)_mm512_unpacklo_epi64(high01, high23);
    out[3] = (words)_mm512_unpackhi_epi64(high01, high23);
}

/* The 2 * width dwords of a plane, across the rows. */
ALWAYS_INLINE void gather_plane(const uint8_t *const rows[PANEL], int64_t at, int width, words *out) {
    if (width == 1) {
        int32_t pairs[2][PANEL];
        for (int r = 0; r < PANEL; r++) {
            memcpy(&pairs[0][r], rows[r] + at, 4);
            memcpy(&pairs[1][r], rows[r] + at + 4, 4);
        }
        out[0] = (words)load_vector(pairs[0]);
        out[1] = (words)load_vector(pairs[1]);
    } else {
        int quads = width / 2;
#pragma GCC unroll 4
        for (int i = 0; i < quads; i++) gather_quads(rows, at + 16 * i, out + 4 * i);
    }
}

/* One block. Field f of dword d of a plane of `width` bits belongs to step 2 width f + d: what is
 * interleaved are the packed dwords, a few, and not the bytes that they become. */
ALWAYS_INLINE void unpack_panel_block(const uint8_t *const rows[PANEL], int64_t at, int bits, uint8_t *out) {
    enum { and_xor = 0x6a, or_and = 0xf8 }; /* (a & b) ^ c and a | (b & c), as tables of vpternlog */
    int first = first_plane(bits), above = first; /* widths of planes */
    __m512i sign = _mm512_set1_epi8((char)(bits == 1 ? 0 : 1 << (first - 1)));
    __m512i u[BLOCK_STEPS];
    words plane[BLOCK_STEPS];
    gather_plane(rows, at, first, plane);
    __m512i field = _mm512_set1_epi8((char)((1 << first) - 1));
#pragma GCC unroll 16
    for (int s = 0; s < BLOCK_STEPS; s++) {
        words shifted = plane[s % (2 * first)] >> (first * (s / (2 * first)));
        u[s] = _mm512_ternarylogic_epi64((__m512i)shifted, field, sign, and_xor);
    }
#pragma GCC unroll 4
    for (int width = first / 2; width > 0; width /= 2) {
        if (!(bits & width)) continue;
        at += 8 * above;
        above = width;
        gather_plane(rows, at, width, plane);
        __m512i low = _mm512_set1_epi8((char)((1 << width) - 1));
#pragma GCC unroll 16
        for (int s = 0; s < BLOCK_STEPS; s++) {
            words shifted = plane[s % (2 * width)] >> (width * (s / (2 * width)));
            u[s] = _mm512_ternarylogic_epi64((__m512i)((words)u[s] << width), (__m512i)shifted, low, or_and);
        }
    }
#pragma GCC unroll 16
    for (int s = 0; s < BLOCK_STEPS; s++) {
        __m512i bytes4 = bits == 1 ? _mm512_add_epi8(u[s], u[s]) : u[s];
        _mm512_store_si512(out + s * PANEL * STEP, bytes4);
    }
}

#else

#include "transpose.h"

ALWAYS_INLINE void unpack_panel_block(const uint8_t *const rows[PANEL], int64_t at, int bits, uint8_t *out) {
    for (int r = 0; r < PANEL; r += 8) {
        bytes u[8][BLOCK_VECTORS];
        for (int i = 0; i < 8; i++) unpack_block(rows[r + i] + at, bits, u[i]);
        for (int half = 0; half < 2; half++) {
            __m256i words[8];
            for (int i = 0; i < 8; i++) words[i] = u[i][half];
            transpose_8x8(words);
            for (int i = 0; i < 8; i++)
                _mm256_store_si256((__m256i *)(out + (8 * half + i) * PANEL * STEP + r * STEP), words[i]);
        }
    }
}

#endif

ALWAYS_INLINE void unpack_blocks(const uint8_t *const rows[PANEL], int64_t blocks, int bits, uint8_t *out) {
    for (int64_t b = 0; b < blocks; b++)
        unpack_panel_block(rows, b * 8 * bits, bits, out + b * PANEL * STERNA_BLOCK);
}

NEVER_INLINE void unpack_panel(const uint8_t *const rows[PANEL], int64_t blocks, int bits, uint8_t *out) {
    switch (bits) {
    case 1: unpack_blocks(rows, blocks, 1, out); break;
    case 2: unpack_blocks(rows, blocks, 2, out); break;
    case 3: unpack_blocks(rows, blocks, 3, out); break;
    case 4: unpack_blocks(rows, blocks, 4, out); break;
    case 5: unpack_blocks(rows, blocks, 5, out); break;
    case 6: unpack_blocks(rows, blocks, 6, out); break;
    case 7: unpack_blocks(rows, blocks, 7, out); break;
    default: unpack_blocks(rows, blocks, 8, out); break;
    }
}

#endif
