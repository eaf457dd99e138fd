/*
 * linear.c: sterna_linear in tiles of 32 tokens by 32 rows: four sums, two tiles of tokens, two of weights.
 *
 * The four products of a step take 64 cycles and read 4 KiB. That is more than L2 gives, so one side comes
 * from L1: the columns are cut into segments of 576, and the 18 KiB that 32 tokens have in a segment meet
 * every pair of panels (18 KiB each, from L2) before the next segment. A group of columns that is longer than a
 * segment takes its sums up again from scratch.
 *
 * Few tokens are bound by memory and go to AVX-512 VNNI, and so do rows too long for this file's scratch.
 */
#include "dispatch/families.h"
#include "kernels/amx/tile.h"
#include "kernels/template/linear_call.h"

enum {
    TILE = 16,                         /* tokens, or rows of w, in a tile */
    PAIR = 2 * TILE,                   /* tokens, or rows of w, that meet at a time */
    SEGMENT_BLOCKS = 9,                /* of 64 columns: 18 KiB of 32 tokens */
    MIN_TOKENS = 5,
    MAX_BLOCKS = 256,                  /* 16,384 columns */
    MAX_PAIRS = 16,                    /* 512 rows of w: 1 MiB of panels at 2048 columns */
    TILE_BYTES = TILE * STERNA_BLOCK
};

typedef int32_t pair_sums[2][2][TILE][TILE];  /* panel, token tile, token, row of w */

struct linear_scratch {
    int8_t tokens[MAX_BLOCKS][2][TILE][STERNA_BLOCK]; /* columns past K and tokens past T are 0 */
    int32_t token_sums[MAX_BLOCKS][PAIR];             /* sum of x over a group's columns */
    pair_sums sums[MAX_PAIRS];
    float totals[MAX_PAIRS][2][2][TILE][TILE];        /* sums of groups, scaled */
    uint8_t panels[];
};

#define PANELS_BYTES (STERNA_SCRATCH_BYTES - (int64_t)sizeof(struct linear_scratch))
_Static_assert(PANELS_BYTES >= 2 * (MAX_BLOCKS * TILE_BYTES + MAX_BLOCKS * TILE * 4), "a pair of panels fits");

/* ---------------------------------------------------------------- tokens */

/* Four tokens, tile t, rows m...m+3: their columns of group g, and the columns' sums. */
static void copy_tokens(const linear_call *c, int64_t token, int t, int m, int64_t g) {
    bytes sum[4] = {zero_bytes(), zero_bytes(), zero_bytes(), zero_bytes()};
    int64_t first = g * c->group_blocks;
    for (int64_t b = first; b < first + blocks_of_group(c, g); b++) {
        int64_t left = c->q->cols - b * STERNA_BLOCK;
        __mmask64 columns = left >= STERNA_BLOCK ? ~0ull : (1ull << left) - 1;
        for (int i = 0; i < 4; i++) {
            const int8_t *x = c->q->codes + (token + i) * c->q->stride + b * STERNA_BLOCK;
            bytes v = token + i < c->q->rows ? _mm512_maskz_loadu_epi8(columns, x) : zero_bytes();
            sum[i] = _mm512_dpbusd_epi32(sum[i], _mm512_set1_epi8(1), v);
            _mm512_store_si512(c->scratch->tokens[b][t][m + i], v);
        }
    }
    add_lanes_of_four(sum, &c->scratch->token_sums[g][t * TILE + m]);
}

/* Tokens t0...t0+31 become tiles. */
static void pack_tokens(const linear_call *c, int64_t t0) {
    for (int64_t g = 0; g < c->groups; g++)
        for (int i = 0; i < PAIR; i += 4) copy_tokens(c, t0 + i, i / TILE, i % TILE, g);
}

/* ---------------------------------------------------------------- sums to y */

/* The scales of group g of panel number `p`. */
INLINE const float *panel_scales(const linear_call *c, int64_t p, int64_t g) {
    return (const float *)(c->scratch->panels + p * c->panel_bytes + c->blocks * TILE_BYTES) + g * PANEL;
}

/* The sums of token i of group g and panel number `p`, rows n... of w. */
static void finish_panel(const linear_call *c, int64_t t0, int64_t i, int64_t p, int64_t n, int64_t rows, int64_t g) {
    float *total = c->scratch->totals[p / 2][p % 2][i / TILE][i % TILE];
    int32_t bias = c->bias * c->scratch->token_sums[g][i];
    add_group(total, c->scratch->sums[p / 2][p % 2][i / TILE][i % TILE], bias, panel_scales(c, p, g), g);
    if (g == c->groups - 1) store_values(c, t0 + i, n, total, least(TILE, rows));
}

/* Whole panels of token i, the first of row n0 of w, without groups: the same in registers. The type of y and
 * `accumulate` are constants where this is inlined. */
INLINE void finish_whole_panels(const linear_call *c, int64_t t0, int64_t i, int64_t n0, int64_t panels, int32_t type,
                                int accumulate) {
    sterna_matrix y = *c->y;
    y.type = type;
    const int32_t *sums = c->scratch->sums[0][0][i / TILE][i % TILE];
    int32_t bias = c->bias * c->scratch->token_sums[0][i];
    float token_scale = c->q->scales[t0 + i];
    int64_t at = (t0 + i) * y.stride + n0;
    for (int64_t p = 0; p < panels; p++, at += PANEL, sums += 2 * TILE * TILE) {
        ints sum;
        memcpy(&sum, sums, sizeof sum);
        floats value = __builtin_convertvector(sum - bias, floats) * floats_at(panel_scales(c, p, 0)) * token_scale;
        store_lanes(&y, at, value, accumulate, LANES);
    }
}

