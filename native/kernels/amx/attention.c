/*
 * attention.c: causal attention with its products in 32 x 32 tiles of bf16: four sums, two tiles of A and
 * two of B. The operands of a product are rounded to bf16 on the way in; sums and the softmax are f32.
 */
#include "kernels/amx/join.h"
#include "kernels/amx/tile.h"
#include "kernels/template/region.h"
#include "kernels/template/block.h"

#define SUMS_IN_ORDER 0
#define STRIP 32
#define KEY_STEP 32
#define MAX_WIDTH 256

/* ---------------------------------------------------------------- operands
 *
 * Rows of A are terms in bf16, rounded up to whole tiles of 32. Rows of B are pairs of terms, a word for each column.
 * Words make both of them the other's transpose: B of the transposed rows is A of the rows, transposed word by word. */

/* Terms of a row of A. */
INLINE int64_t whole_terms(int64_t width) {
    return round_up(width, 32);
}

/* x (BLOCK, terms), terms a multiple of 16, to a (BLOCK, whole_terms) */
static void set_a(uint16_t *a, const float *x, int64_t terms) {
    int64_t step = whole_terms(terms);
    for (int64_t r = 0; r < BLOCK; r++)
        for (int64_t k = 0; k < terms; k += 32) {
            const float *from = x + r * terms + k;
            vfloat high = k + LANES < terms ? load_whole(from + LANES) : splat(0);
            _mm512_store_si512(a + r * step + k, (__m512i)join_along(load_whole(from), high));
        }
}

/* x (rows, cols), rows even, cols a multiple of 16, to b (rows / 2, cols): rows 2 k and 2 k + 1 of a column become
 * neighbours */
static void set_b(uint32_t *b, const float *x, int64_t rows, int64_t cols) {
    for (int64_t k = 0; k < rows; k += 2)
        for (int64_t c = 0; c < cols; c += LANES) {
            const float *from = x + k * cols + c;
            _mm512_store_si512(b + k / 2 * cols + c, (__m512i)join_across(load_whole(from), load_whole(from + cols)));
        }
}

/* Queries are A of the scores, and transposed A of sums of keys, which come out transposed. */
typedef struct queries_operand {
    uint16_t *rows;   /* (BLOCK, whole_terms) */
    uint16_t *rows_t; /* (width, BLOCK) */
} queries_operand;

/* Keys are transposed B of the scores, and B of sums of queries. */
typedef struct keys_operand {
    uint32_t *rows_t; /* (whole_terms / 2, BLOCK) */
    uint32_t *rows;   /* (BLOCK / 2, width) */
} keys_operand;

INLINE int64_t queries_floats(int64_t width, int uses) {
    return BLOCK * whole_terms(width) / 2 + (uses & FOR_SUMS ? BLOCK * width / 2 : 0);
}

INLINE float *rows_of_queries(float *room, float *spare) {
    (void)room;
    return spare;
}

static queries_operand make_queries(const float *rows, int64_t width, int uses, float *room) {
    queries_operand o = {(uint16_t *)room, (uint16_t *)(room + BLOCK * whole_terms(width) / 2)};
    uint32_t words[BLOCK / 2 * MAX_WIDTH] __attribute__((aligned(64)));
    set_a(o.rows, rows, width);
    if (uses & FOR_SUMS) {
        set_b(words, rows, BLOCK, width);
        transpose_words(words, BLOCK / 2, width, o.rows_t);
    }
    return o;
}

INLINE int64_t keys_floats(int64_t width, int uses) {
    return (uses & FOR_SCORES ? BLOCK * whole_terms(width) / 2 : 0) + (uses & FOR_SUMS ? BLOCK * width / 2 : 0);
}

static keys_operand make_keys(const float *rows, int64_t width, int uses, float *room) {
    keys_operand o = {(uint32_t *)room, (uint32_t *)room + keys_floats(width, uses & FOR_SCORES)};
    uint16_t terms[BLOCK * MAX_WIDTH] __attribute__((aligned(64)));
    if (uses & FOR_SCORES) {
        set_a(terms, rows, width);
        transpose_words(terms, BLOCK, whole_terms(width) / 2, o.rows_t);
    }
    if (uses & FOR_SUMS) set_b(o.rows, rows, BLOCK, width);
    return o;
}

