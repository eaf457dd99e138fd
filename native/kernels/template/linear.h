/*
 * linear.h: sterna_linear for a tier from AVX2 up. A tier's file defines, before including it,
 *
 *   TILE_TOKENS, TILE_PANELS   the register tile: tokens (a divisor of 8), panels of 16 rows
 *   SEGMENT_BYTES              of panels at once: a part of L2
 *   TOKENS_BYTES               of interleaved tokens at once: the more, the less often rows are unpacked
 *   GEMV_TOKENS                tokens that a row of packed codes meets at a time (2 or 4)
 *   GEMV_MAX_TOKENS(bits)      from more tokens on, panels are faster
 *   TAKES_LINES(bits)          whether one token meets codes of so many bits by lines (dot_lines.h)
 *   DOT_SIGNED_8               1 when `dot` takes 8-bit codes with their sign, so that no bias corrects it
 *   bytes dot(bytes sum, bytes u, bytes x, int bits)
 *                              sum (int32 lanes) += the products of four neighbouring bytes, u unsigned and x
 *                              signed; with DOT_SIGNED_8 and bits 8, of u - 128 and x
 *   NARROW_BLOCKS(bits)        where `dot` with bits 0 adds products in int16 lanes, which is faster: the blocks
 *                              that a row may add so before `widen` must make the lanes int32; 0: none
 *
 * and after it what is declared below, and gets `linear`, an entry of the table.
 *
 * Products of many tokens (GEMM). All tokens, or as many as fit, are interleaved in blocks of eight. Rows of w are
 * unpacked into a segment of panels that stays in L2, and every block of tokens, which comes from wherever it is and
 * then is in L1, meets them. Rows too long for that are cut, and their sums wait for the next segment. A step is
 * four columns:
 *
 *   panel   u[step][16 rows][4]
 *   tokens  x[step][8 tokens][4]   columns past K and tokens past T are 0, so that padding never counts
 *
 * Products of few tokens (GEMV). Rows are unpacked in registers and multiplied right away, four rows at a
 * time: the packed bytes pass once, at the speed of memory. One token may spare unpacking (dot_lines.h).
 */
#ifndef STERNA_LINEAR_H
#define STERNA_LINEAR_H

#include "dispatch/families.h"
#include "linear_call.h"
#include "transpose.h"

#define TOKENS 8
#define TILES (TOKENS / TILE_TOKENS)
#define TILE_ROWS (TILE_PANELS * PANEL)
#define BLOCK_BYTES (STERNA_BLOCK * PANEL) /* of a panel */

typedef struct tile_sums {
    int32_t of[TILE_TOKENS][TILE_PANELS][PANEL];
} __attribute__((aligned(64))) tile_sums;

typedef struct tile_totals { /* of groups, scaled */
    float of[TILE_TOKENS][TILE_PANELS][PANEL];
} __attribute__((aligned(64))) tile_totals;

/* Eight tokens, interleaved, and what is known of them. The arrays lie in scratch, each kind together, so that only x
 * passes through the caches. */
typedef struct token_block {
    int8_t *x;
    int32_t (*group_sums)[TOKENS]; /* of x, over a group's columns */
    tile_sums *sums;               /* of each tile of tokens; when rows are cut, the next segment adds to them */
    tile_totals *totals;
    void *kept;   /* by the tier */
    int32_t bias; /* what the sums have too much of, times the sum of x */
} token_block;

/* Rows n...n+rows-1 in steps step...step+steps-1: panels, and the scales of their groups, the first being `group`. */
typedef struct segment {
    uint8_t u[SEGMENT_BYTES];
    float scales[SEGMENT_BYTES / BLOCK_BYTES * PANEL]; /* [group][panel][16 rows] */
    int64_t n, rows, panels, panel_bytes, step, steps, group;
} __attribute__((aligned(64))) segment;

struct linear_scratch {
    segment segment;
    uint8_t memory[] __attribute__((aligned(64)));
};

