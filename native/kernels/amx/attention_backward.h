/*
 * attention_backward.h: the backward pass. Scores are made transposed, keys by queries, so that probabilities and their
 * gradients are rows of A as they stand for sums by key, and query's numbers stand beside each other; gradients of scores
 * are pairs besides, for sums by query, which come out transposed. A strip of keys meets up to RUN strips of queries, all
 * of whose terms its sums take without leaving the tiles; a strip of queries meets up to SPAN_CELLS strips of keys so.
 */
#include "kernels/amx/attention_operands.h"

#define RUN 8 /* cells of a strip of keys that are in the inner cache together */

/* A strip of queries and its gradients. */
typedef struct backward_queries {
    uint32_t *q_t, *dout_t; /* (whole_terms / 2, STRIP) */
    uint32_t *q, *dout;     /* (STRIP / 2, width) */
    float *lse, *dot;       /* (STRIP): lse in units of log2, dout . out */
    float *dq_t;            /* (width, STRIP), columns as unpack_pairs leaves them */
    uint32_t *ds;           /* SPAN_CELLS of pairs (STRIP / 2, STRIP): gradients of scores with a span of keys */
} backward_queries;

/* A strip of keys and its gradients. */
typedef struct backward_keys {
    int64_t key0;
    uint16_t *k, *v; /* (STRIP, whole_terms) */
    uint16_t *k_t;   /* (width, STRIP) */
    float *dk, *dv;  /* (STRIP, width) */
    int started;     /* whether these hold sums */
} backward_keys;

/* What a strip of keys needs while it meets strips of queries. */
typedef struct backward_rooms {
    float *scores, *dweights; /* two cells each, by turns */
    uint16_t *p, *ds;         /* RUN cells (STRIP, STRIP), keys by queries */
} backward_rooms;

static int64_t backward_queries_floats(int64_t width) {
    return 2 * row_words(width) + STRIP * width + 2 * STRIP + STRIP * width + SPAN_CELLS * CELL / 2;
}

static backward_queries take_queries(int64_t width, float *room) {
    return (backward_queries){.q_t = (uint32_t *)take(&room, row_words(width)),
                              .dout_t = (uint32_t *)take(&room, row_words(width)),
                              .q = (uint32_t *)take(&room, STRIP / 2 * width),
                              .dout = (uint32_t *)take(&room, STRIP / 2 * width),
                              .lse = take(&room, STRIP), .dot = take(&room, STRIP), .dq_t = take(&room, STRIP * width),
                              .ds = (uint32_t *)take(&room, SPAN_CELLS * CELL / 2)};
}

static backward_keys take_keys(int64_t width, float **scratch) {
    return (backward_keys){.k = (uint16_t *)take(scratch, row_words(width)), .v = (uint16_t *)take(scratch, row_words(width)),
                           .k_t = (uint16_t *)take(scratch, STRIP / 2 * width),
                           .dk = take(scratch, STRIP * width), .dv = take(scratch, STRIP * width)};
}

/* ---------------------------------------------------------------- operands */

/* dots[i] = row i of x times row i of y, terms (STRIP, terms). */
static void dot_of_rows(const uint16_t *x, const uint16_t *y, int64_t terms, float dots[STRIP]) {
    float lanes[STRIP * LANES] __attribute__((aligned(64)));
    for (int64_t i = 0; i < STRIP; i++) {
        __m512 dot = _mm512_setzero_ps();
        for (int64_t c = i * terms; c < (i + 1) * terms; c += 32)
            dot = _mm512_dpbf16_ps(dot, (__m512bh)_mm512_load_si512(x + c), (__m512bh)_mm512_load_si512(y + c));
        store_whole(lanes + i * LANES, (vfloat)dot);
    }
    for (int64_t i = 0; i < STRIP; i += LANES) store_whole(dots + i, sums_of_rows(lanes + i * LANES));
}

static void load_queries(const unit *u, query_block at, const backward_queries *b) {
    int64_t terms = whole_terms(u->width);
    uint16_t rows[STRIP * MAX_WIDTH] __attribute__((aligned(64))), out[STRIP * MAX_WIDTH] __attribute__((aligned(64)));
    const float *lse = lse_of(u, at);
    load_terms(query_region(u, u->a->q, at), rows);
    transpose_squares(rows, STRIP, terms / 2, b->q_t);
    pair_rows(rows, u->width, b->q);
    load_terms(query_region(u, u->a->dout, at), rows);
    transpose_squares(rows, STRIP, terms / 2, b->dout_t);
    pair_rows(rows, u->width, b->dout);
    load_terms(query_region(u, u->a->out, at), out);
    dot_of_rows(rows, out, terms, b->dot);
    for (int64_t i = 0; i < STRIP; i++) b->lse[i] = i < at.queries ? lse[i] * LOG2E : 0;
}

