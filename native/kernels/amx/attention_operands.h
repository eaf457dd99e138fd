/*
 * attention_operands.h: what attention multiplies in tiles. Queries and keys come in strips of 32 rows; where a strip of
 * each meet, a cell of 32 x 32 scores takes four tiles. Rows are rounded to bf16 terms once, or copied where they are
 * bf16 already; what is a product's B holds pairs of terms, a word for each column. Words make both of them the other's
 * transpose: B of the transposed rows is A of the rows, transposed word by word.
 */
#ifndef STERNA_AMX_ATTENTION_OPERANDS_H
#define STERNA_AMX_ATTENTION_OPERANDS_H

#include "kernels/amx/join.h"
#include "kernels/amx/tile.h"
#include "kernels/template/attention_unit.h"
#include "kernels/template/square.h"

#define STRIP 32
#define CELL (STRIP * STRIP)
#define SPAN_CELLS 8 /* strips of keys whose terms a sum takes at a time */
#define SPAN (SPAN_CELLS * STRIP)
#define MAX_WIDTH 256

/* Terms of a row, a multiple of those of a tile. */
INLINE int64_t whole_terms(int64_t cols) {
    return round_up(cols, 32);
}

/* Words of a strip's rows, and of their transpose. */
INLINE int64_t row_words(int64_t cols) {
    return STRIP * whole_terms(cols) / 2;
}

/* 32 terms of a row from column c on; those from `left` on are 0. */
INLINE __m512i terms_of(row line, int64_t c, int64_t left) {
    const uint16_t *shorts = (const uint16_t *)line.data + c;
    if (line.type != STERNA_BF16)
        return (__m512i)join_along(load_line(line, c, left), load_line(line, c + LANES, left - LANES));
    if (left >= 32) return _mm512_loadu_si512(shorts);
    if (left == 16) return _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)shorts));
    return _mm512_maskz_loadu_epi16((1u << left) - 1, shorts);
}

/* Columns c... of all rows; `left` a constant where it can be. */
INLINE void load_columns_of_terms(region from, int32_t type, int64_t c, int64_t left, uint16_t *terms, int64_t step) {
    for (int64_t r = 0; r < from.rows; r++)
        _mm512_store_si512(terms + r * step + c, terms_of(line_of(from, type, r), c, left));
}

INLINE void load_typed_terms(region from, int32_t type, uint16_t *terms) {
    int64_t step = whole_terms(from.cols), whole = from.cols / 32 * 32, left = from.cols - whole;
    for (int64_t c = 0; c < whole; c += 32) load_columns_of_terms(from, type, c, 32, terms, step);
    if (left == 16) load_columns_of_terms(from, type, whole, 16, terms, step);
    else if (left) load_columns_of_terms(from, type, whole, left, terms, step);
    memset(terms + from.rows * step, 0, (size_t)((STRIP - from.rows) * step) * sizeof *terms);
}

/* The rows of a strip to terms (STRIP, whole_terms); missing rows and terms are 0. */
static void load_terms(region from, uint16_t *terms) {
    if (from.type == STERNA_BF16) load_typed_terms(from, STERNA_BF16, terms);
    else if (from.type == STERNA_F32) load_typed_terms(from, STERNA_F32, terms);
    else load_typed_terms(from, STERNA_I8, terms);
}

/* Pairs of LANES terms of a row and those of the next. */
INLINE void pair_terms(const uint16_t *row, const uint16_t *next, uint32_t *pairs) {
    __m512i even = _mm512_zextsi256_si512(_mm256_load_si256((const __m256i *)row));
    __m256i odd = _mm256_load_si256((const __m256i *)next);
    _mm512_store_si512(pairs, by_turns(_mm512_mask_broadcast_i64x4(even, 0xf0, odd)));
}

/* terms (STRIP, whole_terms) to pairs (STRIP / 2, width): rows 2 k and 2 k + 1 of a column become neighbours. */
static void pair_rows(const uint16_t *terms, int64_t width, uint32_t *pairs) {
    int64_t step = whole_terms(width);
    for (int64_t k = 0; k < STRIP / 2; k++, terms += 2 * step)
        for (int64_t c = 0; c < width; c += LANES) pair_terms(terms + c, terms + step + c, pairs + k * width + c);
}

/* Columns of x (16, 16), words with a row every `step`. Runs of four words are put in their place as they are loaded, so
 * that half the shuffles are left. */
INLINE void load_columns(const void *x, int64_t step, __m512i columns[16]) {
    const uint32_t *rows = x;
    for (int c = 0; c < 16; c += 4) {
        __m512i v[4];
        for (int r = 0; r < 4; r++) {
            const uint32_t *from = rows + r * step + c;
            v[r] = _mm512_zextsi128_si512(_mm_load_si128((const __m128i *)from));
            v[r] = _mm512_mask_broadcast_i32x4(v[r], 0x00f0, _mm_load_si128((const __m128i *)(from + 4 * step)));
            v[r] = _mm512_mask_broadcast_i32x4(v[r], 0x0f00, _mm_load_si128((const __m128i *)(from + 8 * step)));
            v[r] = _mm512_mask_broadcast_i32x4(v[r], 0xf000, _mm_load_si128((const __m128i *)(from + 12 * step)));
        }
        transpose_fours((vuint *)v);
        for (int i = 0; i < 4; i++) columns[c + i] = v[i];
    }
}