/* Beside x, a block of tokens holds less than half as much, and a little that does not grow with K. */
_Static_assert(sizeof(segment) + TOKENS * STERNA_MAX_COLS * 3 / 2 + 65536 < STERNA_SCRATCH_BYTES, "eight tokens fit");

/* TILE_TOKENS of a block's tokens, the first being token t, and `panels` of the segment's panels from `panel` on. */
typedef struct tile {
    const token_block *block;
    int part; /* of the block */
    int64_t t, panel, panels;
} tile;

static const uint8_t *panel_of_step(const segment *seg, int64_t panel, int64_t step) {
    return seg->u + panel * seg->panel_bytes + (step - seg->step) * PANEL * STEP;
}

/* ---------------------------------------------------------------- what the tier defines after this header */

/* Bytes that the tier keeps for eight tokens. */
static int64_t kept_bytes(const linear_call *c);

/* Eight tokens were interleaved; sets their bias. */
static void prepare_tokens(const linear_call *c, token_block *b);

/* The tile's sums = or, with `resume`, += its products in steps step...end-1. */
static void multiply_tile(const linear_call *c, const tile *tile, int64_t step, int64_t end, int resume);

/* ---------------------------------------------------------------- tokens */

/* Steps of a row that hold columns. */
static int64_t steps_of_row(const linear_call *c) {
    return (c->q->cols + STEP - 1) / STEP;
}

static int64_t whole_lines(int64_t bytes) {
    return (bytes + 63) / 64 * 64;
}

/* Blocks of a segment: of whole rows, if so many fit for a tile. */
static int64_t blocks_of_segment(const linear_call *c) {
    return least(c->blocks, SEGMENT_BYTES / (TILE_PANELS * BLOCK_BYTES));
}

/* Bytes of a token block of each kind. When rows are not cut, sums go to y at once, and one place serves all. */
typedef struct block_bytes {
    int64_t x, group_sums, kept, sums, totals;
} block_bytes;

static block_bytes bytes_of_block(const linear_call *c) {
    int64_t one = c->blocks == blocks_of_segment(c);
    return (block_bytes){.x = c->blocks * STERNA_BLOCK * TOKENS, .group_sums = c->groups * TOKENS * 4,
                         .kept = whole_lines(kept_bytes(c)), .sums = one ? 0 : TILES * (int64_t)sizeof(tile_sums),
                         .totals = one ? 0 : TILES * (int64_t)sizeof(tile_totals)};
}

static token_block *token_block_at(const linear_call *c, int64_t i) {
    return (token_block *)c->scratch->memory + i;
}

/* Room for `count` token blocks. */
static void lay_out(const linear_call *c, int64_t count) {
    block_bytes bytes = bytes_of_block(c);
    uint8_t *sums = c->scratch->memory + whole_lines(count * (int64_t)sizeof(token_block));
    uint8_t *totals = sums + (count - 1) * bytes.sums + TILES * (int64_t)sizeof(tile_sums);
    uint8_t *kept = totals + (count - 1) * bytes.totals + TILES * (int64_t)sizeof(tile_totals);
    uint8_t *group_sums = kept + count * bytes.kept, *x = group_sums + whole_lines(count * bytes.group_sums);
    for (int64_t i = 0; i < count; i++)
        *token_block_at(c, i) = (token_block){
            .x = (int8_t *)x + i * bytes.x, .group_sums = (int32_t (*)[TOKENS])(group_sums + i * bytes.group_sums),
            .sums = (tile_sums *)(sums + i * bytes.sums), .totals = (tile_totals *)(totals + i * bytes.totals),
            .kept = kept + i * bytes.kept};
}

