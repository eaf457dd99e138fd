/*
 * linear_few.c: sterna_linear of at most 32 tokens, in tiles of 32 rows of w by 16 tokens or twice as many.
 *
 * Each weight is needed once, so that memory decides if what is done with one takes no longer than it comes. Rows of
 * w are the left operand, whose tiles hold a row's columns side by side, as they come unpacked: nothing is
 * interleaved. Four blocks of the rows are unpacked at a time, of ternary rows a cache line each, by turns to two
 * places that L1 keeps, while the tiles multiply what the other place holds. Four sums are under way in any case, since a
 * product ends four times as late as the next one may begin: of one tile of tokens those of even and of odd blocks.
 */
#include "kernels/amx/linear_few.h"

#include "kernels/amx/pair.h"
#include "kernels/template/linear_call.h"
#include "kernels/template/transpose.h"

enum {
    MAX_BLOCKS = STERNA_AMX_COLS / STERNA_BLOCK,
    SEGMENT_BLOCKS = 4
};

/* A tile of tokens, 64 columns: byte k of token t is [k / 4][t][k % 4]. */
typedef int8_t token_tile[TILE][TILE][4];
typedef uint8_t segment_codes[SEGMENT_BLOCKS][PAIR][STERNA_BLOCK];

struct linear_scratch {
    token_tile tokens[2][MAX_BLOCKS]; /* those of tokens past T may hold anything */
    int32_t biases[MAX_BLOCKS][PAIR]; /* what the sums over a group's columns have too much of, by token */
    segment_codes codes[2];
    pair_sums sums;                   /* row, token; of one tile of tokens over even blocks, then over odd ones */
    float totals[2][PAIR][TILE];      /* sums of groups, scaled: of a tile of rows; token, row */
    float scales[2][TILE];
};
_Static_assert(sizeof(struct linear_scratch) <= STERNA_SCRATCH_BYTES, "it fits in scratch");

/* ---------------------------------------------------------------- tokens */

/* Block b of eight tokens from `token` on becomes columns of a tile. */
static void interleave_tokens(const linear_call *c, int64_t token, int64_t b, const bytes x[8]) {
    int8_t *to = c->scratch->tokens[token / TILE][b][0][token % TILE];
    for (int half = 0; half < 2; half++) {
        __m256i words[8];
        for (int i = 0; i < 8; i++) words[i] = half ? _mm512_extracti64x4_epi64(x[i], 1) : _mm512_castsi512_si256(x[i]);
        transpose_8x8(words);
        for (int i = 0; i < 8; i++) _mm256_store_si256((__m256i *)(to + (8 * half + i) * TILE * 4), words[i]);
    }
}

/* Of `count` rows from `row` on, all columns of those before `rows`, and none of the others. */
INLINE void rows_there(int64_t row, int64_t rows, int count, __mmask64 *there) {
    for (int i = 0; i < count; i++) there[i] = row + i < rows ? ~0ull : 0;
}

/* Eight tokens from `token` on: their columns of group g, and their biases. */
static void pack_tokens(const linear_call *c, int64_t token, int64_t g) {
    bytes sum[8], x[8];
    for (int i = 0; i < 8; i++) sum[i] = zero_bytes();
    int64_t first = g * c->group_blocks, end = first + blocks_of_group(c, g);
    __mmask64 there[8];
    rows_there(token, c->q->rows, 8, there);
    for (int64_t b = first; b < end; b++) {
        __mmask64 columns = columns_left(c->q->cols - b * STERNA_BLOCK);
        for (int i = 0; i < 8; i++) {
            const int8_t *from = c->q->codes + (token + i) * c->q->stride + b * STERNA_BLOCK;
            x[i] = _mm512_maskz_loadu_epi8(columns & there[i], from);
            sum[i] = _mm512_dpbusd_epi32(sum[i], _mm512_set1_epi8(1), x[i]);
        }
        interleave_tokens(c, token, b, x);
    }
    int32_t *biases = &c->scratch->biases[g][token];
    for (int i = 0; i < 8; i += 4) add_lanes_of_four(sum + i, biases + i);
    for (int i = 0; i < 8; i++) biases[i] *= c->bias;
}

/* ---------------------------------------------------------------- rows */