static void finish_token(const linear_call *c, int64_t t0, int64_t i, int64_t n0, int64_t panels) {
    if (c->y->type == STERNA_F32 && c->accumulate) finish_whole_panels(c, t0, i, n0, panels, STERNA_F32, 1);
    else if (c->y->type == STERNA_F32) finish_whole_panels(c, t0, i, n0, panels, STERNA_F32, 0);
    else finish_whole_panels(c, t0, i, n0, panels, STERNA_BF16, c->accumulate);
}

/* Token by token, so that y is written in long runs: rows of y are as far apart as pages are. */
static void finish_tokens(const linear_call *c, int64_t t0, int64_t n0, int64_t rows, int64_t g) {
    int64_t whole = c->groups == 1 ? rows / PANEL * PANEL : 0;
    for (int64_t i = 0; i < least(PAIR, c->q->rows - t0); i++) {
        if (whole) finish_token(c, t0, i, n0, whole / PANEL);
        for (int64_t n = whole; n < rows; n += TILE) finish_panel(c, t0, i, n / TILE, n0 + n, rows - n, g);
    }
}

/* ---------------------------------------------------------------- the tile loop */

/* sums (32 tokens, 32 rows) = or, with `resume`, += products over `blocks` blocks. With few tokens the second
 * tile of them is left out. */
INLINE void multiply_pair(const linear_call *c, const int8_t *x, const uint8_t *panel, int64_t blocks,
                          int token_tiles, int resume, pair_sums *sums) {
    const uint8_t *panel1 = panel + c->panel_bytes;
    if (resume) {
        tile_load(0, (*sums)[0][0], TILE * 4);
        tile_load(1, (*sums)[1][0], TILE * 4);
        tile_load(2, (*sums)[0][1], TILE * 4);
        tile_load(3, (*sums)[1][1], TILE * 4);
    } else {
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
    }
    for (int64_t b = 0; b < blocks; b++) {
        tile_load(4, x + b * 2 * TILE_BYTES, STERNA_BLOCK);
        tile_load(6, panel + b * TILE_BYTES, STERNA_BLOCK);
        tile_dot_s8u8(0, 4, 6);
        tile_load(7, panel1 + b * TILE_BYTES, STERNA_BLOCK);
        tile_dot_s8u8(1, 4, 7);
        if (token_tiles == 2) {
            tile_load(5, x + b * 2 * TILE_BYTES + TILE_BYTES, STERNA_BLOCK);
            tile_dot_s8u8(2, 5, 6);
            tile_dot_s8u8(3, 5, 7);
        }
    }
    tile_store(0, (*sums)[0][0], TILE * 4);
    tile_store(1, (*sums)[1][0], TILE * 4);
    tile_store(2, (*sums)[0][1], TILE * 4);
    tile_store(3, (*sums)[1][1], TILE * 4);
}

/* Blocks first...first+blocks-1 of 32 tokens and all pairs; `resume`: they are not the first of their group. */
static void multiply_segment(const linear_call *c, int64_t t0, int64_t rows, int64_t first, int64_t blocks, int resume) {
    const int8_t *x = c->scratch->tokens[first][0][0];
    for (int64_t pair = 0; pair * PAIR < rows; pair++) {
        const uint8_t *panel = c->scratch->panels + 2 * pair * c->panel_bytes + first * TILE_BYTES;
        pair_sums *sums = &c->scratch->sums[pair];
        if (c->q->rows - t0 <= TILE) multiply_pair(c, x, panel, blocks, 1, resume, sums);
        else multiply_pair(c, x, panel, blocks, 2, resume, sums);
    }
}

/* Tokens t0...t0+31, which are packed, and the rows whose panels are in scratch. */
static void multiply_tokens(const linear_call *c, int64_t t0, int64_t n0, int64_t rows) {
    for (int64_t g = 0; g < c->groups; g++) {
        int64_t first = g * c->group_blocks, end = first + blocks_of_group(c, g);
        for (int64_t b = first; b < end; b += SEGMENT_BLOCKS)
            multiply_segment(c, t0, rows, b, least(SEGMENT_BLOCKS, end - b), b > first);
        finish_tokens(c, t0, n0, rows, g);
    }
}

/* Whether the tokens are packed but once, because they all fit in tiles. Then nothing meets a panel again. */
static int at_once(const linear_call *c) {
    return c->q->rows <= PAIR;
}

static void multiply_rows(const linear_call *c, int64_t n0, int64_t rows) {
    for (int64_t n = 0; n < rows; n += PAIR)
        for (int64_t half = n; half < n + PAIR; half += TILE)
            make_panel(c, n0 + least(half, rows - 1), half < rows ? least(TILE, rows - half) : 1,
                       c->scratch->panels + half / TILE * c->panel_bytes);
    for (int64_t t0 = 0; t0 < c->q->rows; t0 += PAIR) {
        if (!at_once(c)) pack_tokens(c, t0);
        multiply_tokens(c, t0, n0, rows);
    }
}

static int32_t linear(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                      int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    linear_call c = make_linear_call(q, w, y, accumulate, scratch);
    if (q->rows < MIN_TOKENS || c.blocks > MAX_BLOCKS)
        return sterna_table_of(STERNA_AVX512VNNI)->linear(q, w, y, accumulate, row0, row1, scratch);
    int64_t rows = at_once(&c) ? PAIR : least(MAX_PAIRS, PANELS_BYTES / (2 * c.panel_bytes)) * PAIR;
    tile_begin();
    if (at_once(&c)) pack_tokens(&c, 0);
    for (int64_t n = row0; n < row1; n += rows) multiply_rows(&c, n, least(rows, row1 - n));
    tile_end();
    return STERNA_OK;
}

void sterna_amx_linear(sterna_table *t) {
    t->linear = linear;
}