/* Token blocks whose x fit in TOKENS_BYTES, and with all else that lay_out gives them in scratch, but at least one. */
static int64_t blocks_at_once(const linear_call *c) {
    block_bytes b = bytes_of_block(c);
    int64_t each = (int64_t)sizeof(token_block) + b.sums + b.totals + b.kept + b.group_sums + b.x;
    int64_t once = (int64_t)sizeof(struct linear_scratch) + TILES * (int64_t)(sizeof(tile_sums) + sizeof(tile_totals)) + 2 * 64;
    int64_t blocks = least(TOKENS_BYTES / b.x, (STERNA_SCRATCH_BYTES - once) / each);
    return blocks > 1 ? blocks : 1;
}

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
static void interleave_tokens(const linear_call *c, int64_t t, token_block *b) {
    __m256i *out = (__m256i *)b->x;
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
        _mm256_store_si256((__m256i *)b->group_sums[g], sums);
    }
}

/* ---------------------------------------------------------------- GEMM */

/* The scales of group g and the tile's panel p. */
static const float *scales_of_panel(const linear_call *c, const tile *tile, int64_t p, int64_t g) {
    const segment *seg = &c->scratch->segment;
    return seg->scales + ((g - seg->group) * seg->panels + tile->panel + p) * PANEL;
}

static int64_t tokens_of_tile(const linear_call *c, const tile *tile) {
    return least(TILE_TOKENS, c->q->rows - tile->t);
}

/* Sums of the only group become y; `adds`, whether there is a residual, is a constant where this is inlined. What is read
 * over and over is copied, since it might be y otherwise. */
INLINE void store_sums_onto(const linear_call *c, const tile *tile, int adds) {
    const segment *seg = &c->scratch->segment;
    const sterna_matrix y = *c->y, residual = adds ? *c->residual : y;
    int64_t tokens = tokens_of_tile(c, tile), row = tile->panel * PANEL, rows = seg->rows - row, panels = tile->panels;
    int64_t y_at = tile->t * y.stride + seg->n + row, residual_at = tile->t * residual.stride + seg->n + row;
    const int32_t *token_sums = tile->block->group_sums[0] + tile->part * TILE_TOKENS, factor = tile->block->bias;
    const float *scales = scales_of_panel(c, tile, 0, 0), *token_scales = c->q->scales + tile->t;
    const tile_sums *sums = &tile->block->sums[tile->part];
    for (int64_t i = 0; i < tokens; i++, y_at += y.stride, residual_at += residual.stride)
        for (int64_t p = 0; p < panels; p++) {
            floats value[PANEL / LANES];
            for (int64_t j = 0; j < PANEL; j += LANES) {
                ints s;
                memcpy(&s, sums->of[i][p] + j, sizeof s);
                floats sum = __builtin_convertvector(s - factor * token_sums[i], floats);
                value[j / LANES] = sum * floats_at(scales + p * PANEL + j) * token_scales[i];
            }
            int64_t at = p * PANEL;
            store_panel(&y, y_at + at, adds ? &residual : NULL, residual_at + at, value, least(PANEL, rows - at));
        }
}

NEVER_INLINE void store_sums(const linear_call *c, const tile *tile) {
    if (c->residual) store_sums_onto(c, tile, 1);
    else store_sums_onto(c, tile, 0);
}

/* Sums of group g go to the totals; after the last group these become y. */
NEVER_INLINE void add_sums(const linear_call *c, const tile *tile, int64_t g) {
    const segment *seg = &c->scratch->segment;
    const token_block *b = tile->block;
    for (int64_t i = 0; i < tokens_of_tile(c, tile); i++)
        for (int64_t p = 0; p < tile->panels; p++) {
            float *total = b->totals[tile->part].of[i][p];
            int32_t bias = b->bias * b->group_sums[g][tile->part * TILE_TOKENS + i];
            int64_t row = (tile->panel + p) * PANEL;
            add_group(total, b->sums[tile->part].of[i][p], bias, scales_of_panel(c, tile, p, g), g);
            if (g == c->groups - 1) store_values(c, tile->t + i, seg->n + row, total, least(PANEL, seg->rows - row));
        }
}