/* Some blocks of group g of the 32 rows of w from n on. */
struct segment {
    int64_t n, g, block, blocks;
};

static struct segment segment_at(const linear_call *c, int64_t n, int64_t g, int64_t block) {
    int64_t end = g * c->group_blocks + blocks_of_group(c, g);
    return (struct segment){n, g, block, least(SEGMENT_BLOCKS, end - block)};
}

static int begins_group(const linear_call *c, struct segment s) {
    return s.block == s.g * c->group_blocks;
}

static int ends_group(const linear_call *c, struct segment s) {
    return s.block + s.blocks == s.g * c->group_blocks + blocks_of_group(c, s.g);
}

static struct segment segment_after(const linear_call *c, struct segment s) {
    int64_t block = s.block + s.blocks;
    if (!ends_group(c, s)) return segment_at(c, s.n, s.g, block);
    return s.g + 1 < c->groups ? segment_at(c, s.n, s.g + 1, block) : segment_at(c, s.n + PAIR, 0, 0);
}

/* `bits` and, unless a group ends, `blocks` are constants where this is inlined. */
INLINE void unpack_row(const uint8_t *row, const uint8_t *next, int bits, int64_t blocks, int64_t r,
                       segment_codes codes) {
#pragma GCC unroll 4
    for (int64_t line = 0; line < blocks * 8 * bits; line += 64) __builtin_prefetch(next + line, 0, 2);
#pragma GCC unroll 4
    for (int64_t b = 0; b < blocks; b++) {
        bytes u;
        unpack_block(row + b * 8 * bits, bits, &u);
        _mm512_store_si512(codes[b][r], u);
    }
}

/* A segment of rows, of which `last` is the last that is there; as much is fetched of the 32 rows that come next. */
INLINE void unpack_rows_of(const linear_call *c, struct segment s, int64_t last, int bits, segment_codes codes) {
    const uint8_t *row = sterna_packed_row(c->w, s.n) + s.block * 8 * bits;
    int64_t row_bytes = c->row_bytes;
    if (s.blocks == SEGMENT_BLOCKS && s.n + PAIR <= last + 1) {
        for (int64_t r = 0; r < PAIR; r++, row += row_bytes)
            unpack_row(row, row + PAIR * row_bytes, bits, SEGMENT_BLOCKS, r, codes);
    } else {
        for (int64_t r = 0; r < PAIR; r++) {
            const uint8_t *there = row + least(r, last - s.n) * row_bytes;
            unpack_row(there, there + PAIR * row_bytes, bits, s.blocks, r, codes);
        }
    }
}

static void unpack_segment(const linear_call *c, struct segment s, int64_t last, segment_codes codes) {
    switch (c->bits) {
    case 1: unpack_rows_of(c, s, last, 1, codes); break;
    case 2: unpack_rows_of(c, s, last, 2, codes); break;
    case 3: unpack_rows_of(c, s, last, 3, codes); break;
    case 4: unpack_rows_of(c, s, last, 4, codes); break;
    case 5: unpack_rows_of(c, s, last, 5, codes); break;
    case 6: unpack_rows_of(c, s, last, 6, codes); break;
    case 7: unpack_rows_of(c, s, last, 7, codes); break;
    default: unpack_rows_of(c, s, last, 8, codes); break;
    }
}

/* ---------------------------------------------------------------- products */

/* One tile of tokens: the sums of even blocks are in tiles 0 and 2, of odd ones in 1 and 3. */
static void multiply_tile(const token_tile *x, segment_codes codes, int64_t blocks) {
    for (int64_t b = 0; b < blocks; b += 2) {
        tile_load(6, x[b], 64);
        tile_load(4, codes[b], 64);
        tile_dot_u8s8(0, 4, 6);
        tile_load(5, codes[b] + TILE, 64);
        tile_dot_u8s8(2, 5, 6);
        if (b + 1 == blocks) return;
        tile_load(7, x[b + 1], 64);
        tile_load(4, codes[b + 1], 64);
        tile_dot_u8s8(1, 4, 7);
        tile_load(5, codes[b + 1] + TILE, 64);
        tile_dot_u8s8(3, 5, 7);
    }
}