static void load_keys(const unit *u, int64_t key0, backward_keys *b) {
    uint32_t pairs[STRIP / 2 * MAX_WIDTH] __attribute__((aligned(64)));
    b->key0 = key0;
    b->started = 0;
    load_terms(key_region(u, u->a->v, key0), b->v);
    load_terms(key_region(u, u->a->k, key0), b->k);
    pair_rows(b->k, u->width, pairs);
    transpose_squares(pairs, STRIP / 2, u->width, b->k_t);
}

/* ---------------------------------------------------------------- cells */

/* Pairs of the 16-bit lanes of two rows. In each run of 128 bits the first four pairs come to the lower vector, the others
 * to the upper one, which costs a shuffle each. */
INLINE void unpack_pairs(__m512i even, __m512i odd, uint32_t *low, uint32_t *high) {
    _mm512_store_si512(low, _mm512_unpacklo_epi16(even, odd));
    _mm512_store_si512(high, _mm512_unpackhi_epi16(even, odd));
}

/* The row in which unpack_pairs found lane n of its lower vector. */
INLINE int64_t unpacked_from(int64_t n) {
    return n / 4 * 8 + n % 4;
}

/* What each query of a strip brings to its scores with any key, in registers. */
typedef struct query_lanes {
    vfloat lse[2], dot[2];
    float factor; /* of scores */
} query_lanes;

/* One key's scores become probabilities p, its dout . v become the gradients p (dout . v - dot), which are returned; those of
 * queries that do not see it are 0. */
INLINE __m512i key_gradients(const float *scores, const float *dweights, query_lanes q, uint32_t seeing, uint16_t *p) {
    vfloat weights[2], ds[2];
    for (int h = 0; h < 2; h++) {
        int64_t i = h * LANES;
        weights[h] = exp2_of_scaled(load_whole(scores + i), splat(q.factor), q.lse[h]);
        ds[h] = weights[h] * (load_whole(dweights + i) - q.dot[h]);
        if (seeing == UINT32_MAX) continue;
        weights[h] = (vfloat)_mm512_maskz_mov_ps((__mmask16)(seeing >> i), (__m512)weights[h]);
        ds[h] = (vfloat)_mm512_maskz_mov_ps((__mmask16)(seeing >> i), (__m512)ds[h]);
    }
    _mm512_store_si512(p, (__m512i)join_along(weights[0], weights[1]));
    return (__m512i)join_along(ds[0], ds[1]);
}

/* A cell of keys by queries, of which those in the mask are there. On the diagonal key j is seen by queries from j on. */
INLINE void cell_gradients(const float *scores, const float *dweights, const backward_queries *q, float factor,
                           int diagonal, uint32_t queries, uint16_t *p, uint16_t *ds, uint32_t *ds_pairs) {
    query_lanes lanes = {{load_whole(q->lse), load_whole(q->lse + LANES)},
                         {load_whole(q->dot), load_whole(q->dot + LANES)}, factor};
    for (int64_t j = 0; j < STRIP; j += 2, ds_pairs += STRIP) {
        __m512i rows[2];
        for (int64_t r = 0; r < 2; r++) {
            int64_t at = (j + r) * STRIP;
            uint32_t seeing = diagonal ? queries >> (j + r) << (j + r) : queries;
            rows[r] = key_gradients(scores + at, dweights + at, lanes, seeing, p + at);
            _mm512_store_si512(ds + at, rows[r]);
        }
        unpack_pairs(rows[0], rows[1], ds_pairs, ds_pairs + LANES);
    }
}

/* Scores, and what dweights become from, of a strip of keys and one of queries. */
INLINE void cell_products(const backward_keys *k, const backward_queries *q, int64_t terms, float *scores, float *dweights) {
    multiply_rows(k->k, q->q_t, terms, scores);
    multiply_rows(k->v, q->dout_t, terms, dweights);
}

/* ---------------------------------------------------------------- passes */

enum { QUERY_GRADIENT = 1, KEY_GRADIENTS = 2 };

/* Strips of queries in scratch, first...first + count - 1 of the unit's. */
typedef struct query_strips {
    int64_t first, count, floats;
    float *at;
} query_strips;

static void fetch_backward(ahead *next) {
    if (!next->next) return;
    const sterna_attention *a = next->next->a;
    fetch_ahead(next, (const sterna_matrix *const[]){a->q, a->out, a->dout, a->dq}, 4,
                (const sterna_matrix *const[]){a->k, a->v, a->dk, a->dv}, 4);
}

/* The strip of keys `cell` of a span meets strips of queries of one head. The products of a cell come before the vectors of
 * the cell before it, so that tiles work while those do. */
