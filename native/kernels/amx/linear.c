/*
 * linear.c: sterna_linear in tiles of 32 tokens by 32 rows: four sums, two tiles of tokens, two of weights.
 *
 * The four products of a step take 64 cycles and read 4 KiB, more than L2 gives beside what else it has to do. So the
 * columns are cut into segments of 384 at most: the 24 KiB that 64 tokens have in one stay in L1 with the 12 KiB of a pair
 * of panels, which comes from L2 once for both halves of the tokens. A group of columns that is longer than a segment
 * takes its sums up again: the half that was last in a segment is first in the next, and its sums stay in the tiles;
 * the other's wait in scratch. Finished sums become results a few tokens at each step of the next half: else the tiles
 * would wait, for half the time where rows are short. In the same way the next pair of panels is unpacked while the first
 * tokens meet the one before.
 *
 * The last panel, where their number is odd, has no other to be a pair with: it meets both halves of the tokens at a time.
 *
 * Few tokens are bound by memory: they go to linear_few.c, and fewer yet to AVX-512 VNNI. So do rows too long for this
 * file's scratch.
 */
#define SIGNED_PANELS 1

#include "dispatch/families.h"
#include "kernels/amx/linear_few.h"
#include "kernels/amx/pair.h"
#include "kernels/template/linear_call.h"

enum {
    SEGMENT_BLOCKS = 6,                /* of 64 columns */
    HALVES = 2,                        /* of as many tokens as are in L1, 32 each; the first tokens have both */
    MIN_TOKENS = 5,
    MAX_BLOCKS = STERNA_AMX_COLS / STERNA_BLOCK,
    PANELS_BLOCKS = 896,               /* of panels at once, in L2 */
    IN_PLACE_STRIDE = 2 * SEGMENT_BLOCKS * STERNA_BLOCK
};

struct linear_scratch {
    int8_t tokens[HALVES][MAX_BLOCKS][2][TILE][STERNA_BLOCK]; /* copies; columns past K and tokens past T are 0 */
    pair_sums sums[HALVES];
    float totals[HALVES][PAIR][PAIR]; /* sums of groups, scaled */
    int normal;                       /* see products_are_normal */
    struct segment {
        int64_t g, first, blocks; /* some of group g */
    } segments[MAX_BLOCKS];
    int64_t segment_count;
    uint8_t panels[] __attribute__((aligned(64))); /* a row of a tile is a line */
};

_Static_assert((int)STERNA_AMX_FEW_TOKENS >= (int)PAIR, "the first tokens have both halves");
_Static_assert(PANELS_BLOCKS >= 2 * MAX_BLOCKS, "a pair of panels fits");
_Static_assert(sizeof(struct linear_scratch) + PANELS_BLOCKS * (TILE_BYTES + TILE * sizeof(float)) <= STERNA_SCRATCH_BYTES,
               "panels fit, were each block a group");

/* ---------------------------------------------------------------- tokens */

/* Tokens, 32 of which become two tiles for each block: `rows` of them are there, and `cols` columns; zeros follow. */
INLINE void pack_pair(const int8_t *from, int64_t stride, int64_t rows, int64_t cols, int64_t blocks, int8_t *to) {
    for (int64_t b = 0; b < blocks; b++, from += 64, to += 2 * TILE_BYTES) {
        __mmask64 columns = columns_left(cols - b * 64);
        for (int64_t r = 0; r < rows; r++)
            _mm512_store_si512(to + r * 64, _mm512_maskz_loadu_epi8(columns, from + r * stride));
        for (int64_t r = rows; r < PAIR; r++) _mm512_store_si512(to + r * 64, _mm512_setzero_si512());
    }
}

/* Of tokens t0..., 32 for each half, blocks from `first` on become tiles. */
static void pack_tokens(const linear_call *c, int64_t t0, int64_t halves, int64_t first) {
    int64_t k = first * STERNA_BLOCK;
    for (int64_t half = 0; half < halves; half++, t0 += PAIR)
        pack_pair(c->q->codes + t0 * c->q->stride + k, c->q->stride, least(PAIR, c->q->rows - t0), c->q->cols - k,
                  c->blocks - first, c->scratch->tokens[half][first][0][0]);
}

/* How many blocks tiles load from the tokens as they are: where rows are so short that they find room in the sets of L1
 * as their copies would, all that are whole, unless tokens are missing. */