/* x (rows, cols) words, multiples of 16, to x_t (cols, rows) */
static void transpose_squares(const void *x, int64_t rows, int64_t cols, void *x_t) {
    for (int64_t r = 0; r < rows; r += 16)
        for (int64_t c = 0; c < cols; c += 16) {
            __m512i columns[16];
            load_columns((const uint32_t *)x + r * cols + c, cols, columns);
            for (int i = 0; i < 16; i++) _mm512_store_si512((uint32_t *)x_t + (c + i) * rows + r, columns[i]);
        }
}

/* Sum and maximum of each of 16 rows of 16 lanes. */
INLINE vfloat sums_of_rows(const float *lanes) {
    __m512i v[16];
    load_columns(lanes, LANES, v);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) v[i] = (__m512i)((vfloat)v[i] + (vfloat)v[i + half]);
    return (vfloat)v[0];
}

INLINE vfloat maxima_of_rows(const float *lanes) {
    __m512i v[16];
    load_columns(lanes, LANES, v);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) v[i] = (__m512i)max_float((vfloat)v[i], (vfloat)v[i + half]);
    return (vfloat)v[0];
}

/* ---------------------------------------------------------------- weights */

/* 2^(x * factor - shift), within 3e-6 of it: 2^-9 is what rounding to bf16 leaves of it. 2^r on 0 <= r < 1 is the polynomial
 * of degree 4 with least relative error among those that are 1 at 0. */