/* Two tiles of tokens: sums of the first are in tiles 0 and 2, of the second in 1 and 3. */
static void multiply_two_tiles(const token_tile *x, segment_codes codes, int64_t blocks) {
    for (int64_t b = 0; b < blocks; b++) {
        tile_load(6, x[b], 64);
        tile_load(4, codes[b], 64);
        tile_dot_u8s8(0, 4, 6);
        tile_load(7, x[MAX_BLOCKS + b], 64);
        tile_dot_u8s8(1, 4, 7);
        tile_load(5, codes[b] + TILE, 64);
        tile_dot_u8s8(2, 5, 6);
        tile_dot_u8s8(3, 5, 7);
    }
}

static void multiply_segment(const linear_call *c, struct segment s, segment_codes codes) {
    const token_tile *x = c->scratch->tokens[0] + s.block;
    if (begins_group(c, s)) tile_zero_sums();
    if (c->q->rows <= TILE) multiply_tile(x, codes, s.blocks);
    else multiply_two_tiles(x, codes, s.blocks);
}

/* ---------------------------------------------------------------- sums to y */

/* The sums of row r of 32, of eight tokens from `token` on. */
INLINE __m256i sums_of_row(const linear_call *c, int64_t r, int64_t token) {
    const int32_t *sums = &c->scratch->sums[r][token];
    __m256i first = _mm256_load_si256((const __m256i *)sums);
    if (c->q->rows > TILE) return first;
    return _mm256_add_epi32(first, _mm256_load_si256((const __m256i *)(sums + TILE)));
}

/* Eight tokens from `token` on of a tile of `rows` rows, whose first is n. */
static void finish_tokens(const linear_call *c, struct segment s, int half, int64_t n, int64_t rows, int64_t token) {
    __m256i low[8], high[8];
    for (int r = 0; r < 8; r++) {
        low[r] = sums_of_row(c, half * TILE + r, token);
        high[r] = sums_of_row(c, half * TILE + 8 + r, token);
    }
    transpose_8x8(low);
    transpose_8x8(high);
    for (int64_t i = 0; i < least(8, c->q->rows - token); i++) {
        int32_t sum[TILE];
        _mm256_storeu_si256((__m256i *)sum, low[i]);
        _mm256_storeu_si256((__m256i *)(sum + 8), high[i]);
        float *total = c->scratch->totals[half][token + i];
        add_group(total, sum, c->scratch->biases[s.g][token + i], c->scratch->scales[half], s.g);
        if (s.g == c->groups - 1) store_values(c, token + i, n, total, rows);
    }
}

/* A group of 32 rows, of which `last` is the last that is there. */
static void finish_group(const linear_call *c, struct segment s, int64_t last) {
    for (int half = 0; half < 2 && s.n + half * TILE <= last; half++) {
        int64_t n = s.n + half * TILE, rows = least(TILE, last + 1 - n);
        copy_scales(c, n, rows, s.g, c->scratch->scales[half]);
        for (int64_t token = 0; token < c->q->rows; token += 8) finish_tokens(c, s, half, n, rows, token);
    }
}

/* Segment by segment: the next one is unpacked while the tiles have to do, and before sums are asked for. */
int32_t sterna_amx_linear_few(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                              const sterna_matrix *residual, int64_t row0, int64_t row1, void *scratch) {
    linear_call c = make_linear_call(q, w, y, residual, scratch);
    int turn = 0;
    for (int64_t g = 0; g < c.groups; g++)
        for (int64_t token = 0; token < q->rows; token += 8) pack_tokens(&c, token, g);
    tile_begin();
    struct segment s = segment_at(&c, row0, 0, 0);
    if (row0 < row1) unpack_segment(&c, s, row1 - 1, c.scratch->codes[turn]);
    while (s.n < row1) {
        struct segment next = segment_after(&c, s);
        multiply_segment(&c, s, c.scratch->codes[turn]);
        if (ends_group(&c, s)) store_pair(&c.scratch->sums);
        turn ^= 1;
        if (next.n < row1) unpack_segment(&c, next, row1 - 1, c.scratch->codes[turn]);
        if (ends_group(&c, s)) finish_group(&c, s, row1 - 1);
        s = next;
    }
    tile_end();
    return STERNA_OK;
}