static int64_t blocks_in_place(const linear_call *c, int64_t t0, int64_t halves) {
    if (c->q->stride > IN_PLACE_STRIDE || c->q->rows < t0 + halves * PAIR) return 0;
    return c->q->cols / STERNA_BLOCK;
}

/* ---------------------------------------------------------------- sums to y */

/* The least magnitude of `count` numbers but 0; 0 if there is none. */
static float least_magnitude(const float *x, int64_t count) {
    uint32_t least = UINT32_MAX; /* of bits, less one: so 0 comes last */
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits = (bits & 0x7fffffff) - 1;
        least = bits < least ? bits : least;
    }
    float magnitude;
    memcpy(&magnitude, &(uint32_t){least + 1}, sizeof magnitude);
    return magnitude;
}

/* Whether sum * scale * scale is a normal number, or 0, for all of rows row0...row1-1, which have no groups. A sum that is
 * not 0 is 1 at least, and rounding keeps order: so the least scales tell. */
static int products_are_normal(const linear_call *c, int64_t row0, int64_t row1) {
    float rows = least_magnitude(sterna_row_scales(c->w, row0), c->w->scaling == STERNA_PER_TENSOR ? 1 : row1 - row0);
    return rows * least_magnitude(c->q->scales, c->q->rows) >= 0x1p-126f;
}

/* Complete sums of a pair of panels over group g, of which those of `tokens` tokens from `token` on are still to become
 * results: in rows n...n+rows-1 of w. */
struct results {
    int64_t tokens, token, pair, g, n, rows;
    const int32_t *sums; /* of the token */
    float *totals;
};

/* The scales of group g of panel number `p`. */
INLINE const float *panel_scales(const linear_call *c, int64_t p, int64_t g) {
    return (const float *)(c->scratch->panels + p * c->panel_bytes + c->blocks * TILE_BYTES) + g * PANEL;
}

INLINE floats floats_of_sums(const int32_t *sums) {
    ints lanes;
    memcpy(&lanes, sums, sizeof lanes);
    return __builtin_convertvector(lanes, floats);
}

/* The next `count` tokens' of a panel: totals = or, from the second group on, += sums * scale. */
INLINE void add_totals(const linear_call *c, const struct results *r, int64_t count, int64_t panel, int first) {
    floats scales = floats_at(panel_scales(c, 2 * r->pair + panel, r->g));
    float *total = r->totals + panel * TILE, *end = total + count * PAIR;
    for (const int32_t *sums = r->sums + panel * TILE; total < end; total += PAIR, sums += PAIR) {
        floats part = floats_of_sums(sums) * scales;
        if (!first) part = floats_at(total) + part;
        memcpy(total, &part, sizeof part);
    }
}

/* The same for a tail of rows, or one of several groups; after the last group the totals become y. */
static void finish_group(const linear_call *c, const struct results *r, int64_t count) {
    for (int64_t panel = 0; panel * TILE < r->rows; panel++) {
        if (r->g == 0) add_totals(c, r, count, panel, 1);
        else add_totals(c, r, count, panel, 0);
    }
    if (r->g < c->groups - 1) return;
    for (int64_t i = 0; i < count; i++)
        for (int64_t n = 0; n < r->rows; n += TILE)
            store_values(c, r->token + i, r->n + n, r->totals + i * PAIR + n, least(TILE, r->rows - n));
}

/* 32 numbers; `normal`: none is below the normal ones. One of bf16 that is takes all another way (see bf16_of_floats). */
INLINE void store_pair_of(const sterna_matrix *y, int64_t at, floats low, floats high, int normal) {
    enum { DENORMAL = 0x20 };
    if (y->type == STERNA_BF16 && (normal || _kortestz_mask16_u8(_mm512_fpclass_ps_mask((__m512)low, DENORMAL),
                                                                 _mm512_fpclass_ps_mask((__m512)high, DENORMAL)))) {
        __m512bh values = _mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
        memcpy((uint16_t *)y->data + at, &values, sizeof values);
    } else {
        store_lanes(y, at, NULL, 0, low, LANES);
        store_lanes(y, at + LANES, NULL, 0, high, LANES);
    }
}

/* What is soon to be written comes to L2: L1 is full of what is multiplied. */
INLINE void fetch_pair(const sterna_matrix *y, int64_t at) {
    const char *bytes = (const char *)y->data + at * (y->type == STERNA_F32 ? 4 : 2);
    __builtin_prefetch(bytes, 0, 2);
    if (y->type == STERNA_F32) __builtin_prefetch(bytes + 64, 0, 2);
}

enum { NO_TYPE = -1 };

