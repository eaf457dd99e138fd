/*
 * linear.c: sterna_linear in tiles of 32 tokens by 32 rows: four sums, two tiles of tokens, two of weights.
 *
 * The four products of a step take 64 cycles and read 4 KiB. That is more than L2 gives, so one side comes
 * from L1: the columns are cut into segments of 576 at most, and the 18 KiB that 32 tokens have in a segment meet
 * every pair of panels (18 KiB each, from L2) before the next segment; with them and the sums of two pairs L1 is
 * full. A group of columns that is longer than a segment takes its sums up again from scratch. Finished sums become
 * results a few tokens at each step of the next pair: else the tiles would wait, for half the time where rows are
 * short.
 *
 * Few tokens are bound by memory: they go to linear_few.c, and fewer yet to AVX-512 VNNI. So do rows too long for this
 * file's scratch.
 */
#include "dispatch/families.h"
#include "kernels/amx/linear_few.h"
#include "kernels/amx/pair.h"
#include "kernels/template/linear_call.h"

enum {
    SEGMENT_BLOCKS = 9,                /* of 64 columns: 18 KiB of 32 tokens */
    MIN_TOKENS = 5,
    MAX_BLOCKS = STERNA_AMX_COLS / STERNA_BLOCK,
    MAX_PAIRS = 16                     /* 512 rows of w: 1 MiB of panels at 2048 columns */
};

struct linear_scratch {
    int8_t tokens[MAX_BLOCKS][2][TILE][STERNA_BLOCK]; /* columns past K and tokens past T are 0 */
    int32_t token_biases[MAX_BLOCKS][PAIR];           /* what the sums over a group's columns have too much of */
    pair_sums sums[MAX_PAIRS];                        /* but the first alone where no group has two segments */
    float totals[MAX_PAIRS][PAIR][PAIR];              /* sums of groups, scaled */
    uint8_t panels[];
};

#define PANELS_BYTES (STERNA_SCRATCH_BYTES - (int64_t)sizeof(struct linear_scratch))
_Static_assert(PANELS_BYTES >= 2 * (MAX_BLOCKS * TILE_BYTES + MAX_BLOCKS * TILE * 4), "a pair of panels fits");

/* ---------------------------------------------------------------- tokens */

