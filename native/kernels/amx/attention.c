/*
 * attention.c: causal attention with its products in 32 x 32 tiles of bf16: four sums, two tiles of A and
 * two of B. The operands of a product are rounded to bf16 on the way in; sums and the softmax are f32.
 */
#include "kernels/amx/tile.h"
#include "kernels/template/ahead.h"
#include "kernels/template/block.h"

#define STRIP 32
#define KEY_STEP 32
#define MAX_WIDTH 256

/* The operands of one product, whose terms are padded with zeros to a multiple of 32. */
typedef struct operands {
    uint16_t a[BLOCK * MAX_WIDTH]; /* (BLOCK, terms) */
    uint32_t b[BLOCK * MAX_WIDTH / 2]; /* (terms / 2, cols): pairs of terms */
    int64_t a_step, b_step; /* elements from one row to the next */
} __attribute__((aligned(64))) operands;

INLINE __m512i join(vfloat low, vfloat high) {
    return (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}

/* x (BLOCK, terms), terms a multiple of 16 */
static void set_a(operands *o, const float *x, int64_t terms) {
    o->a_step = round_up(terms, 32);
    for (int64_t r = 0; r < BLOCK; r++)
        for (int64_t k = 0; k < terms; k += 32) {
            const float *from = x + r * terms + k;
            vfloat high = k + LANES < terms ? load_whole(from + LANES) : splat(0);
            _mm512_store_si512(o->a + r * o->a_step + k, join(load_whole(from), high));
        }
}

/* x (terms, cols), both multiples of 16; terms 2 k and 2 k + 1 of a column become neighbours */
static void set_b(operands *o, const float *x, int64_t terms, int64_t cols) {
    const __m512i low_first = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                               21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    o->b_step = cols;
    for (int64_t k = 0; k < terms; k += 2)
        for (int64_t c = 0; c < cols; c += LANES) {
            __m512i pair = join(load_whole(x + k * cols + c), load_whole(x + (k + 1) * cols + c));
            _mm512_store_si512(o->b + k / 2 * cols + c, _mm512_permutexvar_epi16(low_first, pair));
        }
    int64_t padding = (round_up(terms, 32) - terms) / 2 * cols;
    memset(o->b + terms / 2 * cols, 0, (size_t)padding * sizeof *o->b);
}

/* c (32, cols) = or += rows row... of a b, over terms begin...end - 1, multiples of 32; cols one of 16. */
static void multiply_strip(const operands *o, int64_t row, int64_t begin, int64_t end, float *c, int64_t c_step,
                           int64_t cols, int accumulate) {
    const uint16_t *a = o->a + row * o->a_step;
    int64_t a_bytes = o->a_step * 2, b_bytes = o->b_step * 4, c_bytes = c_step * 4;
    for (int64_t n = 0; n < cols; n += 32) {
        int both = n + 16 < cols; /* else the right two sums stay unused */
        float *left = c + n, *right = c + n + 16;
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
        if (accumulate) {
            tile_load(0, left, c_bytes);
            tile_load(2, left + 16 * c_step, c_bytes);
        }
        if (accumulate && both) {
            tile_load(1, right, c_bytes);
            tile_load(3, right + 16 * c_step, c_bytes);
        }
        for (int64_t k = begin; k < end; k += 32) {
            const uint32_t *b = o->b + k / 2 * o->b_step + n;
            tile_load(4, a + k, a_bytes);
            tile_load(5, a + 16 * o->a_step + k, a_bytes);
            tile_load(6, b, b_bytes);
            tile_dot_bf16(0, 4, 6);
            tile_dot_bf16(2, 5, 6);
            if (!both) continue;
            tile_load(7, b + 16, b_bytes);
            tile_dot_bf16(1, 4, 7);
            tile_dot_bf16(3, 5, 7);
        }
        tile_store(0, left, c_bytes);
        tile_store(2, left + 16 * c_step, c_bytes);
        if (both) {
            tile_store(1, right, c_bytes);
            tile_store(3, right + 16 * c_step, c_bytes);
        }
    }
}

static void block_scores(const float *rows, const float *keys_t, float *scores, int64_t queries, int64_t width,
                         int64_t see, ahead *next) {
    operands o;
    set_a(&o, rows, width);
    set_b(&o, keys_t, width, BLOCK);
    tile_begin();
    for (int64_t i = 0; i < queries; i += STRIP) {
        multiply_strip(&o, i, 0, round_up(width, 32), scores + i * BLOCK, BLOCK,
                       round_up(keys_seen(see, i, STRIP), KEY_STEP), 0);
        fetch_ahead(next, STRIP);
    }
    tile_end();
}

static void block_values(const float *weights, const float *rows, float *sums, int64_t queries, int64_t width,
                         int64_t see, ahead *next) {
    operands o;
    set_a(&o, weights, BLOCK);
    set_b(&o, rows, BLOCK, width);
    tile_begin();
    for (int64_t i = 0; i < queries; i += STRIP) {
        multiply_strip(&o, i, 0, round_up(keys_seen(see, i, STRIP), KEY_STEP), sums + i * width, width, width, 1);
        fetch_ahead(next, STRIP);
    }
    tile_end();
}

/* A key j is seen by queries from j - see on; see is a multiple of STRIP. */
static void block_transposed(const float *weights, const float *rows, float *sums, int64_t queries, int64_t keys,
                             int64_t width, int64_t see, ahead *next) {
    operands o;
    float weights_t[BLOCK * BLOCK] __attribute__((aligned(64)));
    transpose_block(weights, BLOCK, weights_t);
    set_a(&o, weights_t, BLOCK);
    set_b(&o, rows, BLOCK, width);
    tile_begin();
    for (int64_t j = 0; j < keys; j += STRIP) {
        multiply_strip(&o, j, clamp(j - see, 0, BLOCK), round_up(queries, STRIP), sums + j * width, width, width, 1);
        fetch_ahead(next, STRIP);
    }
    tile_end();
}

#include "kernels/template/attention.h"

#include "dispatch/families.h"

void sterna_amx_attention(sterna_table *t) {
    fill_attention(t);
}