/* Sixteen results. */
INLINE floats results_of_sums(const int32_t *sums, floats scales, float token_scale, const sterna_matrix *residual,
                              int64_t residual_at) {
    floats value = floats_of_sums(sums) * scales * token_scale;
    return residual ? load_lanes(residual, residual_at, LANES) + value : value;
}

/* The next `count` tokens' of a whole pair of panels, or of one, without groups: the same in registers. The number of
 * panels and the types of y and of the residual, if there is one, are constants where this is inlined. */
INLINE void finish_whole(const linear_call *c, const struct results *r, int64_t count, int panels, int32_t type,
                         int32_t residual_type) {
    int adds = residual_type != NO_TYPE, normal = !adds && c->scratch->normal;
    sterna_matrix y = *c->y, other = adds ? *c->residual : y, *residual = adds ? &other : NULL;
    y.type = type;
    other.type = residual_type;
    const int32_t *sums = r->sums;
    const float *scale = c->q->scales + r->token, *end = scale + count;
    floats low_scales = floats_at(panel_scales(c, 2 * r->pair, 0));
    floats high_scales = floats_at(panel_scales(c, 2 * r->pair + 1, 0));
    int64_t y_at = r->token * y.stride + r->n, other_at = r->token * other.stride + r->n;
    for (; scale < end; scale++, sums += PAIR, y_at += y.stride, other_at += other.stride) {
        floats low = results_of_sums(sums, low_scales, *scale, residual, other_at);
        if (panels == 1) {
            store_lanes(&y, y_at, NULL, 0, low, LANES);
            continue;
        }
        floats high = results_of_sums(sums + TILE, high_scales, *scale, residual, other_at + TILE);
        fetch_pair(&y, y_at + PAIR);
        store_pair_of(&y, y_at, low, high, normal);
    }
}

INLINE void finish_whole_of(const linear_call *c, const struct results *r, int64_t count, int panels, int32_t type) {
    if (!c->residual) finish_whole(c, r, count, panels, type, NO_TYPE);
    else if (c->residual->type == STERNA_F32) finish_whole(c, r, count, panels, type, STERNA_F32);
    else finish_whole(c, r, count, panels, type, STERNA_BF16);
}

INLINE void finish_panels(const linear_call *c, const struct results *r, int64_t count, int panels) {
    if (c->y->type == STERNA_F32) finish_whole_of(c, r, count, panels, STERNA_F32);
    else finish_whole_of(c, r, count, panels, STERNA_BF16);
}

/* The next tokens', `count` of them at most. */
static void finish_tokens(const linear_call *c, struct results *r, int64_t count) {
    count = least(count, r->tokens);
    if (c->groups > 1 || r->rows % TILE) finish_group(c, r, count);
    else if (r->rows == PAIR) finish_panels(c, r, count, 2);
    else finish_panels(c, r, count, 1);
    r->tokens -= count;
    r->token += count;
    r->sums += count * PAIR;
    r->totals += count * PAIR;
}

/* ---------------------------------------------------------------- the tile loop */

/* As many tokens as are in L1, t0..., that meet rows n0...n0+rows-1, whose panels are in scratch. */
struct passage {
    int64_t t0, halves, in_place, n0, rows;
    struct results results; /* of the half before */
    panel_rows next[2];     /* where the next pair is not unpacked yet */
};

/* How many panels pair number `pair` has. */
static int64_t panels_of_pair(int64_t rows, int64_t pair) {
    int64_t left = rows - pair * PAIR;
    return left > TILE ? 2 : left > 0;
}

/* Of `tokens` tokens, from the first of a half on. */
static struct results results_of(const linear_call *c, const struct passage *m, int64_t half, int64_t pair, int64_t g,
                                 int64_t tokens) {
    return (struct results){.tokens = tokens, .token = m->t0 + half * PAIR, .pair = pair, .g = g,
                            .n = m->n0 + pair * PAIR, .rows = least(PAIR, m->rows - pair * PAIR),
                            .sums = c->scratch->sums[half][0], .totals = c->scratch->totals[half][0]};
}

/* Block b of a half of the tokens: its rows are `stride` bytes apart. */
INLINE const int8_t *tokens_of(const linear_call *c, const struct passage *m, int64_t half, int64_t b, int64_t *stride) {
    int in_place = b < m->in_place;
    *stride = in_place ? c->q->stride : STERNA_BLOCK;
    return in_place ? c->q->codes + (m->t0 + half * PAIR) * c->q->stride + b * STERNA_BLOCK
                    : c->scratch->tokens[half][b][0][0];
}

