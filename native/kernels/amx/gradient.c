/*
 * gradient.c: the products of int8 gradients in tiles of 32 rows by 32 columns: four sums, two tiles of left, two
 * of right.
 *
 * The four products of a step take 64 cycles and read 4 KiB, more than L2 gives. So the 32 rows of left stay in L1,
 * 16 steps of 64 at a time, and meet every pair of panels, which come from L2. A sum that is longer goes on from
 * scratch. Finished sums become results a few rows at each step of the next pair: else the tiles would wait.
 *
 * Reductions too long for this file's scratch go to AVX-512 VNNI.
 */
#define SIGNED_PANELS 1

#include "dispatch/families.h"
#include "kernels/amx/pair.h"
#include "kernels/template/product.h"

enum {
    L1_BLOCKS = 16,      /* of 64 columns of left: 32 KiB of 32 rows */
    SEGMENT_BLOCKS = 8,  /* of 64 rows of right in scratch at a time, when a scale ends within */
    MAX_BLOCKS = 256,
    MAX_PAIRS = 16
};

struct product_scratch {
    int8_t left[MAX_BLOCKS][2][TILE][ROW_BLOCK]; /* columns past R and rows past M are 0 */
    pair_sums sums[MAX_PAIRS];
    uint8_t panels[];
};

#define PANELS_BYTES (STERNA_SCRATCH_BYTES - (int64_t)sizeof(struct product_scratch))
_Static_assert(PANELS_BYTES >= 2 * MAX_BLOCKS * TILE_BYTES, "a pair of panels fits");

/* What panels in scratch hold: rows r0... of right, in blocks of 64, and columns col0...col0+cols-1. */
typedef struct piece {
    const product *p;
    struct product_scratch *s;
    int64_t r0, blocks, group_blocks, col0, cols, panel_bytes;
} piece;

/* ---------------------------------------------------------------- left */

/* A row of the left operand, whose tiles come two by two: `count` bytes, then zeros. */
INLINE void pack_row(const int8_t *from, int64_t count, int64_t blocks, int8_t *to) {
    int64_t b = 0;
    for (; b < count / 64; b++) _mm512_store_si512(to + b * 2 * TILE_BYTES, _mm512_loadu_si512(from + b * 64));
    for (; b < blocks; b++) {
        int64_t left = b * 64 < count ? count - b * 64 : 0;
        _mm512_store_si512(to + b * 2 * TILE_BYTES, _mm512_maskz_loadu_epi8(columns_left(left), from + b * 64));
    }
}

/* Rows m...m+31 become tiles. */
static void pack_left(const piece *c, int64_t m) {
    int64_t columns = least(c->blocks * ROW_BLOCK, c->p->depth - c->r0);
    for (int64_t i = 0; i < PAIR; i++)
        pack_row(c->p->left + (m + i) * c->p->left_stride + c->r0, m + i < c->p->rows ? columns : 0, c->blocks,
                 c->s->left[0][i / TILE][i % TILE]);
}

/* ---------------------------------------------------------------- results */

/* A pair of panels whose sums over group g of the reduction are complete, of which those of `rows` rows from m on are
 * still to become results. */
struct results {
    int64_t rows, m, g, col, cols;
    const int32_t *sums; /* of row m */
};

/* The next rows, `count` of them at most. What is read over and over is copied, since it might be a result otherwise. */
static void finish_rows(const product *of, struct results *r, int64_t count) {
    const product p = *of;
    struct results next = *r;
    count = least(count, next.rows);
    r->rows -= count, r->m += count, r->sums += count * PAIR;
    for (int64_t i = 0; i < count; i++) {
        const int32_t *sums = next.sums + i * PAIR;
        if (next.cols == PAIR) store_sums(&p, next.m + i, next.col, PAIR, next.g, sums, 0);
        else store_sums(&p, next.m + i, next.col, next.cols, next.g, sums, 0);
    }
}

/* ---------------------------------------------------------------- tiles */

/* Blocks first...first+blocks-1 of 32 rows (16, when `tiles` is 1) times a pair of panels, while the pair before is
 * finished. */
