/*
 * linear_pairs.h: sterna_linear on AVX2 and on AVX-512 without VNNI, from vpmaddubsw: products of unsigned by
 * signed bytes, added in pairs to int16 with saturation. Include it once, after defining TILE_TOKENS and
 * TILE_PANELS of linear.h; it gives `linear`.
 *
 * A pair never saturates: |u0 x0 + u1 x1| <= 2 * 127 * u, which is 32,258 for u = 127 (7 bits). 8-bit codes
 * go as |code| times x with the code's sign, at most 2 * 127 * 128 = 32,512; or as 7 bits, where the pairs of x
 * are small (linear_large.h). Narrow codes leave room to add
 * several pairs in int16 before they are widened, a run of 32,767 / (254 u) steps: 43 for ternary (u <= 3).
 */
#ifndef STERNA_LINEAR_PAIRS_H
#define STERNA_LINEAR_PAIRS_H

#define GEMV_TOKENS 2
#define GEMV_MAX_TOKENS 8
#define DOT_SIGNED_8 1

#include "bytes.h"

#if defined(__AVX512BW__)

ALWAYS_INLINE bytes multiply_pairs(bytes u, bytes x) {
    return _mm512_maddubs_epi16(u, x);
}
ALWAYS_INLINE bytes add_widened(bytes sum, bytes pairs) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
/* |code| times x with the sign of code, in pairs; u = code + 128. */
ALWAYS_INLINE bytes multiply_signed_pairs(bytes u, bytes x) {
    bytes code = _mm512_xor_si512(u, _mm512_set1_epi8(-128));
    __mmask64 negative = _mm512_movepi8_mask(code);
    return _mm512_maddubs_epi16(_mm512_abs_epi8(code), _mm512_mask_sub_epi8(x, negative, _mm512_setzero_si512(), x));
}

#else

ALWAYS_INLINE bytes multiply_pairs(bytes u, bytes x) {
    return _mm256_maddubs_epi16(u, x);
}
ALWAYS_INLINE bytes add_widened(bytes sum, bytes pairs) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
ALWAYS_INLINE bytes multiply_signed_pairs(bytes u, bytes x) {
    bytes code = _mm256_xor_si256(u, _mm256_set1_epi8(-128));
    return _mm256_maddubs_epi16(_mm256_abs_epi8(code), _mm256_sign_epi8(x, code));
}

#endif

/* The sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
ALWAYS_INLINE bytes add_int16(bytes sum, bytes pairs) {
    __asm__("vpaddw %1, %0, %0" : "+v"(sum) : "v"(pairs));
    return sum;
}

ALWAYS_INLINE bytes dot(bytes sum, bytes u, bytes x, int bits) {
    return add_widened(sum, bits == 8 ? multiply_signed_pairs(u, x) : multiply_pairs(u, x));
}

#include "linear.h"

/* Vectors of a step of a panel. */
#define PANEL_VECTORS ((int)(PANEL * STEP / sizeof(bytes)))

typedef bytes tile_registers[TILE_TOKENS][TILE_PANELS][PANEL_VECTORS];

/* One step: sum = sum + product, by `dot` (bits 7 or 8), or in int16 (bits 0). */
ALWAYS_INLINE void multiply_step(tile_registers sum, const uint8_t *panel, int64_t panel_bytes, int panels,
                                 const int8_t *x, int bits) {
    bytes u[TILE_PANELS][PANEL_VECTORS];
#pragma GCC unroll 8
    for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
        for (int v = 0; v < PANEL_VECTORS; v++)
            u[p][v] = load_vector(panel + p * panel_bytes + v * (int)sizeof(bytes));
#pragma GCC unroll 8
    for (int t = 0; t < TILE_TOKENS; t++) {
        bytes word = broadcast_word(x + t * STEP);
#pragma GCC unroll 8
        for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
            for (int v = 0; v < PANEL_VECTORS; v++)
                sum[t][p][v] = bits ? dot(sum[t][p][v], u[p][v], word, bits)
                                    : add_int16(sum[t][p][v], multiply_pairs(u[p][v], word));
    }
}

ALWAYS_INLINE void clear(tile_registers sum, int panels) {
#pragma GCC unroll 8
    for (int t = 0; t < TILE_TOKENS; t++)
#pragma GCC unroll 8
        for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
            for (int v = 0; v < PANEL_VECTORS; v++) sum[t][p][v] = zero_bytes();
}

/* `run` steps at a time in int16, then widened and added to the sums in L1. */
ALWAYS_INLINE void multiply_runs(const uint8_t *panel, int64_t panel_bytes, int panels, const int8_t *x,
                                 int64_t steps, int64_t run, tile_sums *sums) {
    memset(sums, 0, sizeof *sums);
    for (int64_t s = 0; s < steps; s += run) {
        tile_registers sum;
        clear(sum, panels);
        for (int64_t i = s; i < least(s + run, steps); i++)
            multiply_step(sum, panel + i * PANEL * STEP, panel_bytes, panels, x + i * TOKENS * STEP, 0);
#pragma GCC unroll 8
        for (int t = 0; t < TILE_TOKENS; t++)
#pragma GCC unroll 8
            for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
                for (int v = 0; v < PANEL_VECTORS; v++) {
                    int32_t *at = sums->of[t][p] + v * PANEL / PANEL_VECTORS;
                    bytes total = add_widened(load_vector(at), sum[t][p][v]);
                    memcpy(at, &total, sizeof total);
                }
    }
}

/* In int32 all the way. */
ALWAYS_INLINE void multiply_wide(const uint8_t *panel, int64_t panel_bytes, int panels, const int8_t *x,
                                 int64_t steps, int bits, tile_sums *sums) {
    tile_registers sum;
    clear(sum, panels);
    for (int64_t s = 0; s < steps; s++)
        multiply_step(sum, panel + s * PANEL * STEP, panel_bytes, panels, x + s * TOKENS * STEP, bits);
    for (int t = 0; t < TILE_TOKENS; t++)
        for (int p = 0; p < panels; p++) memcpy(sums->of[t][p], sum[t][p], sizeof sum[t][p]);
}

ALWAYS_INLINE void multiply_panels(const uint8_t *panel, int64_t panel_bytes, int panels, const int8_t *x,
                                   int64_t steps, int bits, tile_sums *sums) {
    int64_t run = 32767 / (2 * 127 * (bits == 1 ? 2 : (1 << bits) - 1));
    if (bits == 8) multiply_wide(panel, panel_bytes, panels, x, steps, 8, sums);
    else if (run < 8) multiply_wide(panel, panel_bytes, panels, x, steps, 7, sums);
    else multiply_runs(panel, panel_bytes, panels, x, steps, run, sums);
}

NEVER_INLINE void multiply_tile(const uint8_t *panel, int64_t panel_bytes, int64_t panels, const int8_t *x,
                                int64_t steps, int bits, tile_sums *sums) {
    if (panels == TILE_PANELS) multiply_panels(panel, panel_bytes, TILE_PANELS, x, steps, bits, sums);
    else multiply_panels(panel, panel_bytes, 1, x, steps, bits, sums);
}

#endif