INLINE vfloat exp2_of_scaled(vfloat x, vfloat factor, vfloat shift) {
    __m512 y = _mm512_fmsub_ps((__m512)x, (__m512)factor, (__m512)shift);
    vfloat r = (vfloat)_mm512_reduce_ps(y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    vfloat p = fused_add(r, splat(1.34266847e-2f), splat(5.22424728e-2f));
    p = fused_add(p, r, splat(2.41280198e-1f));
    p = fused_add(p, r, splat(6.93044841e-1f));
    p = fused_add(p, r, splat(1.0f));
    return (vfloat)_mm512_scalef_ps((__m512)p, y);
}

/* ---------------------------------------------------------------- products */

/* A or B of a product: its first 32 terms, and how far it is to the next row (of B: of pairs) and to the next 32 terms. */
typedef struct factor {
    const void *at;
    int64_t row_bytes, step_bytes;
} factor;

/* c, f32, = or += a b over `steps` times 32 terms: two tiles high if tall, two tiles wide if wide. */
INLINE void multiply_tiles(factor a, factor b, int64_t steps, float *c, int64_t c_step, int tall, int wide, int accumulate) {
    int64_t c_bytes = c_step * 4;
    float *below = c + 16 * c_step;
    const char *rows = a.at, *pairs = b.at;
    tile_zero_sums();
    if (accumulate) {
        tile_load(0, c, c_bytes);
        if (wide) tile_load(1, c + 16, c_bytes);
        if (tall) tile_load(2, below, c_bytes);
        if (tall && wide) tile_load(3, below + 16, c_bytes);
    }
    for (int64_t k = 0; k < steps; k++, rows += a.step_bytes, pairs += b.step_bytes) {
        tile_load(4, rows, a.row_bytes);
        tile_load(6, pairs, b.row_bytes);
        tile_dot_bf16(0, 4, 6);
        if (wide) {
            tile_load(7, pairs + 64, b.row_bytes);
            tile_dot_bf16(1, 4, 7);
        }
        if (!tall) continue;
        tile_load(5, rows + 16 * a.row_bytes, a.row_bytes);
        tile_dot_bf16(2, 5, 6);
        if (wide) tile_dot_bf16(3, 5, 7);
    }
    tile_store(0, c, c_bytes);
    if (wide) tile_store(1, c + 16, c_bytes);
    if (tall) tile_store(2, below, c_bytes);
    if (tall && wide) tile_store(3, below + 16, c_bytes);
}

/* A cell (STRIP, STRIP) of products of rows (STRIP, terms) and of transposed rows, pairs (terms / 2, STRIP). */
INLINE void multiply_rows(const uint16_t *rows, const uint32_t *rows_t, int64_t terms, float *cell) {
    factor a = {rows, terms * 2, 64}, b = {rows_t, STRIP * 4, 16 * STRIP * 4};
    multiply_tiles(a, b, terms / 32, cell, STRIP, 1, 1, 0);
}

/* sums (STRIP, width) = or += cells, of bf16 weights, times strips of pairs (STRIP / 2, width), each `strip_words` behind the
 * one before. */
static void add_weighted(const uint16_t *cells, const uint32_t *pairs, int64_t strip_words, int64_t count, float *sums,
                         int64_t width, int accumulate) {
    for (int64_t c = 0; c < width; c += STRIP) {
        factor a = {cells, STRIP * 2, CELL * 2}, b = {pairs + c, width * 4, strip_words * 4};
        if (width - c > 16) multiply_tiles(a, b, count, sums + c, width, 1, 1, accumulate);
        else multiply_tiles(a, b, count, sums + c, width, 1, 0, accumulate);
    }
}

/* ---------------------------------------------------------------- rows of the next unit */

/* What is on its way from memory while a unit is computed: the rows of the one after it, whose distance no prefetcher of
 * the hardware covers. */
typedef struct ahead {
    const unit *next; /* or null */
    int64_t row, rows; /* the next query of its group's, and how many to take at a time */
} ahead;

INLINE void fetch_rows(region x) {
    int64_t bytes = x.cols * element_bytes(x.type), step = x.stride * element_bytes(x.type);
    for (const char *r = x.data, *end = r + x.rows * step; r < end; r += step)
        for (const char *line = (const char *)((uintptr_t)r & ~(uintptr_t)63); line < r + bytes; line += 64)
            __builtin_prefetch(line, 0, 2);
}

/* Fetches some rows of `of_queries` and, as many as there are, of `of_keys`, which lie by row. */
INLINE void fetch_ahead(ahead *x, const sterna_matrix *const *of_queries, int n, const sterna_matrix *const *of_keys, int m) {
    const unit *u = x->next;
    if (!u || x->row >= u->group * u->a->length) return;
    int64_t head = x->row / u->a->length, query0 = x->row % u->a->length;
    query_block at = {u->kv_head * u->group + head, query0, clamp(u->a->length - query0, 0, x->rows)};
    for (int i = 0; i < n; i++) fetch_rows(query_region(u, of_queries[i], at));
    for (int i = 0; i < m && !head; i++) {
        region keys = key_region(u, of_keys[i], query0);
        keys.rows = at.queries;
        fetch_rows(keys);
    }
    x->row += at.queries;
}

/* Rows of the next unit to fetch with each cell, so that the last comes with the last. */
static int64_t rows_a_cell(const unit *u) {
    return (2 * STRIP + u->head_blocks) / (u->head_blocks + 1);
}

/* ---------------------------------------------------------------- results */

/* 32 floats of a row become columns c... of `to`; those from `left` on are left out. */
INLINE void store_terms(row to, int64_t c, int64_t left, vfloat low, vfloat high) {
    uint16_t *shorts = (uint16_t *)to.data + c;
    if (to.type == STERNA_F32) {
        store(to, c, left, low);
        if (left > LANES) store(to, c + LANES, left - LANES, high);
        return;
    }
    __m512i terms = (__m512i)join_along(low, high);
    if (left >= 32) _mm512_storeu_si512(shorts, terms);
    else if (left == 16) _mm256_storeu_si256((__m256i *)shorts, _mm512_castsi512_si256(terms));
    else _mm512_mask_storeu_epi16(shorts, (1u << left) - 1, terms);
}

/* Columns c... of all rows; `left` a constant where it can be. */
INLINE void store_columns_of_sums(const float *sums, const float *factors, region to, int32_t type, int64_t c, int64_t left) {
    int64_t width = width_of(to.cols);
    for (int64_t r = 0; r < to.rows; r++) {
        const float *from = sums + r * width + c;
        vfloat by = splat(factors[r]), low = fused_add(load_whole(from), by, splat(0));
        vfloat high = left > LANES ? fused_add(load_whole(from + LANES), by, splat(0)) : splat(0);
        store_terms(line_of(to, type, r), c, left, low, high);
    }
}

/* One that is 0 is +0, since its sign may come from terms of no weight, which are summed or not as other rows need them. */
INLINE void store_typed_sums(const float *sums, const float *factors, region to, int32_t type) {
    int64_t whole = to.cols / 32 * 32, left = to.cols - whole;
    for (int64_t c = 0; c < whole; c += 32) store_columns_of_sums(sums, factors, to, type, c, 32);
    if (left == 16) store_columns_of_sums(sums, factors, to, type, whole, 16);
    else if (left) store_columns_of_sums(sums, factors, to, type, whole, left);
}

/* Stores sums (rows, width) times a factor for each row. */
static void store_sums(const float *sums, const float *factors, region to) {
    if (to.type == STERNA_F32) store_typed_sums(sums, factors, to, STERNA_F32);
    else store_typed_sums(sums, factors, to, STERNA_BF16);
}

INLINE void fill(float *x, int64_t n, float value) {
    for (int64_t i = 0; i < n; i += LANES) store_whole(x + i, splat(value));
}

#endif