static void meet_run(const unit *u, backward_keys *k, int64_t cell, const query_strips *x, int64_t begin, int64_t count,
                     backward_rooms rooms, int want, ahead *next) {
    int64_t terms = whole_terms(u->width), words = x->floats;
    backward_queries first = take_queries(u->width, x->at + begin * words);
    cell_products(k, &first, terms, rooms.scores, rooms.dweights);
    for (int64_t i = 0; i < count; i++) {
        query_block at = query_block_of(u, x->first + begin + i);
        backward_queries q = take_queries(u->width, x->at + (begin + i) * words);
        const float *scores = rooms.scores + i % 2 * CELL, *dweights = rooms.dweights + i % 2 * CELL;
        uint16_t *p = rooms.p + i * CELL, *ds = rooms.ds + i * CELL;
        if (i + 1 < count) {
            backward_queries after = take_queries(u->width, x->at + (begin + i + 1) * words);
            cell_products(k, &after, terms, rooms.scores + (i + 1) % 2 * CELL, rooms.dweights + (i + 1) % 2 * CELL);
        }
        fetch_backward(next);
        float factor = u->scale * LOG2E;
        if (at.query0 > k->key0 && at.queries == STRIP)
            cell_gradients(scores, dweights, &q, factor, 0, UINT32_MAX, p, ds, q.ds + cell * CELL / 2);
        else
            cell_gradients(scores, dweights, &q, factor, at.query0 == k->key0, UINT32_MAX >> (STRIP - at.queries), p, ds,
                           q.ds + cell * CELL / 2);
    }
    if (!(want & KEY_GRADIENTS)) return;
    add_weighted(rooms.p, first.dout, words, count, k->dv, u->width, k->started);
    add_weighted(rooms.ds, first.q, words, count, k->dk, u->width, k->started);
    k->started = 1;
}

/* A strip of keys meets those of x that see it. */
static void meet_queries(const unit *u, backward_keys *k, int64_t cell, const query_strips *x, backward_rooms rooms, int want,
                         ahead *next) {
    for (int64_t s = 0; s < x->count;) {
        int64_t in_head = (x->first + s) % u->head_blocks, unseeing = k->key0 / STRIP - in_head;
        int64_t left = u->head_blocks - in_head, run = least(least(left, x->count - s), RUN);
        if (unseeing <= 0) meet_run(u, k, cell, x, s, run, rooms, want, next);
        s += unseeing <= 0 ? run : least(unseeing, left);
    }
}

/* dq (transposed) = or += k^T ds^T of a span of keys. */
static void add_query_gradients(const unit *u, const backward_keys *span, int64_t key0, int64_t cells, const query_strips *x) {
    const char *k_t = (const char *)span[0].k_t;
    for (int64_t s = 0; s < x->count; s++) {
        int64_t seen = least(cells, query_block_of(u, x->first + s).query0 / STRIP - key0 / STRIP + 1);
        backward_queries q = take_queries(u->width, x->at + s * x->floats);
        factor b = {q.ds, STRIP * 4, CELL * 2};
        if (seen <= 0) continue;
        for (int64_t c = 0; c < u->width; c += STRIP) {
            factor a = {k_t + c * STRIP * 2, STRIP * 2, (const char *)span[1].k_t - k_t};
            if (u->width - c > 16) multiply_tiles(a, b, seen, q.dq_t + c * STRIP, STRIP, 1, 1, key0 > 0);
            else multiply_tiles(a, b, seen, q.dq_t + c * STRIP, STRIP, 0, 1, key0 > 0);
        }
    }
}

static void meet_span(const unit *u, backward_keys *span, int64_t key0, int64_t cells, const query_strips *x,
                      backward_rooms rooms, int want, ahead *next) {
    for (int64_t j = 0; j < cells; j++) meet_queries(u, &span[j], j, x, rooms, want, next);
    if (want & QUERY_GRADIENT) add_query_gradients(u, span, key0, cells, x);
}

static void store_query_gradients(const unit *u, const query_strips *x) {
    float rows[STRIP * MAX_WIDTH] __attribute__((aligned(64))), factors[STRIP];
    fill(factors, STRIP, u->scale);
    for (int64_t s = 0; s < x->count; s++) {
        backward_queries q = take_queries(u->width, x->at + s * x->floats);
        for (int64_t c = 0; c < u->width; c += 16)
            for (int64_t h = 0; h < 2; h++) {
                __m512i columns[16];
                load_columns(q.dq_t + c * STRIP + h * LANES, STRIP, columns);
                for (int64_t n = 0; n < 16; n++)
                    store_whole(rows + (unpacked_from(n) + 4 * h) * u->width + c, (vfloat)columns[n]);
            }
        store_sums(rows, factors, query_region(u, u->a->dq, query_block_of(u, x->first + s)));
    }
}