/* A tile in the steps of the segment, group by group. */
static void compute_tile(const linear_call *c, const tile *tile) {
    const segment *seg = &c->scratch->segment;
    int64_t group_steps = c->group_blocks * BLOCK_STEPS, steps = seg->step + seg->steps, end;
    for (int64_t s = seg->step, g = seg->group; s < steps; s = end, g++) {
        int64_t group_end = least((g + 1) * group_steps, steps_of_row(c));
        end = least(group_end, steps);
        multiply_tile(c, tile, s, end, s > g * group_steps);
        if (end < group_end) break;
        if (c->groups == 1) store_sums(c, tile);
        else add_sums(c, tile, g);
    }
}

/* Eight tokens, the first being token t, and all rows of the segment. */
static void multiply_segment(const linear_call *c, const token_block *b, int64_t t) {
    const segment *seg = &c->scratch->segment;
    for (int64_t panel = 0; panel < seg->panels; panel += TILE_PANELS)
        for (int part = 0; part < TILES && t + part * TILE_TOKENS < c->q->rows; part++)
            compute_tile(c, &(tile){b, part, t + part * TILE_TOKENS, panel, least(TILE_PANELS, seg->panels - panel)});
}

/* Rows n...n+rows-1 in blocks `block`...block+blocks-1. */
static void make_segment(const linear_call *c, int64_t n, int64_t rows, int64_t block, int64_t blocks) {
    segment *seg = &c->scratch->segment;
    seg->n = n, seg->rows = rows, seg->panels = (rows + PANEL - 1) / PANEL, seg->panel_bytes = blocks * BLOCK_BYTES;
    seg->step = block * BLOCK_STEPS, seg->group = block / c->group_blocks;
    seg->steps = least(blocks * BLOCK_STEPS, steps_of_row(c) - seg->step);
    for (int64_t p = 0; p < seg->panels; p++) {
        int64_t first = n + p * PANEL, count = least(PANEL, rows - p * PANEL);
        panel_rows panel = rows_of_panel(c, first, count, TILE_ROWS, block, seg->u + p * seg->panel_bytes);
        unpack_rows(c, &panel, 0, blocks);
        for (int64_t g = 0; g <= (block + blocks - 1) / c->group_blocks - seg->group; g++)
            copy_scales(c, first, count, seg->group + g, seg->scales + (g * seg->panels + p) * PANEL);
    }
}

/* Tokens t0...t0+tokens-1, which fit in scratch, and rows row0...row1-1. */
static void multiply_tokens(const linear_call *c, int64_t t0, int64_t tokens, int64_t row0, int64_t row1) {
    int64_t blocks = blocks_of_segment(c);
    int64_t rows = SEGMENT_BYTES / (TILE_PANELS * BLOCK_BYTES) / blocks * TILE_ROWS;
    lay_out(c, (tokens + TOKENS - 1) / TOKENS);
    for (int64_t t = 0; t < tokens; t += TOKENS) {
        interleave_tokens(c, t0 + t, token_block_at(c, t / TOKENS));
        prepare_tokens(c, token_block_at(c, t / TOKENS));
    }
    for (int64_t n = row0; n < row1; n += rows)
        for (int64_t block = 0; block < c->blocks; block += blocks) {
            make_segment(c, n, least(rows, row1 - n), block, least(blocks, c->blocks - block));
            for (int64_t t = 0; t < tokens; t += TOKENS) multiply_segment(c, token_block_at(c, t / TOKENS), t0 + t);
        }
}

static void gemm(const linear_call *c, int64_t row0, int64_t row1) {
    int64_t tokens = blocks_at_once(c) * TOKENS;
    for (int64_t t = 0; t < c->q->rows; t += tokens)
        multiply_tokens(c, t, least(tokens, c->q->rows - t), row0, row1);
}

/* ---------------------------------------------------------------- GEMV */

#define GEMV_ROWS 4

/* Bytes of w that are fetched before they are read: a quarter of the smallest L1, and what memory gives in 200 ns. */
#define AHEAD 8192