static keys_operand keys_of_columns(const float *columns, int64_t width, float *room) {
    uint32_t *pairs = (uint32_t *)room;
    set_b(pairs, columns, width, BLOCK);
    memset(pairs + width / 2 * BLOCK, 0, (size_t)((whole_terms(width) - width) / 2 * BLOCK) * sizeof *pairs);
    return (keys_operand){pairs, NULL};
}

static const float *rows_of_sums(const float *sums_t, int64_t width, float *spare) {
    transpose_words(sums_t, width, BLOCK, spare);
    return spare;
}

/* ---------------------------------------------------------------- products */

/* Once a unit: configuring the tiles takes as long as some products. */
static void begin_products(void) {
    tile_begin();
}

static void end_products(void) {
    tile_end();
}

/* c (rows, cols) = or += a b over terms begin...end - 1, multiples of 32; rows and cols are multiples of 16, of which
 * 32 are taken at most. Steps are those from one row to the next. */
INLINE void multiply_tiles(const uint16_t *a, int64_t a_step, const uint32_t *b, int64_t b_step, int64_t begin,
                           int64_t end, float *c, int64_t c_step, int64_t rows, int64_t cols, int accumulate) {
    int64_t a_bytes = a_step * 2, b_bytes = b_step * 4, c_bytes = c_step * 4;
    float *below = c + 16 * c_step;
    int tall = rows > 16, wide = cols > 16;
    tile_zero_sums();
    if (accumulate) {
        tile_load(0, c, c_bytes);
        if (wide) tile_load(1, c + 16, c_bytes);
        if (tall) tile_load(2, below, c_bytes);
        if (tall && wide) tile_load(3, below + 16, c_bytes);
    }
    for (int64_t k = begin; k < end; k += 32) {
        const uint32_t *pairs = b + k / 2 * b_step;
        tile_load(4, a + k, a_bytes);
        tile_load(6, pairs, b_bytes);
        tile_dot_bf16(0, 4, 6);
        if (wide) {
            tile_load(7, pairs + 16, b_bytes);
            tile_dot_bf16(1, 4, 7);
        }
        if (!tall) continue;
        tile_load(5, a + 16 * a_step + k, a_bytes);
        tile_dot_bf16(2, 5, 6);
        if (wide) tile_dot_bf16(3, 5, 7);
    }
    tile_store(0, c, c_bytes);
    if (wide) tile_store(1, c + 16, c_bytes);
    if (tall) tile_store(2, below, c_bytes);
    if (tall && wide) tile_store(3, below + 16, c_bytes);
}

static void block_scores(const queries_operand *q, const keys_operand *k, float *scores, int64_t queries, int64_t width,
                         int64_t see) {
    int64_t terms = whole_terms(width);
    for (int64_t i = 0; i < queries; i += STRIP)
        for (int64_t j = 0; j < keys_seen(see, i, STRIP); j += 32)
            multiply_tiles(q->rows + i * terms, terms, k->rows_t + j, BLOCK, 0, terms, scores + i * BLOCK + j, BLOCK, STRIP,
                           32, 0);
}

static void block_values(const float *weights, const keys_operand *v, float *sums, int64_t queries, int64_t width,
                         int64_t see) {
    uint16_t a[BLOCK * BLOCK] __attribute__((aligned(64)));
    set_a(a, weights, BLOCK);
    for (int64_t i = 0; i < queries; i += STRIP)
        for (int64_t c = 0; c < width; c += 32)
            multiply_tiles(a + i * BLOCK, BLOCK, v->rows + c, width, 0, round_up(keys_seen(see, i, STRIP), KEY_STEP),
                           sums + i * width + c, width, STRIP, width - c, 1);
}

/* A key j is seen by queries from j - see on; see is a multiple of STRIP. sums are (width, BLOCK). */
static void block_transposed(const float *weights, const queries_operand *q, float *sums, int64_t queries, int64_t keys,
                             int64_t width, int64_t see) {
    uint32_t b[BLOCK / 2 * BLOCK] __attribute__((aligned(64)));
    set_b(b, weights, BLOCK, BLOCK);
    for (int64_t j = 0; j < keys; j += STRIP)
        for (int64_t c = 0; c < width; c += 32)
            multiply_tiles(q->rows_t + c * BLOCK, BLOCK, b + j, BLOCK, clamp(j - see, 0, BLOCK), round_up(queries, STRIP),
                           sums + c * BLOCK + j, BLOCK, width - c, 32, 1);
}

#include "kernels/template/attention.h"

#include "dispatch/families.h"

void sterna_amx_attention(sterna_table *t) {
    fill_attention(t);
}