static void store_key_gradients(const unit *u, const backward_keys *b) {
    float factors[STRIP], ones[STRIP];
    fill(factors, STRIP, u->scale);
    fill(ones, STRIP, 1);
    store_sums(b->dk, factors, key_region(u, u->a->dk, b->key0));
    store_sums(b->dv, ones, key_region(u, u->a->dv, b->key0));
}

/* Strips of queries that see no key from key0 on stay out. Returns how many keys the others see. */
static int64_t load_strips(const unit *u, query_strips *x, int64_t first, int64_t count, int64_t key0) {
    int64_t seen = 0;
    x->first = first;
    x->count = count;
    for (int64_t s = 0; s < count; s++) {
        backward_queries q = take_queries(u->width, x->at + s * x->floats);
        query_block at = query_block_of(u, first + s);
        if (at.query0 >= key0) load_queries(u, at, &q);
        if (at.query0 + at.queries > seen) seen = at.query0 + at.queries;
    }
    return seen;
}

static int64_t load_span_keys(const unit *u, int64_t key0, backward_keys *span) {
    int64_t cells = least((u->a->length - key0 + STRIP - 1) / STRIP, SPAN_CELLS);
    for (int64_t j = 0; j < cells; j++) load_keys(u, key0 + j * STRIP, &span[j]);
    return cells;
}

/* All queries of the unit stay in scratch: each cell is visited once. */
static void backward_resident(const unit *u, backward_keys *span, query_strips *x, backward_rooms rooms, ahead *next) {
    load_strips(u, x, 0, u->group * u->head_blocks, 0);
    for (int64_t key0 = 0; key0 < u->a->length; key0 += SPAN) {
        int64_t cells = load_span_keys(u, key0, span);
        meet_span(u, span, key0, cells, x, rooms, QUERY_GRADIENT | KEY_GRADIENTS, next);
        for (int64_t j = 0; j < cells; j++) store_key_gradients(u, &span[j]);
    }
    store_query_gradients(u, x);
}

/* Too many queries for scratch, which holds `fit` strips: once by queries for dq, once by keys for dk and dv. */
static void backward_in_two_passes(const unit *u, backward_keys *span, query_strips *x, int64_t fit, backward_rooms rooms,
                                   ahead *next) {
    int64_t all = u->group * u->head_blocks;
    for (int64_t first = 0; first < all; first += fit) {
        int64_t seen = load_strips(u, x, first, least(fit, all - first), 0);
        for (int64_t key0 = 0; key0 < seen; key0 += SPAN)
            meet_span(u, span, key0, load_span_keys(u, key0, span), x, rooms, QUERY_GRADIENT, next);
        store_query_gradients(u, x);
    }
    for (int64_t key0 = 0; key0 < u->a->length; key0 += SPAN) {
        int64_t cells = load_span_keys(u, key0, span);
        for (int64_t first = 0; first < all; first += fit) {
            load_strips(u, x, first, least(fit, all - first), key0);
            meet_span(u, span, key0, cells, x, rooms, KEY_GRADIENTS, next);
        }
        for (int64_t j = 0; j < cells; j++) store_key_gradients(u, &span[j]);
    }
}

static void backward_unit(const unit *u, ahead *next, float *scratch) {
    const float *start = scratch;
    backward_keys span[SPAN_CELLS];
    for (int j = 0; j < SPAN_CELLS; j++) span[j] = take_keys(u->width, &scratch);
    backward_rooms rooms = {take(&scratch, 2 * CELL), take(&scratch, 2 * CELL), (uint16_t *)take(&scratch, RUN * CELL / 2),
                            (uint16_t *)take(&scratch, RUN * CELL / 2)};
    query_strips x = {.floats = backward_queries_floats(u->width), .at = scratch};
    int64_t fit = (SCRATCH_FLOATS - (scratch - start)) / x.floats;
    tile_begin();
    if (u->group * u->head_blocks <= fit) backward_resident(u, span, &x, rooms, next);
    else backward_in_two_passes(u, span, &x, fit, rooms, next);
    tile_end();
}

static int32_t attention_backward(const sterna_attention *a, int64_t unit0, int64_t unit1, void *scratch) {
    for (int64_t index = unit0; index < unit1; index++) {
        unit u = unit_of(a, index, STRIP), next = unit_of(a, index + 1, STRIP);
        ahead fetched = {index + 1 < unit1 ? &next : NULL, 0, rows_a_cell(&u)};
        backward_unit(&u, &fetched, scratch);
    }
    return STERNA_OK;
}
