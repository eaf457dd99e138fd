/*
 * panel.h: sixteen packed rows as a panel of bytes u, or codes (unpack.h), interleaved by fours for byte products:
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

/* A dword of as many rows as a register holds. */
typedef uint32_t words __attribute__((vector_size(sizeof(bytes))));
#define WORD_ROWS ((int)(sizeof(words) / 4))

/* Bytes at...at+15 of two or four rows that are four apart. */
INLINE bytes load_quads(const uint8_t *const *rows, int64_t at) {
    __m128i v[WORD_ROWS / 4];
    for (int i = 0; i < WORD_ROWS / 4; i++) v[i] = _mm_loadu_si128((const __m128i *)(rows[4 * i] + at));
#if defined(__AVX512BW__)
    __m512i low = _mm512_inserti32x4(_mm512_castsi128_si512(v[0]), v[1], 1);
    return _mm512_inserti32x4(_mm512_inserti32x4(low, v[2], 2), v[3], 3);
#else
    return _mm256_inserti128_si256(_mm256_castsi128_si256(v[0]), v[1], 1);
#endif
}

#if defined(__AVX512BW__)
#define UNPACK(half, width, a, b) _mm512_unpack##half##_epi##width(a, b)
#else
#define UNPACK(half, width, a, b) _mm256_unpack##half##_epi##width(a, b)
#endif

/* Bytes at...at+15 of every row: lane n of out[i] is dword i of row n. */
INLINE void gather_quads(const uint8_t *const *rows, int64_t at, words out[4]) {
    bytes v[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) v[i] = load_quads(rows + i, at);
    bytes low01 = UNPACK(lo, 32, v[0], v[1]), high01 = UNPACK(hi, 32, v[0], v[1]);
    bytes low23 = UNPACK(lo, 32, v[2], v[3]), high23 = UNPACK(hi, 32, v[2], v[3]);
    out[0] = (words)UNPACK(lo, 64, low01, low23);
    out[1] = (words)UNPACK(hi, 64, low01, low23);
    out[2] = (words)UNPACK(lo, 64, high01, high23);
    out[3] = (words)UNPACK(hi, 64, high01, high23);
}

#undef UNPACK

/* The 2 * width dwords of a plane, across the rows. */
INLINE void gather_plane(const uint8_t *const *rows, int64_t at, int width, words *out) {
    if (width == 1) {
        uint32_t pairs[2][WORD_ROWS];
        for (int r = 0; r < WORD_ROWS; r++) {
            memcpy(&pairs[0][r], rows[r] + at, 4);
            memcpy(&pairs[1][r], rows[r] + at + 4, 4);
        }
        memcpy(out, pairs, sizeof pairs);
    } else {
#pragma GCC unroll 4
        for (int i = 0; i < width / 2; i++) gather_quads(rows, at + 16 * i, out + 4 * i);
    }
}

/* Step s of a plane. Field f of dword d of a plane of `width` bits belongs to step 2 width f + d; bits of other
 * fields stay above it. */
INLINE words fields_of_step(const words *plane, int width, int s) {
    return plane[s % (2 * width)] >> (width * (s / (2 * width)));
}

INLINE words every_byte(int byte) {
    return (words){0} + 0x01010101u * (uint32_t)byte;
}

/* One block of WORD_ROWS rows. What is interleaved are the packed dwords, a few, and not the bytes that they become;
 * the sign of every field is turned there too. */
INLINE void unpack_panel_block(const uint8_t *const *rows, int64_t at, int bits, uint8_t *out) {
    int first = first_plane(bits), plane_of[9] = {0}, count = 0;
    words plane[BLOCK_STEPS];
#pragma GCC unroll 4
    for (int width = first; width > 0; width /= 2) {
        if (!(bits & width)) continue;
        plane_of[width] = count;
        gather_plane(rows, at, width, plane + count);
        count += 2 * width;
        at += 8 * width;
    }
    int sign = bits == 1 ? 0 : 0x80 | (first <= 4 ? 0x08 : 0) | (first <= 2 ? 0x22 : 0);
#pragma GCC unroll 16
    for (int d = 0; d < 2 * first; d++) plane[d] ^= every_byte(sign);
#pragma GCC unroll 16
    for (int s = 0; s < BLOCK_STEPS; s++) {
        words u = fields_of_step(plane, first, s) & every_byte((1 << first) - 1);
#pragma GCC unroll 4
        for (int width = first / 2; width > 0; width /= 2)
            if (bits & width)
                u = u << width | (fields_of_step(plane + plane_of[width], width, s) & every_byte((1 << width) - 1));
        if (bits == 1) u += u;
        bytes codes = panel_codes((bytes)u, bits);
        memcpy(out + s * PANEL * STEP, &codes, sizeof codes);
    }
}

/* Blocks begin...end-1 of the rows. As many bytes as are read are fetched of those from `next` on. */
INLINE void unpack_blocks(const uint8_t *const rows[PANEL], int64_t begin, int64_t end, int bits, const uint8_t *next,
                          uint8_t *out) {
    for (int64_t b = begin; b < end; b++) {
#pragma GCC unroll 16
        for (int line = 0; line < PANEL * 8 * bits; line += 64)
            __builtin_prefetch(next + b * PANEL * 8 * bits + line, 0, 2);
        for (int r = 0; r < PANEL; r += WORD_ROWS)
            unpack_panel_block(rows + r, b * 8 * bits, bits, out + b * PANEL * STERNA_BLOCK + r * STEP);
    }
}

NEVER_INLINE void unpack_panel(const uint8_t *const rows[PANEL], int64_t begin, int64_t end, int bits,
                               const uint8_t *next, uint8_t *out) {
    switch (bits) {
    case 1: unpack_blocks(rows, begin, end, 1, next, out); break;
    case 2: unpack_blocks(rows, begin, end, 2, next, out); break;
    case 3: unpack_blocks(rows, begin, end, 3, next, out); break;
    case 4: unpack_blocks(rows, begin, end, 4, next, out); break;
    case 5: unpack_blocks(rows, begin, end, 5, next, out); break;
    case 6: unpack_blocks(rows, begin, end, 6, next, out); break;
    case 7: unpack_blocks(rows, begin, end, 7, next, out); break;
    default: unpack_blocks(rows, begin, end, 8, next, out); break;
    }
}

#endif