/* Four rows of w, where they go on. */
typedef struct row_codes {
    const uint8_t *of[GEMV_ROWS];
    const uint8_t *next; /* fetched from there on: as many bytes as are read */
} row_codes;

/* Byte `at` of the rows is about to be read, and `count` of each. */
INLINE void fetch_next(const row_codes *w, int64_t at, int count) {
#pragma GCC unroll 4
    for (int line = 0; line < GEMV_ROWS * count; line += 64) __builtin_prefetch(w->next + GEMV_ROWS * at + line);
}

/* What would be read before it is fetched: the begin of rows row0...row1-1. */
static void fetch_first(const linear_call *c, int64_t row0, int64_t row1) {
    const uint8_t *codes = c->w->codes + row0 * c->row_bytes;
    int64_t bytes = least(AHEAD, (row1 - row0) * c->row_bytes);
    for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(codes + at);
}

#include "dot_lines.h"

/* Whether a line never holds codes of two groups, and nothing else speaks against lines. */
static int takes_lines(const linear_call *c) {
    return TAKES_LINES(c->bits) && c->q->rows == 1 && (c->groups == 1 || c->group_blocks % LINE_BLOCKS(c->bits) == 0);
}

/* Columns of so many blocks of a token in scratch: of whole lines where it meets lines. */
static int64_t padded_columns(const linear_call *c, int64_t blocks) {
    int64_t together = takes_lines(c) ? LINE_BLOCKS(c->bits) : 1;
    return (blocks + together - 1) / together * together * STERNA_BLOCK;
}

/* The first `cols` columns of a token, then zeros up to `length`. */
static void place_columns(const linear_call *c, const int8_t *columns, int64_t cols, int64_t length, int8_t *x) {
    if (!takes_lines(c)) {
        if (cols) memcpy(x, columns, (size_t)cols);
        memset(x + cols, 0, (size_t)(length - cols));
    } else if (c->bits == 2) {
        arrange_lines(columns, cols, length, 2, x);
    } else {
        arrange_lines(columns, cols, length, 4, x);
    }
}

/* Tokens t0...t0+count-1 as they meet rows before row `end`; what is asked for at every panel is known beforehand. */
typedef struct few_tokens {
    const linear_call *c;
    int64_t t0, count, end;
    int64_t columns; /* of a token in scratch */
    int lines;
} few_tokens;

/* `padded` tokens, with zeros past K and past T; the sums of their groups. */
static void pad_tokens(const few_tokens *f, int64_t padded) {
    const linear_call *c = f->c;
    token_block *b = token_block_at(c, 0);
    for (int64_t t = 0; t < padded; t++) {
        int8_t *x = b->x + t * f->columns;
        int64_t cols = f->t0 + t < c->q->rows ? c->q->cols : 0;
        place_columns(c, c->q->codes + (f->t0 + t) * c->q->stride, cols, f->columns, x);
        for (int64_t g = 0; g < c->groups; g++) {
            int64_t columns = padded_columns(c, blocks_of_group(c, g));
            int32_t sum = 0;
            for (int64_t k = 0; k < columns; k++) sum += x[k];
            b->group_sums[g][t] = sum;
            x += columns;
        }
    }
}

/* Row r times token t over `blocks` blocks from `block` on goes to sum[t][r], in lanes; tokens x_bytes apart.
 * `dot_bits` is what `dot` takes. */
INLINE void dot_blocks(const row_codes *w, int64_t block, const int8_t *x, int64_t x_bytes, int64_t blocks, int bits,
                       int tokens, int dot_bits, bytes sum[GEMV_TOKENS][GEMV_ROWS]) {
#pragma GCC unroll 8
    for (int t = 0; t < tokens; t++)
#pragma GCC unroll 4
        for (int r = 0; r < GEMV_ROWS; r++) sum[t][r] = zero_bytes();
    for (int64_t b = block; b < block + blocks; b++, x += STERNA_BLOCK) {
        fetch_next(w, b * 8 * bits, 8 * bits);
#pragma GCC unroll 4
        for (int r = 0; r < GEMV_ROWS; r++) {
            bytes u[BLOCK_VECTORS];
            unpack_block(w->of[r] + b * 8 * bits, bits, u);
#pragma GCC unroll 8
            for (int t = 0; t < tokens; t++)
#pragma GCC unroll 2
                for (int v = 0; v < BLOCK_VECTORS; v++) {
                    bytes words = load_vector(x + t * x_bytes + v * (int64_t)sizeof(bytes));
                    sum[t][r] = dot(sum[t][r], u[v], words, dot_bits);
                }
        }
    }
}

