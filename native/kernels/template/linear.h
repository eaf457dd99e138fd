/*
 * linear.h: sterna_linear for a tier from AVX2 up. A tier's file defines, before including it,
 *
 *   TILE_TOKENS, TILE_PANELS   the register tile: tokens (a divisor of 8), panels of 16 rows
 *   GEMV_TOKENS                tokens that a row of packed codes meets at a time (2 or 4)
 *   GEMV_MAX_TOKENS            from more tokens on, panels are faster
 *   DOT_SIGNED_8               1 when `dot` takes 8-bit codes with their sign, so that no bias corrects it, and as u
 *                              only with small activations, as bits 7 (linear_large.h)
 *   bytes dot(bytes sum, bytes u, bytes x, int bits)
 *                              sum (int32 lanes) += the products of four neighbouring bytes, u unsigned and x
 *                              signed; with DOT_SIGNED_8 and bits 8, of u - 128 and x
 *
 * and after it `multiply_tile` (declared below), and gets `linear`, an entry of the table.
 *
 * Products of many tokens (GEMM). Rows of w are unpacked, 16 at a time, into panels that stay in L2;
 * blocks of 8 tokens are interleaved to stay in L1 and meet every panel. A step is four columns:
 *
 *   panel   u[step][16 rows][4]    then scales[group][16 rows]
 *   tokens  x[step][8 tokens][4]   columns past K and tokens past T are 0, so that padding never counts
 *
 * Products of few tokens (GEMV). Rows are unpacked in registers and multiplied right away, four rows at a
 * time: the packed bytes pass once, at the speed of memory.
 */
#ifndef STERNA_LINEAR_H
#define STERNA_LINEAR_H

#include "dispatch/families.h"
#include "linear_call.h"
#include "transpose.h"

#define TOKENS 8
#define MAX_GROUPS (STERNA_MAX_COLS / STERNA_BLOCK)
#define MAX_PANEL_BYTES (PANEL * STERNA_MAX_COLS + MAX_GROUPS * PANEL * 4)

#if DOT_SIGNED_8
#include "linear_large.h"
#endif

struct linear_scratch {
    int8_t tokens[TOKENS * STERNA_MAX_COLS];
    int32_t sums[MAX_GROUPS][TOKENS]; /* sum of x over a group's columns */
#if DOT_SIGNED_8
    large_words large[TOKENS];
#endif
    uint8_t panels[] __attribute__((aligned(64)));
};

#define PANELS_BYTES (STERNA_SCRATCH_BYTES - (int64_t)sizeof(struct linear_scratch))
_Static_assert(PANELS_BYTES >= MAX_PANEL_BYTES, "a panel of the widest matrix fits in scratch");

/* ---------------------------------------------------------------- GEMM: tokens */

/* 32 columns of a token from column k on, 0 past the end of x. */
static __m256i load_columns(const linear_call *c, int64_t t, int64_t k) {
    int64_t left = t < c->q->rows ? c->q->cols - k : 0;
    const int8_t *x = c->q->codes + t * c->q->stride + k;
    if (left >= 32) return _mm256_loadu_si256((const __m256i *)x);
    int8_t some[32] __attribute__((aligned(32))) = {0};
    if (left > 0) memcpy(some, x, (size_t)left);
    return _mm256_load_si256((const __m256i *)some);
}

/* words (8 steps of 8 tokens): adds each token's 32 columns to its lane of sums. */
static inline __m256i add_columns(__m256i sums, const __m256i words[8]) {
    __m256i one8 = _mm256_set1_epi8(1), one16 = _mm256_set1_epi16(1), pairs = _mm256_setzero_si256();
    for (int i = 0; i < 8; i++) pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(one8, words[i]));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, one16));
}

/* Tokens t...t+7, interleaved, and the sums of their groups. */
static void pack_tokens(const linear_call *c, int64_t t) {
    __m256i *out = (__m256i *)c->scratch->tokens;
    for (int64_t g = 0; g < c->groups; g++) {
        __m256i sums = _mm256_setzero_si256();
        int64_t k0 = g * c->group_blocks * STERNA_BLOCK;
        for (int64_t k = k0; k < k0 + blocks_of_group(c, g) * STERNA_BLOCK; k += 32, out += 8) {
            __m256i words[8];
            for (int i = 0; i < TOKENS; i++) words[i] = load_columns(c, t + i, k);
            transpose_8x8(words);
            sums = add_columns(sums, words);
            for (int i = 0; i < 8; i++) _mm256_store_si256(out + i, words[i]);
        }
        _mm256_store_si256((__m256i *)c->scratch->sums[g], sums);
    }
}

/* ---------------------------------------------------------------- GEMM */