INLINE void multiply_blocks(const piece *c, int64_t pair, int64_t first, int64_t blocks, int tiles, struct results *before) {
    const uint8_t *panel0 = c->s->panels + 2 * pair * c->panel_bytes + first * TILE_BYTES, *panel1 = panel0 + c->panel_bytes;
    const int8_t *left = c->s->left[first][0][0];
    int64_t step = rows_of_step(before->rows, blocks);
    for (int64_t b = 0; b < blocks; b++) {
        multiply_columns(left + b * 2 * TILE_BYTES, 64, panel0 + b * TILE_BYTES, panel1 + b * TILE_BYTES, tiles);
        if (before->rows && (b > 0 || blocks == 1)) finish_rows(c->p, before, step);
    }
}

/* Blocks begin...end-1 of rows m... and a pair of panels, group by group. Results that go on are still in L1. */
static void multiply_pair(const piece *c, int64_t m, int64_t pair, int64_t begin, int64_t end, struct results *r) {
    pair_sums *sums = &c->s->sums[pair];
    int64_t rows = c->p->rows - m, col = pair * PAIR, blocks;
    for (int64_t b = begin; b < end; b += blocks) {
        int64_t g = b / c->group_blocks, group_end = least((g + 1) * c->group_blocks, c->blocks);
        blocks = least(group_end, end) - b;
        if (b > g * c->group_blocks) load_pair(sums);
        else tile_zero_sums();
        if (rows <= TILE) multiply_blocks(c, pair, b, blocks, 1, r);
        else multiply_blocks(c, pair, b, blocks, 2, r);
        store_pair(sums);
        *r = (struct results){b + blocks == group_end ? least(PAIR, rows) : 0, m, c->r0 / c->p->group + g, c->col0 + col,
                              least(PAIR, c->cols - col), (*sums)[0]};
    }
}

/* Rows m...m+31. */
static void multiply_rows(const piece *c, int64_t m) {
    struct results r = {0};
    pack_left(c, m);
    for (int64_t b = 0; b < c->blocks; b += L1_BLOCKS)
        for (int64_t pair = 0; pair * PAIR < c->cols; pair++)
            multiply_pair(c, m, pair, b, least(b + L1_BLOCKS, c->blocks), &r);
    finish_rows(c->p, &r, r.rows);
}

static void multiply_piece(const piece *c) {
    int64_t panels = (c->cols + TILE - 1) / TILE;
    make_panels(c->p, c->r0, c->blocks * ROW_BLOCK, c->col0, panels, c->panel_bytes, c->s->panels);
    if (panels % 2) memset(c->s->panels + panels * c->panel_bytes, 0, (size_t)c->panel_bytes);
    for (int64_t m = 0; m < c->p->rows; m += PAIR) multiply_rows(c, m);
}

static void multiply(const product *p, void *scratch) {
    int64_t all = round_up(p->depth, ROW_BLOCK) / ROW_BLOCK, segment = p->groups > 1 ? SEGMENT_BLOCKS : all;
    for (int64_t b = 0; b < all; b += segment) {
        piece c = {.p = p, .s = scratch, .r0 = b * ROW_BLOCK, .blocks = least(segment, all - b),
                   .group_blocks = round_up(p->group, ROW_BLOCK) / ROW_BLOCK};
        c.panel_bytes = c.blocks * TILE_BYTES;
        int64_t cols = least(MAX_PAIRS, PANELS_BYTES / (2 * c.panel_bytes)) * PAIR;
        for (c.col0 = 0; c.col0 < p->cols; c.col0 += cols) {
            c.cols = least(cols, p->cols - c.col0);
            multiply_piece(&c);
        }
    }
}

/* ---------------------------------------------------------------- the table's entries */

static int32_t input_gradient_int8_amx(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *dx,
                                       int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    if (q->cols > MAX_BLOCKS * ROW_BLOCK)
        return sterna_table_of(STERNA_AVX512VNNI)->input_gradient_int8(q, w, dx, accumulate, row0, row1, scratch);
    tile_begin();
    int32_t status = input_gradient_int8(q, w, dx, accumulate, row0, row1, scratch);
    tile_end();
    return status;
}

static int32_t weight_gradient_int8_amx(const sterna_gradient *g, const sterna_quantized *x, const sterna_matrix *dw,
                                        int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    tile_begin();
    int32_t status = weight_gradient_int8(g, x, dw, accumulate, row0, row1, scratch);
    tile_end();
    return status;
}

void sterna_amx_gradient(sterna_table *t) {
    t->input_gradient_int8 = input_gradient_int8_amx;
    t->weight_gradient_int8 = weight_gradient_int8_amx;
}