/* Four tokens, tile t, rows m...m+3: their columns of group g, and their biases. */
static void copy_tokens(const linear_call *c, int64_t token, int t, int m, int64_t g) {
    bytes sum[4] = {zero_bytes(), zero_bytes(), zero_bytes(), zero_bytes()};
    int64_t first = g * c->group_blocks, end = first + blocks_of_group(c, g);
    __mmask64 there[4];
    rows_there(token, c->q->rows, 4, there);
    for (int64_t b = first; b < end; b++) {
        __mmask64 columns = columns_left(c->q->cols - b * STERNA_BLOCK);
        for (int i = 0; i < 4; i++) {
            const int8_t *x = c->q->codes + (token + i) * c->q->stride + b * STERNA_BLOCK;
            bytes v = _mm512_maskz_loadu_epi8(columns & there[i], x);
            sum[i] = _mm512_dpbusd_epi32(sum[i], _mm512_set1_epi8(1), v);
            _mm512_store_si512(c->scratch->tokens[b][t][m + i], v);
        }
    }
    int32_t *biases = &c->scratch->token_biases[g][t * TILE + m];
    add_lanes_of_four(sum, biases);
    for (int i = 0; i < 4; i++) biases[i] *= c->bias;
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

/* Sums of tokens t0...t0+31 over group g that are complete, of a pair of panels whose first row of w is n. */
struct finished {
    int64_t pair, g, t0, n, rows; /* rows 0: none */
};

/* The sums of pair number `pair`. */
INLINE pair_sums *sums_of(const linear_call *c, int64_t pair) {
    return &c->scratch->sums[c->group_blocks > SEGMENT_BLOCKS ? pair : 0];
}

/* A panel of token i: a tail of rows, or one of several groups. */
static void finish_panel(const linear_call *c, const struct finished *f, int64_t i, int64_t panel, int64_t rows) {
    float *total = &c->scratch->totals[f->pair][i][panel * TILE];
    add_group(total, &(*sums_of(c, f->pair))[i][panel * TILE], c->scratch->token_biases[f->g][i],
              panel_scales(c, 2 * f->pair + panel, f->g), f->g);
    if (f->g == c->groups - 1) store_values(c, f->t0 + i, f->n + panel * TILE, total, rows);
}

enum { NO_TYPE = -1 };

/* Tokens begin...end-1 of a whole pair without groups: the same in registers. The types of y and of the residual, if
 * there is one, are constants where this is inlined. */
INLINE void finish_whole(const linear_call *c, const struct finished *f, int64_t begin, int64_t end, int32_t type,
                         int32_t residual_type) {
    int adds = residual_type != NO_TYPE;
    sterna_matrix y = *c->y, residual = adds ? *c->residual : y;
    y.type = type;
    residual.type = residual_type;
    const int32_t *biases = c->scratch->token_biases[0], *sum = (*sums_of(c, f->pair))[begin];
    const float *token_scales = c->q->scales + f->t0;
    const floats scales[2] = {floats_at(panel_scales(c, 2 * f->pair, 0)), floats_at(panel_scales(c, 2 * f->pair + 1, 0))};
    int64_t y_at = (f->t0 + begin) * y.stride + f->n, residual_at = (f->t0 + begin) * residual.stride + f->n;
    for (int64_t i = begin; i < end; i++, sum += PAIR, y_at += y.stride, residual_at += residual.stride)
        for (int panel = 0; panel < 2; panel++) {
            int64_t at = panel * TILE;
            __builtin_prefetch((const char *)y.data + (y_at + at + PAIR) * (type == STERNA_F32 ? 4 : 2), 1);
            ints lanes;
            memcpy(&lanes, sum + at, sizeof lanes);
            floats value = __builtin_convertvector(lanes - biases[i], floats) * scales[panel] * token_scales[i];
            store_lanes(&y, y_at + at, adds ? &residual : NULL, residual_at + at, value, LANES);
        }
}

INLINE void finish_whole_of(const linear_call *c, const struct finished *f, int64_t begin, int64_t end, int32_t type) {
    if (!c->residual) finish_whole(c, f, begin, end, type, NO_TYPE);
    else if (c->residual->type == STERNA_F32) finish_whole(c, f, begin, end, type, STERNA_F32);
    else finish_whole(c, f, begin, end, type, STERNA_BF16);
}

/* Tokens begin...end-1. */
static void finish_tokens(const linear_call *c, const struct finished *f, int64_t begin, int64_t end) {
    if (c->groups > 1 || f->rows < PAIR) {
        for (int64_t i = begin; i < end; i++)
            for (int64_t n = 0; n < f->rows; n += TILE) finish_panel(c, f, i, n / TILE, least(TILE, f->rows - n));
    } else if (c->y->type == STERNA_F32) {
        finish_whole_of(c, f, begin, end, STERNA_F32);
    } else {
        finish_whole_of(c, f, begin, end, STERNA_BF16);
    }
}

/* How many tokens are to be finished. */
INLINE int64_t tokens_of(const linear_call *c, const struct finished *f) {
    return f->rows ? least(PAIR, c->q->rows - f->t0) : 0;
}

/* ---------------------------------------------------------------- the tile loop */

/* Blocks first...first+blocks-1 of 32 tokens and a pair of panels, while `f` is finished; `resume`: they are not the
 * first of their group. With few tokens the second tile of them is left out. */
INLINE void multiply_pair(const linear_call *c, int64_t pair, int64_t first, int64_t blocks, int token_tiles, int resume,
                          const struct finished *f) {
    const int8_t *x = c->scratch->tokens[first][0][0];
    const uint8_t *panel0 = c->scratch->panels + 2 * pair * c->panel_bytes + first * TILE_BYTES;
    const uint8_t *panel1 = panel0 + c->panel_bytes;
    int64_t unfinished = tokens_of(c, f);
    load_pair(sums_of(c, pair), resume);
    for (int64_t b = 0; b < blocks; b++) {
        multiply_columns(x + b * 2 * TILE_BYTES, panel0 + b * TILE_BYTES, panel1 + b * TILE_BYTES, token_tiles);
        if (unfinished) finish_tokens(c, f, finished_before(unfinished, b, blocks), finished_before(unfinished, b + 1, blocks));
    }
    store_pair(sums_of(c, pair));
}

/* Blocks first...first+blocks-1, all of group g, of tokens t0...t0+31, and the rows n0... whose panels are in scratch.
 * Returns what is left to finish: nothing before the group's last blocks. */
static struct finished multiply_pairs(const linear_call *c, int64_t t0, int64_t n0, int64_t rows, int64_t g, int64_t first,
                                      int64_t blocks, struct finished before) {
    int64_t begin = g * c->group_blocks, end = begin + blocks_of_group(c, g);
    for (int64_t pair = 0; pair * PAIR < rows; pair++) {
        if (c->q->rows - t0 <= TILE) multiply_pair(c, pair, first, blocks, 1, first > begin, &before);
        else multiply_pair(c, pair, first, blocks, 2, first > begin, &before);
        int64_t complete = first + blocks == end ? least(PAIR, rows - pair * PAIR) : 0;
        before = (struct finished){pair, g, t0, n0 + pair * PAIR, complete};
    }
    return before;
}

/* Tokens t0...t0+31, which are packed. */
static void multiply_tokens(const linear_call *c, int64_t t0, int64_t n0, int64_t rows) {
    struct finished f = {0};
    for (int64_t g = 0; g < c->groups; g++) {
        int64_t first = g * c->group_blocks, left = blocks_of_group(c, g);
        for (int64_t segments = (left + SEGMENT_BLOCKS - 1) / SEGMENT_BLOCKS; segments > 0; segments--) {
            int64_t blocks = (left + segments - 1) / segments;
            f = multiply_pairs(c, t0, n0, rows, g, first, blocks, f);
            first += blocks;
            left -= blocks;
        }
    }
    finish_tokens(c, &f, 0, tokens_of(c, &f));
}

static void multiply_rows(const linear_call *c, int64_t n0, int64_t rows) {
    for (int64_t n = 0; n < rows; n += PAIR)
        for (int64_t half = n; half < n + PAIR; half += TILE)
            make_panel(c, n0 + least(half, rows - 1), half < rows ? least(TILE, rows - half) : 1,
                       c->scratch->panels + half / TILE * c->panel_bytes);
    for (int64_t t0 = 0; t0 < c->q->rows; t0 += PAIR) {
        pack_tokens(c, t0);
        multiply_tokens(c, t0, n0, rows);
    }
}

static int32_t linear(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                      const sterna_matrix *residual, int64_t row0, int64_t row1, void *scratch) {
    linear_call c = make_linear_call(q, w, y, residual, scratch);
    if (q->rows < MIN_TOKENS || c.blocks > MAX_BLOCKS)
        return sterna_table_of(STERNA_AVX512VNNI)->linear(q, w, y, residual, row0, row1, scratch);
    if (q->rows <= STERNA_AMX_FEW_TOKENS) return sterna_amx_linear_few(q, w, y, residual, row0, row1, scratch);
    int64_t rows = least(MAX_PAIRS, PANELS_BYTES / (2 * c.panel_bytes)) * PAIR;
    tile_begin();
    for (int64_t n = row0; n < row1; n += rows) multiply_rows(&c, n, least(rows, row1 - n));
    tile_end();
    return STERNA_OK;
}

void sterna_amx_linear(sterna_table *t) {
    t->linear = linear;
}