typedef struct tile_sums {
    int32_t of[TILE_TOKENS][TILE_PANELS][PANEL];
} __attribute__((aligned(64))) tile_sums;

typedef struct tile_totals {
    float of[TILE_TOKENS][TILE_PANELS][PANEL];
} __attribute__((aligned(64))) tile_totals;

/* sums (TILE_TOKENS, panels * 16) = x panel^T over `steps` steps; the tier defines it after this header. */
NEVER_INLINE void multiply_tile(const uint8_t *panel, int64_t panel_bytes, int64_t panels, const int8_t *x,
                                int64_t steps, int bits, tile_sums *sums);

/* What eight tokens are multiplied as: codes of so many bits, and the bias to correct; `large` words go apart. */
typedef struct tile_form {
    int bits, large;
    int32_t bias;
} tile_form;

#if DOT_SIGNED_8

static tile_form form_of_tokens(const linear_call *c) {
    int64_t steps = c->blocks * BLOCK_STEPS, group_steps = c->group_blocks * BLOCK_STEPS;
    if (c->bits < 8) return (tile_form){c->bits, 0, c->bias};
    if (take_large(c->scratch->large, steps, group_steps, (int32_t (*)[TOKENS])c->scratch->tokens, c->scratch->sums))
        return (tile_form){7, 1, code_bias(c->w->grid)};
    return (tile_form){8, 0, 0};
}

/* Adds the products of the large words in steps before `end`, from next[t] on, to the sums of a tile. */
static void add_large(const linear_call *c, const uint8_t *panel, int64_t panels, int token, int64_t end,
                      int64_t next[TILE_TOKENS], tile_sums *sums) {
    for (int t = 0; t < TILE_TOKENS; t++) {
        const large_words *large = &c->scratch->large[token + t];
        for (; next[t] < large->count && large->of[next[t]].step < end; next[t]++) {
            const uint8_t *u = panel + large->of[next[t]].step * PANEL * STEP;
            bytes x = broadcast_word(&large->of[next[t]].x);
            for (int64_t p = 0; p < panels; p++)
                for (int64_t at = 0; at < PANEL * STEP; at += (int64_t)sizeof(bytes)) {
                    uint8_t *sum = (uint8_t *)sums->of[t][p] + at;
                    bytes total = dot(load_vector(sum), load_vector(u + p * c->panel_bytes + at), x, 8);
                    memcpy(sum, &total, sizeof total);
                }
        }
    }
}

#else

static tile_form form_of_tokens(const linear_call *c) {
    return (tile_form){c->bits, 0, c->bias};
}

static void add_large(const linear_call *c, const uint8_t *panel, int64_t panels, int token, int64_t end,
                      int64_t next[TILE_TOKENS], tile_sums *sums) {
    (void)c, (void)panel, (void)panels, (void)token, (void)end, (void)next, (void)sums;
}

#endif

/* Adds group g to the totals of a tile. */
static void add_tile(const linear_call *c, int32_t bias, const uint8_t *panel, int64_t panels, int64_t g, int token,
                     const tile_sums *sums, tile_totals *totals) {
    const uint8_t *scales = panel + c->blocks * PANEL * STERNA_BLOCK + g * PANEL * (int64_t)sizeof(float);
    for (int t = 0; t < TILE_TOKENS; t++)
        for (int64_t p = 0; p < panels; p++)
            add_group(totals->of[t][p], sums->of[t][p], bias * c->scratch->sums[g][token + t],
                      (const float *)(scales + p * c->panel_bytes), g);
}

/* y of tokens t0 + token...+TILE_TOKENS-1 and the rows of up to TILE_PANELS panels, the first row being n. */
static void compute_tile(const linear_call *c, tile_form form, const uint8_t *panel, int64_t n, int64_t rows, int64_t t0,
                         int token) {
    int64_t panels = (rows + PANEL - 1) / PANEL, step = 0, next_large[TILE_TOKENS] = {0};
    tile_sums sums;
    tile_totals totals;
    for (int64_t g = 0; g < c->groups; g++) {
        int64_t steps = blocks_of_group(c, g) * BLOCK_STEPS;
        multiply_tile(panel + step * PANEL * STEP, c->panel_bytes, panels,
                      c->scratch->tokens + step * TOKENS * STEP + token * STEP, steps, form.bits, &sums);
        if (form.large) add_large(c, panel, panels, token, step + steps, next_large, &sums);
        add_tile(c, form.bias, panel, panels, g, token, &sums, &totals);
        step += steps;
    }
    for (int64_t t = t0 + token; t < least(t0 + token + TILE_TOKENS, c->q->rows); t++)
        for (int64_t p = 0; p < panels; p++) {
            const float *total = totals.of[t - t0 - token][p];
            store_values(c, t, n + p * PANEL, total, least(PANEL, rows - p * PANEL));
        }
}