#if defined(NARROW_BLOCKS)

/* dot_rows in runs of NARROW_BLOCKS(bits). */
INLINE void dot_runs(const row_codes *w, const int8_t *x, int64_t x_bytes, int64_t blocks, int bits, int tokens,
                     int32_t (*sums)[PANEL]) {
    bytes sum[GEMV_TOKENS][GEMV_ROWS];
    int64_t run = NARROW_BLOCKS(bits);
    for (int64_t t = 0; t < tokens; t++) memset(sums[t], 0, GEMV_ROWS * sizeof **sums);
    for (int64_t b = 0; b < blocks; b += run) {
        dot_blocks(w, b, x + b * STERNA_BLOCK, x_bytes, least(run, blocks - b), bits, tokens, 0, sum);
#pragma GCC unroll 8
        for (int t = 0; t < tokens; t++) {
            int32_t some[GEMV_ROWS];
#pragma GCC unroll 4
            for (int r = 0; r < GEMV_ROWS; r++) sum[t][r] = widen(sum[t][r]);
            add_lanes_of_four(sum[t], some);
            for (int r = 0; r < GEMV_ROWS; r++) sums[t][r] += some[r];
        }
    }
}

#endif

/* sums[t][r] = row r times token t. */
INLINE void dot_rows(const row_codes *w, const int8_t *x, int64_t x_bytes, int64_t blocks, int bits, int tokens,
                     int32_t (*sums)[PANEL]) {
#if defined(NARROW_BLOCKS)
    if (NARROW_BLOCKS(bits) > 0) {
        dot_runs(w, x, x_bytes, blocks, bits, tokens, sums);
        return;
    }
#endif
    bytes sum[GEMV_TOKENS][GEMV_ROWS];
    dot_blocks(w, 0, x, x_bytes, blocks, bits, tokens, bits, sum);
#pragma GCC unroll 8
    for (int t = 0; t < tokens; t++) add_lanes_of_four(sum[t], sums[t]);
}

/* The same for any number of tokens: GEMV_TOKENS at a time, the rows then coming from L1. */
INLINE void dot_rows_of(const row_codes *w, const int8_t *x, int64_t x_bytes, int64_t blocks, int bits, int64_t tokens,
                        int32_t (*sums)[PANEL]) {
    if (tokens == 1) {
        dot_rows(w, x, x_bytes, blocks, bits, 1, sums);
    } else if (tokens == 2) {
        dot_rows(w, x, x_bytes, blocks, bits, 2, sums);
    } else {
        for (int64_t t = 0; t < tokens; t += GEMV_TOKENS)
            dot_rows(w, x + t * x_bytes, x_bytes, blocks, bits, GEMV_TOKENS, sums + t);
    }
}

NEVER_INLINE void dot_group(const row_codes *w, const int8_t *x, int64_t x_bytes, int64_t blocks, int bits,
                            int64_t tokens, int32_t (*sums)[PANEL]) {
    switch (bits) {
    case 1: dot_rows_of(w, x, x_bytes, blocks, 1, tokens, sums); break;
    case 2: dot_rows_of(w, x, x_bytes, blocks, 2, tokens, sums); break;
    case 3: dot_rows_of(w, x, x_bytes, blocks, 3, tokens, sums); break;
    case 4: dot_rows_of(w, x, x_bytes, blocks, 4, tokens, sums); break;
    case 5: dot_rows_of(w, x, x_bytes, blocks, 5, tokens, sums); break;
    case 6: dot_rows_of(w, x, x_bytes, blocks, 6, tokens, sums); break;
    case 7: dot_rows_of(w, x, x_bytes, blocks, 7, tokens, sums); break;
    default: dot_rows_of(w, x, x_bytes, blocks, 8, tokens, sums); break;
    }
}