/* The blocks of a segment: half of the tokens and a pair of panels. With few tokens the second tile of them is left out.
 * Meanwhile the half before is finished, and `next` unpacked, if there is one. */
INLINE void multiply_segment(const linear_call *c, struct passage *m, const struct segment *s, int64_t half, int64_t pair,
                             int token_tiles, const panel_rows *next) {
    const uint8_t *panel0 = c->scratch->panels + 2 * pair * c->panel_bytes + s->first * TILE_BYTES;
    const uint8_t *panel1 = panel0 + c->panel_bytes;
    int64_t step = rows_of_step(m->results.tokens, s->blocks), stride;
    for (int64_t b = 0; b < s->blocks; b++) {
        const int8_t *x = tokens_of(c, m, half, s->first + b, &stride);
        multiply_columns(x, stride, panel0 + b * TILE_BYTES, panel1 + b * TILE_BYTES, token_tiles);
        if (m->results.tokens && (b > 0 || s->blocks == 1)) finish_tokens(c, &m->results, step);
        if (next) unpack_rows(c, next, s->first + b, s->first + b + 1);
    }
}

/* The columns of group g in segments, as equal as may be. Returns their number. */
static int64_t cut_group(const linear_call *c, int64_t g, struct segment *s) {
    int64_t first = g * c->group_blocks, left = blocks_of_group(c, g), count = (left + SEGMENT_BLOCKS - 1) / SEGMENT_BLOCKS;
    for (int64_t i = count; i > 0; i--) {
        int64_t blocks = (left + i - 1) / i;
        *s++ = (struct segment){g, first, blocks};
        first += blocks;
        left -= blocks;
    }
    return count;
}

/* The columns of all groups in segments. */
static void cut_columns(const linear_call *c) {
    int64_t count = 0;
    for (int64_t g = 0; g < c->groups; g++) count += cut_group(c, g, c->scratch->segments + count);
    c->scratch->segment_count = count;
}

/* A pair of panels, segment by segment, where `step` is -1 from the last to the first; `unpack` panels of the next pair
 * are unpacked, one for each half. */
static void multiply_pair(const linear_call *c, struct passage *m, int64_t pair, int64_t step, int64_t unpack) {
    int64_t count = c->scratch->segment_count;
    const struct segment *s = c->scratch->segments + (step < 0 ? count - 1 : 0);
    for (int64_t k = 0; k < count; k++, s += step) {
        int begins = k == 0 || s[-step].g != s->g, ends = k == count - 1 || s[step].g != s->g;
        for (int64_t i = 0; i < m->halves; i++) {
            int64_t half = k % 2 ? m->halves - 1 - i : i, tokens = c->q->rows - (m->t0 + half * PAIR);
            pair_sums *sums = &c->scratch->sums[half];
            if (begins) tile_zero_sums();
            else if (i > 0) load_pair(sums);
            const panel_rows *next = half < unpack ? &m->next[half] : NULL;
            if (tokens <= TILE) multiply_segment(c, m, s, half, pair, 1, next);
            else multiply_segment(c, m, s, half, pair, 2, next);
            if (ends || i < m->halves - 1) store_pair(sums);
            m->results = results_of(c, m, half, pair, s->g, ends ? least(PAIR, tokens) : 0);
        }
    }
}

/* As multiply_columns, of one panel: left's two tiles and, unless it is null, two of other. */
INLINE void multiply_lone_columns(const int8_t *left, const int8_t *other, int64_t stride, const uint8_t *panel) {
    tile_load(6, panel, 64);
    tile_load(4, left, stride);
    tile_dot_s8s8(0, 4, 6);
    tile_load(5, left + TILE * stride, stride);
    tile_dot_s8s8(1, 5, 6);
    if (!other) return;
    tile_load(4, other, stride);
    tile_dot_s8s8(2, 4, 6);
    tile_load(5, other + TILE * stride, stride);
    tile_dot_s8s8(3, 5, 6);
}

/* Blocks first...first+blocks-1 of a panel without another, while the pair before is finished. */
static void multiply_lone_group(const linear_call *c, struct passage *m, const uint8_t *panel, int64_t first,
                                int64_t blocks) {
    int64_t step = rows_of_step(m->results.tokens, blocks), stride;
    for (int64_t b = first; b < first + blocks; b++) {
        const int8_t *x = tokens_of(c, m, 0, b, &stride), *other = m->halves > 1 ? tokens_of(c, m, 1, b, &stride) : NULL;
        multiply_lone_columns(x, other, stride, panel + b * TILE_BYTES);
        if (b > first || blocks == 1) finish_tokens(c, &m->results, step);
    }
}

