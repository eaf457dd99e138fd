/*
 * linear_pairs.h: sterna_linear on AVX2 and on AVX-512 without VNNI, from vpmaddubsw: products of unsigned by
 * signed bytes, added in pairs to int16 with saturation. Include it once, after defining TILE_TOKENS and
 * TILE_PANELS of linear.h; it gives `linear`.
 *
 * A pair never saturates: |u0 x0 + u1 x1| <= 2 * 127 * u, which is 32,258 for u = 127 (7 bits). 8-bit codes
 * go as |code| times x with the code's sign, at most 2 * 127 * 128 = 32,512; or as 7 bits, where the pairs of x
 * are small (linear_large.h). Narrower codes leave room to add several pairs in int16 before they are widened
 * (linear_runs.h).
 */
#ifndef STERNA_LINEAR_PAIRS_H
#define STERNA_LINEAR_PAIRS_H

#define GEMV_TOKENS 2
#define TAKES_LINES(bits) ((bits) == 2)
#define DOT_SIGNED_8 1
/* Runs of 4 bits are too short to gain. */
#define NARROW_BLOCKS(bits) ((bits) <= 3 ? 32767 / (2 * 127 * largest_u(bits)) / BLOCK_VECTORS : 0)

#include <stddef.h>

#include "bytes.h"

#if defined(__AVX512BW__)

INLINE bytes multiply_pairs(bytes u, bytes x) {
    return _mm512_maddubs_epi16(u, x);
}
INLINE bytes add_widened(bytes sum, bytes pairs) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
INLINE bytes add_int32(bytes a, bytes b) {
    return _mm512_add_epi32(a, b);
}
/* |code| times x with the sign of code, in pairs; u = code + 128. */
INLINE bytes multiply_signed_pairs(bytes u, bytes x) {
    bytes code = _mm512_xor_si512(u, _mm512_set1_epi8(-128));
    __mmask64 negative = _mm512_movepi8_mask(code);
    return _mm512_maddubs_epi16(_mm512_abs_epi8(code), _mm512_mask_sub_epi8(x, negative, _mm512_setzero_si512(), x));
}

#else

INLINE bytes multiply_pairs(bytes u, bytes x) {
    return _mm256_maddubs_epi16(u, x);
}
INLINE bytes add_widened(bytes sum, bytes pairs) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
INLINE bytes add_int32(bytes a, bytes b) {
    return _mm256_add_epi32(a, b);
}
INLINE bytes multiply_signed_pairs(bytes u, bytes x) {
    bytes code = _mm256_xor_si256(u, _mm256_set1_epi8(-128));
    return _mm256_maddubs_epi16(_mm256_abs_epi8(code), _mm256_sign_epi8(x, code));
}

#endif

/* The sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE bytes add_int16(bytes sum, bytes pairs) {
    __asm__("vpaddw %1, %0, %0" : "+v"(sum) : "v"(pairs));
    return sum;
}

INLINE bytes dot(bytes sum, bytes u, bytes x, int bits) {
    if (bits == 0) return add_int16(sum, multiply_pairs(u, x));
    return add_widened(sum, bits == 8 ? multiply_signed_pairs(u, x) : multiply_pairs(u, x));
}

/* Largest u of codes of so many bits. */
INLINE int32_t largest_u(int bits) {
    return bits == 1 ? 2 : (1 << bits) - 1;
}

INLINE bytes widen(bytes pairs) {
    return add_widened(zero_bytes(), pairs);
}

#include "linear.h"
#include "linear_large.h"
#include "linear_runs.h"

/* ---------------------------------------------------------------- tokens */

/* How eight tokens are multiplied. */
typedef struct kept_tokens {
    int mode;  /* 0: in int16, whose runs end at `ends`; 7 or 8: in int32, by `dot` with codes of so many bits */
    int large; /* `words` are multiplied apart */
    union {
        int32_t ends[STERNA_MAX_COLS / STEP / RUN_STEPS];
        large_words words;
    };
} kept_tokens;

static int64_t kept_bytes(const linear_call *c) {
    int64_t steps = c->blocks * BLOCK_STEPS, ends = steps / RUN_STEPS * (int64_t)sizeof(int32_t);
    return (int64_t)offsetof(kept_tokens, ends) + (c->bits == 8 ? large_bytes(steps) : ends);
}

static void prepare_tokens(const linear_call *c, token_block *b) {
    kept_tokens *k = b->kept;
    int64_t steps = c->blocks * BLOCK_STEPS;
    int32_t (*x)[TOKENS] = (int32_t (*)[TOKENS])b->x;
    k->large = c->bits == 8 && take_large(&k->words, steps, x);
    k->mode = c->bits == 8 && !k->large ? 8 : c->bits < 7 && find_runs(x, steps, c->bits, k->ends) ? 0 : 7;
    b->bias = k->mode == 8 ? 0 : code_bias(c->w->grid);
}

/* Vectors of a step of a panel. */
#define PANEL_VECTORS ((int)(PANEL * STEP / sizeof(bytes)))