/* sums[t][r] = row n + r times token t in group g, for `rows` rows, at most a panel; those after them, up to a
 * multiple of four, repeat the last one. Nothing is fetched from the slice's end on: another thread has it. x is the
 * group's of the first token. */
static void dot_panel(const few_tokens *f, int64_t n, int64_t rows, int64_t g, const int8_t *x, int32_t (*sums)[PANEL]) {
    const linear_call *c = f->c;
    int64_t blocks = blocks_of_group(c, g), block_bytes = 8 * c->bits, at = g * c->group_blocks * block_bytes;
    for (int64_t r = 0; r < rows; r += GEMV_ROWS) {
        const uint8_t *codes = c->w->codes + at, *next = codes + (n + r) * c->row_bytes + (GEMV_ROWS - 1) * at;
        int64_t left = (f->end - n - r) * c->row_bytes - GEMV_ROWS * (at + blocks * block_bytes);
        left = left > 0 ? left : 0;
        row_codes w = {.next = next + least(AHEAD, left)};
        for (int64_t i = 0; i < GEMV_ROWS; i++) w.of[i] = codes + (n + least(r + i, rows - 1)) * c->row_bytes;
        if (f->lines) dot_lines(&w, x, blocks, c->bits, &sums[0][r]);
        else dot_group(&w, x, f->columns, blocks, c->bits, f->count, (int32_t (*)[PANEL])&sums[0][r]);
    }
}

/* y of the tokens and a panel of rows from row n on, or of the rows that are left. */
static void multiply_rows(const few_tokens *f, int64_t n) {
    const linear_call *c = f->c;
    const token_block *b = token_block_at(c, 0);
    const int8_t *x = b->x;
    int64_t rows = least(PANEL, f->end - n);
    float totals[TOKENS][PANEL], scales[PANEL];
    int32_t sums[TOKENS][PANEL];
    memset(sums, 0, (size_t)f->count * sizeof *sums); /* of missing rows too */
    for (int64_t g = 0; g < c->groups; g++) {
        dot_panel(f, n, rows, g, x, sums);
        copy_scales(c, n, rows, g, scales);
        for (int64_t t = 0; t < f->count; t++) add_group(totals[t], sums[t], c->bias * b->group_sums[g][t], scales, g);
        x += blocks_of_group(c, g) * STERNA_BLOCK;
    }
    for (int64_t t = 0; t < f->count; t++) store_values(c, f->t0 + t, n, totals[t], rows);
}

static void gemv(const linear_call *c, int64_t row0, int64_t row1) {
    few_tokens f = {.c = c, .end = row1, .columns = padded_columns(c, c->blocks), .lines = takes_lines(c)};
    lay_out(c, 1);
    fetch_first(c, row0, row1);
    for (; f.t0 < c->q->rows; f.t0 += TOKENS) {
        f.count = least(TOKENS, c->q->rows - f.t0);
        pad_tokens(&f, f.count <= 2 ? f.count : TOKENS);
        for (int64_t n = row0; n < row1; n += PANEL) multiply_rows(&f, n);
    }
}

/* ---------------------------------------------------------------- the table's entry */

static int32_t linear(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                      const sterna_matrix *residual, int64_t row0, int64_t row1, void *scratch) {
    linear_call c = make_linear_call(q, w, y, residual, scratch);
    if (DOT_SIGNED_8 && c.bits == 8) c.bias = 0;
    if (q->rows <= GEMV_MAX_TOKENS(c.bits)) gemv(&c, row0, row1);
    else gemm(&c, row0, row1);
    return STERNA_OK;
}

#endif