/* Rows n0...n0+rows-1, whose panels fit in scratch, and all tokens. */
static void compute_rows(const linear_call *c, int64_t n0, int64_t rows) {
    for (int64_t n = 0; n < rows; n += PANEL)
        make_panel(c, n0 + n, least(PANEL, rows - n), c->scratch->panels + n / PANEL * c->panel_bytes);
    for (int64_t t0 = 0; t0 < c->q->rows; t0 += TOKENS) {
        pack_tokens(c, t0);
        tile_form form = form_of_tokens(c);
        for (int64_t n = 0; n < rows; n += TILE_PANELS * PANEL)
            for (int token = 0; token < TOKENS && t0 + token < c->q->rows; token += TILE_TOKENS)
                compute_tile(c, form, c->scratch->panels + n / PANEL * c->panel_bytes, n0 + n,
                             least(rows - n, TILE_PANELS * PANEL), t0, token);
    }
}

/* As many whole tiles of rows as fit in scratch, but at least one panel. */
static int64_t rows_at_once(const linear_call *c) {
    int64_t panels = PANELS_BYTES / c->panel_bytes;
    if (panels >= TILE_PANELS) panels -= panels % TILE_PANELS;
    return panels * PANEL;
}

static void gemm(const linear_call *c, int64_t row0, int64_t row1) {
    int64_t rows = rows_at_once(c);
    for (int64_t n = row0; n < row1; n += rows) compute_rows(c, n, least(rows, row1 - n));
}

/* ---------------------------------------------------------------- GEMV */

#define GEMV_ROWS 4

/* Bytes of w that are fetched before they are read: to L2 from far ahead, as memory takes its time and L2 takes
 * many requests; from there to L1. */
#define AHEAD_L1 4096
#define AHEAD_L2 16384

/* Tokens t0...t0+7, blocks of 64 columns, with zeros past K and past T; the sums of their groups. */
static void pad_tokens(const linear_call *c, int64_t t0) {
    int64_t length = c->blocks * STERNA_BLOCK;
    for (int64_t t = 0; t < TOKENS; t++) {
        int8_t *x = c->scratch->tokens + t * length;
        int64_t cols = t0 + t < c->q->rows ? c->q->cols : 0;
        if (cols) memcpy(x, c->q->codes + (t0 + t) * c->q->stride, (size_t)cols);
        memset(x + cols, 0, (size_t)(length - cols));
        for (int64_t g = 0; g < c->groups; g++) {
            int32_t sum = 0;
            for (int64_t k = 0; k < blocks_of_group(c, g) * STERNA_BLOCK; k++) sum += x[k];
            c->scratch->sums[g][t] = sum;
            x += blocks_of_group(c, g) * STERNA_BLOCK;
        }
    }
}

/* sums[t][r] = row r times token t over `blocks` blocks; rows row_bytes apart, tokens x_bytes apart. As many
 * bytes as are read here are fetched, from AHEAD_L1 and AHEAD_L2 after `next` on. */
