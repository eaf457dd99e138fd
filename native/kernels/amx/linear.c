/*
 * linear.c: sterna_linear in tiles of 32 tokens by 32 rows: four sums, two tiles of tokens, two of weights.
 *
 * The four products of a step take 64 cycles and read 4 KiB. That is more than L2 gives, so one side comes
 * from L1: the columns are cut into segments of 1024, and the 32 KiB that 32 tokens have in a segment meet
 * every pair of panels (from L2, 32 bytes a cycle) before the next segment. A group of columns that is
 * longer than a segment takes its sums up again from scratch.
 *
 * Turning sums into y is ordinary vector work. It would leave the tiles idle for a fifth of the time at
 * K = 768, so the sums of one pair become y during the next pair's products, a few rows at each step.
 *
 * Few tokens are bound by memory and go to AVX-512 VNNI, and so do rows too long for this file's scratch.
 */
#include "dispatch/families.h"
#include "kernels/amx/tile.h"
#include "kernels/template/linear_call.h"

enum {
    TILE = 16,                         /* tokens, or rows of w, in a tile */
    PAIR = 2 * TILE,                   /* tokens, or rows of w, that meet at a time */
    SEGMENT_BLOCKS = 16,               /* of 64 columns: 32 KiB of 32 tokens */
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

/* A pair of panels whose sums of group g are complete. */
struct finished {
    int64_t pair, group, t0, n, rows; /* rows of w from n on */
};

/* Token i of tile `t` and panel `p`. */
static void finish_row(const linear_call *c, const struct finished *f, int t, int p, int i) {
    int64_t token = f->t0 + t * TILE + i, rows = least(TILE, f->rows - p * TILE);
    if (token >= c->q->rows || rows <= 0) return;
    const uint8_t *panel = c->scratch->panels + (2 * f->pair + p) * c->panel_bytes;
    const float *scales = (const float *)(panel + c->blocks * TILE_BYTES) + f->group * PANEL;
    float *total = c->scratch->totals[f->pair][p][t][i];
    int32_t bias = c->bias * c->scratch->token_sums[f->group][t * TILE + i];
    add_group(total, c->scratch->sums[f->pair][p][t][i], bias, scales, f->group);
    if (f->group == c->groups - 1) store_values(c, token, f->n + p * TILE, total, rows);
}

/* Rows begin...end-1 of the pair's 64. */
static void finish_rows(const linear_call *c, const struct finished *f, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) finish_row(c, f, (int)(i / TILE % 2), (int)(i / PAIR), (int)(i % TILE));
}

enum { FINISH_ROWS = 2 * PAIR };

/* ---------------------------------------------------------------- the tile loop */

/* sums (32 tokens, 32 rows) = or, with `resume`, += products over `blocks` blocks, while `f` is finished. With
 * few tokens the second tile of them is left out. */
ALWAYS_INLINE void multiply_pair(const linear_call *c, const int8_t *x, const uint8_t *panel, int64_t blocks,
                                 int token_tiles, int resume, pair_sums *sums, const struct finished *f) {
    const uint8_t *panel1 = panel + c->panel_bytes;
    int64_t rows_a_step = f ? (FINISH_ROWS + blocks - 1) / blocks : 0;
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
        if (f) finish_rows(c, f, least(b * rows_a_step, FINISH_ROWS), least((b + 1) * rows_a_step, FINISH_ROWS));
    }
    tile_store(0, (*sums)[0][0], TILE * 4);
    tile_store(1, (*sums)[1][0], TILE * 4);
    tile_store(2, (*sums)[0][1], TILE * 4);
    tile_store(3, (*sums)[1][1], TILE * 4);
}

/* Blocks first...first+blocks-1, all in group g, of 32 tokens and all pairs. Returns what is left to finish:
 * nothing before the group's last segment. */
static struct finished multiply_segment(const linear_call *c, int64_t t0, int64_t n0, int64_t rows, int64_t g,
                                        int64_t first, int64_t blocks, struct finished before) {
    int64_t in_group = first - g * c->group_blocks;
    int last = in_group + blocks == blocks_of_group(c, g);
    const int8_t *x = c->scratch->tokens[first][0][0];
    for (int64_t pair = 0; pair * PAIR < rows; pair++) {
        const uint8_t *panel = c->scratch->panels + 2 * pair * c->panel_bytes + first * TILE_BYTES;
        const struct finished *f = before.rows ? &before : 0;
        pair_sums *sums = &c->scratch->sums[pair];
        if (c->q->rows - t0 <= TILE) multiply_pair(c, x, panel, blocks, 1, in_group > 0, sums, f);
        else multiply_pair(c, x, panel, blocks, 2, in_group > 0, sums, f);
        before = (struct finished){pair, g, t0, n0 + pair * PAIR, last ? least(PAIR, rows - pair * PAIR) : 0};
    }
    return before;
}

/* Tokens t0...t0+31 and the rows whose panels are in scratch. */
static void multiply_tokens(const linear_call *c, int64_t t0, int64_t n0, int64_t rows) {
    struct finished f = {0};
    pack_tokens(c, t0);
    for (int64_t g = 0; g < c->groups; g++) {
        int64_t first = g * c->group_blocks, end = first + blocks_of_group(c, g);
        for (int64_t b = first; b < end; b += SEGMENT_BLOCKS)
            f = multiply_segment(c, t0, n0, rows, g, b, least(SEGMENT_BLOCKS, end - b), f);
    }
    finish_rows(c, &f, 0, FINISH_ROWS);
}

static void multiply_rows(const linear_call *c, int64_t n0, int64_t rows) {
    for (int64_t n = 0; n < rows; n += PAIR)
        for (int64_t half = n; half < n + PAIR; half += TILE)
            make_panel(c, n0 + least(half, rows - 1), half < rows ? least(TILE, rows - half) : 1,
                       c->scratch->panels + half / TILE * c->panel_bytes);
    for (int64_t t0 = 0; t0 < c->q->rows; t0 += PAIR) multiply_tokens(c, t0, n0, rows);
}

static int32_t linear(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                      int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    linear_call c = make_linear_call(q, w, y, accumulate, scratch);
    if (q->rows < MIN_TOKENS || c.blocks > MAX_BLOCKS)
        return sterna_table_of(STERNA_AVX512VNNI)->linear(q, w, y, accumulate, row0, row1, scratch);
    int64_t rows = least(MAX_PAIRS, PANELS_BYTES / (2 * c.panel_bytes)) * PAIR;
    tile_begin();
    for (int64_t n = row0; n < row1; n += rows) multiply_rows(&c, n, least(rows, row1 - n));
    tile_end();
    return STERNA_OK;
}

void sterna_amx_linear(sterna_table *t) {
    t->linear = linear;
}
