/*
 * product_tiles.h: `multiply` of product.h in tiles of registers. A tier's file defines, before including it,
 *
 *   TILE_ROWS, TILE_PANELS  the register tile: rows of left (4 or 8), panels of right
 *   WORD_BYTES              bytes of four neighbours of left: 4 as they are, or 8, two pairs of int16
 *   store_words(out, v)     v holds four neighbours of each of eight rows, or of two steps of four rows
 *
 * and after it `multiply_tile`, declared below.
 *
 * Panels of right stay in L2, eight (four) rows of left in L1, where they are interleaved by steps:
 *
 *   left[step][TILE_ROWS][WORD_BYTES]   rows past M and columns past R are 0, so that padding never counts
 */
#ifndef STERNA_PRODUCT_TILES_H
#define STERNA_PRODUCT_TILES_H

#include "kernels/template/product.h"
#include "kernels/template/transpose.h"

/* Rows of right that panels hold at a time, when a scale ends within, few: they stay in L2 beside out. */
#define SEGMENT (2 * STERNA_GRADIENT_GROUP)

struct product_scratch {
    uint8_t left[TILE_ROWS * WORD_BYTES / STEP * STERNA_MAX_COLS];
    int32_t sums[SEGMENT / STERNA_GRADIENT_GROUP][TILE_ROWS]; /* of left over a group */
    uint8_t panels[] __attribute__((aligned(64)));
};

#define PANELS_BYTES (STERNA_SCRATCH_BYTES - (int64_t)sizeof(struct product_scratch))
_Static_assert(PANELS_BYTES >= PANEL * STERNA_MAX_COLS, "a panel of the longest reduction fits in scratch");

/* ---------------------------------------------------------------- left */

/* 32 columns of row m from column r on, 0 past the end of left. */
INLINE __m256i load_left(const product *p, int64_t m, int64_t r, int64_t end) {
    int64_t count = m < p->rows ? end - r : 0;
    const int8_t *from = p->left + m * p->left_stride + r;
    if (count >= 32) return _mm256_loadu_si256((const __m256i *)from);
    int8_t some[32] __attribute__((aligned(32))) = {0};
    if (count > 0) memcpy(some, from, (size_t)count);
    return _mm256_load_si256((const __m256i *)some);
}

/* Adds the four bytes of every word to its lane of sums. */
INLINE __m256i add_words(__m256i sums, __m256i words) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), words);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* Rows m... and columns r...r+31 (of 8 rows) or r...r+63 (of 4); returns the steps' sums added to `sums`. */
INLINE __m256i pack_words(const product *p, int64_t m, int64_t r, int64_t end, __m256i sums, uint8_t *out) {
    __m256i words[8];
    for (int i = 0; i < 8; i++) words[i] = load_left(p, m + i % TILE_ROWS, r + i / TILE_ROWS * 32, end);
    transpose_8x8(words);
    for (int i = 0; i < 8; i++) {
        sums = add_words(sums, words[i]);
        store_words(out + i * TILE_ROWS * WORD_BYTES, words[i]);
    }
    return sums;
}

/* Rows m..., columns r0...r0+length-1 of left, and their sums by group. */
static void pack_left(const product *p, int64_t m, int64_t r0, int64_t length, struct product_scratch *s) {
    int64_t columns = 32 * 8 / TILE_ROWS;
    for (int64_t begin = 0; begin < length; begin += p->group) {
        __m256i sums = _mm256_setzero_si256();
        int64_t end = least(begin + p->group, length);
        for (int64_t r = begin; r < begin + round_up(end - begin, ROW_BLOCK); r += columns)
            sums = pack_words(p, m, r0 + r, r0 + end, sums, s->left + r / STEP * TILE_ROWS * WORD_BYTES);
        int32_t lanes[8];
        memcpy(lanes, &sums, sizeof lanes);
        for (int i = 0; i < TILE_ROWS; i++) s->sums[begin / p->group][i] = lanes[i] + (TILE_ROWS == 4 ? lanes[i + 4] : 0);
    }
}

/* ---------------------------------------------------------------- tiles */

typedef struct tile_sums {
    int32_t of[TILE_ROWS][TILE_PANELS][PANEL];
} __attribute__((aligned(64))) tile_sums;

/* sums (TILE_ROWS, panels * 16) = left times the panels over `steps` steps. */
NEVER_INLINE void multiply_tile(const uint8_t *panel, int64_t panel_bytes, int64_t panels, const uint8_t *left,
                                int64_t steps, tile_sums *sums);

/* What panels in scratch hold: rows r0...r0+depth-1 and columns col0...col0+cols-1 of right. */
typedef struct piece {
    int64_t r0, depth, col0, cols, panel_bytes;
} piece;

/* Rows m... of out and the columns of up to TILE_PANELS panels, from the piece's column `col` on. */
static void multiply_rows(const product *p, const piece *c, int64_t m, int64_t col, const struct product_scratch *s) {
    int64_t panels = least((c->cols - col + PANEL - 1) / PANEL, TILE_PANELS), rows = least(p->rows - m, TILE_ROWS);
    for (int64_t r = 0; r < c->depth; r += p->group) {
        int64_t depth = least(p->group, c->depth - r), at = r / p->group;
        tile_sums sums;
        multiply_tile(s->panels + col / PANEL * c->panel_bytes + r * PANEL, c->panel_bytes, panels,
                      s->left + r / STEP * TILE_ROWS * WORD_BYTES, (depth + STEP - 1) / STEP, &sums);
        for (int64_t i = 0; i < rows; i++)
            store_sums(p, m + i, c->col0 + col, least(TILE_PANELS * PANEL, c->cols - col), c->r0 / p->group + at, sums.of[i][0],
                       p->bias * s->sums[at][i]);
    }
}

static void multiply_piece(const product *p, const piece *c, struct product_scratch *s) {
    make_panels(p, c->r0, round_up(c->depth, ROW_BLOCK), c->col0, (c->cols + PANEL - 1) / PANEL, c->panel_bytes, s->panels);
    for (int64_t m = 0; m < p->rows; m += TILE_ROWS) {
        pack_left(p, m, c->r0, c->depth, s);
        for (int64_t col = 0; col < c->cols; col += TILE_PANELS * PANEL) multiply_rows(p, c, m, col, s);
    }
}

/* As many whole tiles of columns as fit in scratch, but at least one panel. */
static int64_t cols_at_once(int64_t panel_bytes) {
    int64_t panels = PANELS_BYTES / panel_bytes;
    if (panels >= TILE_PANELS) panels -= panels % TILE_PANELS;
    return panels * PANEL;
}

static void multiply(const product *p, void *scratch) {
    int64_t segment = p->groups > 1 ? SEGMENT : p->depth;
    for (int64_t r0 = 0; r0 < p->depth; r0 += segment) {
        int64_t depth = least(segment, p->depth - r0), panel_bytes = round_up(depth, ROW_BLOCK) * PANEL;
        int64_t cols = cols_at_once(panel_bytes);
        for (int64_t col0 = 0; col0 < p->cols; col0 += cols)
            multiply_piece(p, &(piece){r0, depth, col0, least(cols, p->cols - col0), panel_bytes}, scratch);
    }
}

#endif