/* sums (16 rows) += the products of words first...last-1 with the steps of a panel whose first is `step`. */
INLINE void add_words(const large_word *first, const large_word *last, const uint8_t *panel, int64_t step, int32_t *sums) {
    enum { INT32S = sizeof(bytes) / sizeof(int32_t) };
    bytes sum[PANEL_VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < PANEL_VECTORS; v++) sum[v] = load_vector(sums + v * INT32S);
    for (; first < last; first++) {
        bytes x = broadcast_word(&first->x);
        const uint8_t *u = panel + (first->step - step) * PANEL * STEP;
#pragma GCC unroll 8
        for (int v = 0; v < PANEL_VECTORS; v++) sum[v] = dot(sum[v], load_vector(u + v * (int)sizeof(bytes)), x, 7);
    }
#pragma GCC unroll 8
    for (int v = 0; v < PANEL_VECTORS; v++) memcpy(sums + v * INT32S, &sum[v], sizeof sum[v]);
}

/* Adds the products of the large words in steps step...end-1 to the sums of a tile. */
static void add_large(const linear_call *c, const tile *tile, int64_t step, int64_t end) {
    const segment *seg = &c->scratch->segment;
    large_words *large = &((kept_tokens *)tile->block->kept)->words;
    for (int64_t i = 0; i < TILE_TOKENS; i++) {
        int64_t t = tile->part * TILE_TOKENS + i;
        const large_word *words = large_of(large, t);
        int64_t first = first_large(large, t, step), last = first_large(large, t, end);
        for (int64_t p = 0; p < tile->panels && first < last; p++)
            add_words(words + first, words + last, panel_of_step(seg, tile->panel + p, seg->step), seg->step,
                      tile->block->sums[tile->part].of[i][p]);
    }
}

/* ---------------------------------------------------------------- tiles */

typedef bytes tile_registers[TILE_TOKENS][TILE_PANELS][PANEL_VECTORS];

/* One step: sum += product. `bits` as `dot` takes it: 7 or 8, or 0 for sums in int16. */
INLINE void multiply_step(tile_registers sum, const uint8_t *panel, int64_t panel_bytes, int panels,
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
                sum[t][p][v] = dot(sum[t][p][v], u[p][v], word, bits);
    }
}

INLINE void clear(tile_registers sum, int panels) {
#pragma GCC unroll 8
    for (int t = 0; t < TILE_TOKENS; t++)
#pragma GCC unroll 8
        for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
            for (int v = 0; v < PANEL_VECTORS; v++) sum[t][p][v] = zero_bytes();
}

/* sums = or, with `resume`, += sum. */
INLINE void put_sums(tile_registers sum, int panels, int widen, int resume, tile_sums *sums) {
#pragma GCC unroll 8
    for (int t = 0; t < TILE_TOKENS; t++)
#pragma GCC unroll 8
        for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
            for (int v = 0; v < PANEL_VECTORS; v++) {
                int32_t *at = sums->of[t][p] + v * PANEL / PANEL_VECTORS;
                bytes before = resume ? load_vector(at) : zero_bytes();
                bytes total = widen ? add_widened(before, sum[t][p][v]) : add_int32(before, sum[t][p][v]);
                memcpy(at, &total, sizeof total);
            }
}

/* `mode` as in kept_tokens. */
INLINE void multiply_steps(const uint8_t *panel, int64_t panel_bytes, int panels, const int8_t *x, int64_t steps,
                           int mode, int resume, tile_sums *sums) {
    tile_registers sum;
    clear(sum, panels);
    for (int64_t s = 0; s < steps; s++)
        multiply_step(sum, panel + s * PANEL * STEP, panel_bytes, panels, x + s * TOKENS * STEP, mode);
    if (resume) put_sums(sum, panels, mode == 0, 1, sums);
    else put_sums(sum, panels, mode == 0, 0, sums);
}

INLINE void multiply_panels(const uint8_t *panel, int64_t panel_bytes, int panels, const int8_t *x, int64_t steps,
                            int mode, int resume, tile_sums *sums) {
    if (mode == 0) multiply_steps(panel, panel_bytes, panels, x, steps, 0, resume, sums);
    else if (mode == 7) multiply_steps(panel, panel_bytes, panels, x, steps, 7, resume, sums);
    else multiply_steps(panel, panel_bytes, panels, x, steps, 8, resume, sums);
}

NEVER_INLINE void multiply_run(const uint8_t *panel, int64_t panel_bytes, int64_t panels, const int8_t *x, int64_t steps,
                               int mode, int resume, tile_sums *sums) {
    if (panels == TILE_PANELS) multiply_panels(panel, panel_bytes, TILE_PANELS, x, steps, mode, resume, sums);
    else multiply_panels(panel, panel_bytes, 1, x, steps, mode, resume, sums);
}

static void multiply_tile(const linear_call *c, const tile *tile, int64_t step, int64_t end, int resume) {
    const segment *seg = &c->scratch->segment;
    const kept_tokens *k = tile->block->kept;
    int64_t run_end;
    for (int64_t s = step; s < end; s = run_end, resume = 1) {
        run_end = k->mode ? end : least(end, k->ends[s / RUN_STEPS]);
        multiply_run(panel_of_step(seg, tile->panel, s), seg->panel_bytes, tile->panels,
                     tile->block->x + (s * TOKENS + tile->part * TILE_TOKENS) * STEP, run_end - s, k->mode, resume,
                     &tile->block->sums[tile->part]);
    }
    if (k->large) add_large(c, tile, step, end);
}

#endif