/* A panel without another. Its sums stay in the tiles for a whole group: nothing would be met again in a segment. */
static void multiply_lone_panel(const linear_call *c, struct passage *m, int64_t pair) {
    const uint8_t *panel = c->scratch->panels + 2 * pair * c->panel_bytes;
    pair_sums *sums = c->scratch->sums;
    for (int64_t g = 0; g < c->groups; g++) {
        tile_zero_sums();
        multiply_lone_group(c, m, panel, g * c->group_blocks, blocks_of_group(c, g));
        tile_store(0, sums[0][0], PAIR * 4);
        tile_store(1, sums[0][TILE], PAIR * 4);
        tile_store(2, sums[1][0], PAIR * 4);
        tile_store(3, sums[1][TILE], PAIR * 4);
        m->results = results_of(c, m, 0, pair, g, least(m->halves * PAIR, c->q->rows - m->t0));
    }
}

/* Panel `half` of pair number `pair` of rows n0...n0+rows-1: its scales, and what it is unpacked from. */
static panel_rows begin_panel(const linear_call *c, int64_t n0, int64_t rows, int64_t pair, int64_t half) {
    uint8_t *panel = c->scratch->panels + (2 * pair + half) * c->panel_bytes;
    int64_t n = pair * PAIR + half * TILE, count = least(TILE, rows - n);
    float *scales = (float *)(panel + c->blocks * TILE_BYTES);
    for (int64_t g = 0; g < c->groups; g++) copy_scales(c, n0 + n, count, g, scales + g * PANEL);
    return rows_of_panel(c, n0 + n, count, PAIR, 0, panel);
}

/* The first tokens, with which the panels are unpacked, or others. Without groups every second pair begins with the segment
 * that the one before ended with, whose tokens are in L1. */
static void multiply_tokens(const linear_call *c, int64_t t0, int64_t n0, int64_t rows) {
    struct passage m = {.t0 = t0, .halves = c->q->rows - t0 > PAIR ? HALVES : 1, .n0 = n0, .rows = rows};
    m.in_place = blocks_in_place(c, t0, m.halves);
    pack_tokens(c, t0, m.halves, m.in_place);
    for (int64_t pair = 0; pair * PAIR < rows; pair++) {
        int64_t unpack = t0 == 0 ? panels_of_pair(rows, pair + 1) : 0;
        for (int64_t half = 0; half < unpack; half++) m.next[half] = begin_panel(c, n0, rows, pair + 1, half);
        if (panels_of_pair(rows, pair) == 1) multiply_lone_panel(c, &m, pair);
        else multiply_pair(c, &m, pair, c->groups == 1 && pair % 2 ? -1 : 1, unpack);
    }
    finish_tokens(c, &m.results, m.results.tokens);
}

static void multiply_rows(const linear_call *c, int64_t n0, int64_t rows) {
    for (int64_t half = 0; half < panels_of_pair(rows, 0); half++) {
        panel_rows first = begin_panel(c, n0, rows, 0, half);
        unpack_rows(c, &first, 0, c->blocks);
    }
    for (int64_t t0 = 0; t0 < c->q->rows; t0 += HALVES * PAIR) multiply_tokens(c, t0, n0, rows);
}

static int32_t linear(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                      const sterna_matrix *residual, int64_t row0, int64_t row1, void *scratch) {
    linear_call c = make_linear_call(q, w, y, residual, scratch);
    if (q->rows < MIN_TOKENS || c.blocks > MAX_BLOCKS)
        return sterna_table_of(STERNA_AVX512VNNI)->linear(q, w, y, residual, row0, row1, scratch);
    if (q->rows <= STERNA_AMX_FEW_TOKENS) return sterna_amx_linear_few(q, w, y, residual, row0, row1, scratch);
    cut_columns(&c);
    c.scratch->normal = c.groups == 1 && products_are_normal(&c, row0, row1);
    int64_t rows = PANELS_BLOCKS / (2 * c.blocks) * PAIR;
    tile_begin();
    for (int64_t n = row0; n < row1; n += rows) multiply_rows(&c, n, least(rows, row1 - n));
    tile_end();
    return STERNA_OK;
}

void sterna_amx_linear(sterna_table *t) {
    t->linear = linear;
}