ALWAYS_INLINE void dot_rows(const uint8_t *block, int64_t row_bytes, const uint8_t *next, const int8_t *x,
                            int64_t x_bytes, int64_t blocks, int bits, int tokens,
                            int32_t sums[TOKENS][GEMV_ROWS]) {
    bytes sum[GEMV_TOKENS][GEMV_ROWS];
#pragma GCC unroll 8
    for (int t = 0; t < tokens; t++)
#pragma GCC unroll 4
        for (int r = 0; r < GEMV_ROWS; r++) sum[t][r] = zero_bytes();
    for (int64_t b = 0; b < blocks; b++, block += 8 * bits, x += STERNA_BLOCK, next += GEMV_ROWS * 8 * bits) {
#pragma GCC unroll 4
        for (int line = 0; line < GEMV_ROWS * 8 * bits; line += 64) {
            __builtin_prefetch(next + AHEAD_L1 + line);
            __builtin_prefetch(next + AHEAD_L2 + line, 0, 2);
        }
#pragma GCC unroll 4
        for (int r = 0; r < GEMV_ROWS; r++) {
            bytes u[BLOCK_VECTORS];
            unpack_block(block + r * row_bytes, bits, u);
#pragma GCC unroll 8
            for (int t = 0; t < tokens; t++)
#pragma GCC unroll 2
                for (int v = 0; v < BLOCK_VECTORS; v++)
                    sum[t][r] = dot(sum[t][r], u[v], load_vector(x + t * x_bytes + v * (int64_t)sizeof(bytes)), bits);
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < tokens; t++) add_lanes_of_four(sum[t], sums[t]);
}

/* The same for any number of tokens: GEMV_TOKENS at a time, the rows then coming from L1. */
ALWAYS_INLINE void dot_rows_of(const uint8_t *block, int64_t row_bytes, const uint8_t *next, const int8_t *x,
                               int64_t x_bytes, int64_t blocks, int bits, int64_t tokens,
                               int32_t sums[TOKENS][GEMV_ROWS]) {
    if (tokens == 1) {
        dot_rows(block, row_bytes, next, x, x_bytes, blocks, bits, 1, sums);
    } else if (tokens == 2) {
        dot_rows(block, row_bytes, next, x, x_bytes, blocks, bits, 2, sums);
    } else {
        for (int64_t t = 0; t < tokens; t += GEMV_TOKENS)
            dot_rows(block, row_bytes, next, x + t * x_bytes, x_bytes, blocks, bits, GEMV_TOKENS, sums + t);
    }
}

NEVER_INLINE void dot_group(const uint8_t *block, int64_t row_bytes, const uint8_t *next, const int8_t *x,
                      int64_t x_bytes, int64_t blocks, int bits, int64_t tokens,
                      int32_t sums[TOKENS][GEMV_ROWS]) {
    switch (bits) {
    case 1: dot_rows_of(block, row_bytes, next, x, x_bytes, blocks, 1, tokens, sums); break;
    case 2: dot_rows_of(block, row_bytes, next, x, x_bytes, blocks, 2, tokens, sums); break;
    case 3: dot_rows_of(block, row_bytes, next, x, x_bytes, blocks, 3, tokens, sums); break;
    case 4: dot_rows_of(block, row_bytes, next, x, x_bytes, blocks, 4, tokens, sums); break;
    case 5: dot_rows_of(block, row_bytes, next, x, x_bytes, blocks, 5, tokens, sums); break;
    case 6: dot_rows_of(block, row_bytes, next, x, x_bytes, blocks, 6, tokens, sums); break;
    case 7: dot_rows_of(block, row_bytes, next, x, x_bytes, blocks, 7, tokens, sums); break;
    default: dot_rows_of(block, row_bytes, next, x, x_bytes, blocks, 8, tokens, sums); break;
    }
}

/* y of tokens t0...t0+tokens-1 and rows n...n+rows-1; rows is 4 or 1. */
static void multiply_rows(const linear_call *c, int64_t n, int64_t rows, int64_t t0, int64_t tokens) {
    const uint8_t *block = sterna_packed_row(c->w, n), *next = block;
    const int8_t *x = c->scratch->tokens;
    int64_t row_bytes = rows == 1 ? 0 : c->row_bytes; /* a single row stands for all four */
    float totals[TOKENS][PANEL] = {{0}};
    for (int64_t g = 0; g < c->groups; g++) {
        int64_t blocks = blocks_of_group(c, g);
        int32_t sums[TOKENS][GEMV_ROWS];
        dot_group(block, row_bytes, next, x, c->blocks * STERNA_BLOCK, blocks, c->bits, tokens, sums);
        for (int64_t r = 0; r < rows; r++) {
            float scale = sterna_row_scales(c->w, n + r)[g];
            for (int64_t t = 0; t < tokens; t++) {
                float part = (float)(sums[t][r] - c->bias * c->scratch->sums[g][t]) * scale;
                totals[t][r] = g == 0 ? part : totals[t][r] + part;
            }
        }
        block += blocks * 8 * c->bits;
        next += GEMV_ROWS * blocks * 8 * c->bits;
        x += blocks * STERNA_BLOCK;
    }
    for (int64_t t = 0; t < tokens; t++) store_values(c, t0 + t, n, totals[t], rows);
}

static void gemv(const linear_call *c, int64_t row0, int64_t row1) {
    for (int64_t t0 = 0; t0 < c->q->rows; t0 += TOKENS) {
        int64_t tokens = least(TOKENS, c->q->rows - t0), n = row0;
        pad_tokens(c, t0);
        for (; n + GEMV_ROWS <= row1; n += GEMV_ROWS) multiply_rows(c, n, GEMV_ROWS, t0, tokens);
        for (; n < row1; n++) multiply_rows(c, n, 1, t0, tokens);
    }
}

/* ---------------------------------------------------------------- the table's entry */

static int32_t linear(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                      int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    linear_call c = make_linear_call(q, w, y, accumulate, scratch);
    if (DOT_SIGNED_8 && c.bits == 8) c.bias = 0;
    if (q->rows <= GEMV_MAX_TOKENS) gemv(&c, row0, row1);
    else gemm(&c, row0, row1);
    return STERNA_OK;
}

#endif
