/*
 * attention_forward.h: the forward pass. A strip of queries meets SPAN keys at a time: all their scores, then their
 * maximum, then the weights, whose products with the values stay in tiles over the whole span; so sums come from memory
 * and shrink once a span, and never where a sequence has no more keys. Scores are those of the rows; the exponent's
 * first operation scales them.
 */
#include "kernels/amx/attention_operands.h"

/* A span of keys and values; codes as the numbers they are, so that scales come to scores and to weights. */
typedef struct forward_keys {
    int64_t key0, count;
    uint32_t *k_t;                    /* strips of pairs (whole_terms / 2, STRIP) */
    uint32_t *v;                      /* strips of pairs (STRIP / 2, width) */
    const float *k_scales, *v_scales; /* (count), or null */
} forward_keys;

/* A strip of queries with its running softmax. */
typedef struct forward_queries {
    query_block at;
    uint16_t *q; /* (STRIP, whole_terms) */
    float *out;  /* (STRIP, width) */
    float *max;  /* (STRIP), times scale * log2(e) */
    float *sums; /* (STRIP, LANES), to be added up */
} forward_queries;

/* What one strip of queries needs while it meets a span. */
typedef struct forward_rooms {
    float *scores;     /* cells */
    uint16_t *weights; /* cells */
} forward_rooms;

/* Keys of a cache, which lie by column in blocks of STERNA_KEY_BLOCK: columns (cols, STRIP) to pairs (whole_terms / 2,
 * STRIP). Behind the last key there may be anything. */
static void pair_columns(region columns, uint32_t *pairs) {
    int64_t whole = whole_terms(columns.rows) / 2;
    uint16_t terms[2 * STRIP] __attribute__((aligned(64)));
    for (int64_t c = 0; c < columns.rows; c += 2) {
        for (int64_t i = 0; i < 2; i++)
            _mm512_store_si512(terms + i * STRIP, terms_of(line_of(columns, columns.type, c + i), 0, STRIP));
        for (int64_t j = 0; j < STRIP; j += LANES) pair_terms(terms + j, terms + STRIP + j, pairs + c / 2 * STRIP + j);
    }
    memset(pairs + columns.rows / 2 * STRIP, 0, (size_t)((whole - columns.rows / 2) * STRIP) * sizeof *pairs);
}

static region key_columns(const unit *u, int64_t key0) {
    const sterna_matrix *k = u->a->k;
    int64_t block = key0 / STERNA_KEY_BLOCK * STERNA_KEY_BLOCK;
    region first = region_of(k, key_row(u, block), 1, key0 - block, 1);
    return (region){first.data, k->type, STERNA_KEY_BLOCK, u->a->head_dim, STRIP};
}

static void load_span(const unit *u, int64_t key0, forward_keys *k) {
    const sterna_attention *a = u->a;
    uint16_t terms[STRIP * MAX_WIDTH] __attribute__((aligned(64)));
    k->key0 = key0;
    k->count = clamp(a->past + a->length - key0, 0, SPAN);
    k->k_scales = scales_of(u, a->quantized_k, key0);
    k->v_scales = scales_of(u, a->quantized_v, key0);
    for (int64_t j = 0; j < k->count; j += STRIP) {
        uint32_t *k_t = k->k_t + j / STRIP * row_words(u->width);
        if (a->capacity) pair_columns(key_columns(u, key0 + j), k_t);
        else {
            load_terms(key_region(u, a->k, key0 + j), terms);
            transpose_squares(terms, STRIP, whole_terms(u->width) / 2, k_t);
        }
        load_terms(key_region(u, a->v, key0 + j), terms);
        pair_rows(terms, u->width, k->v + j / 2 * u->width);
    }
}

/* ---------------------------------------------------------------- softmax */

/* Keys of a cell that a query sees which sees so many from the cell's first on, also none or more than there are. */
INLINE uint32_t keys_of(int64_t seen) {
    return seen >= STRIP ? UINT32_MAX : seen <= 0 ? 0 : UINT32_MAX >> (STRIP - seen);
}

/* x in the lanes of half h of a cell's row that are in the mask, otherwise `other`. */
INLINE vfloat where_seen(uint32_t seen, int h, vfloat x, float other) {
    return (vfloat)_mm512_mask_mov_ps((__m512)splat(other), (__mmask16)(seen >> h * LANES), (__m512)x);
}

/* A row's scores of one cell come to its maximum, lane by lane. */
INLINE void fold_maximum(const float *scores, uint32_t seen, float *largest) {
    vfloat x = load_whole(largest);
    for (int h = 0; h < 2; h++) x = max_float(where_seen(seen, h, load_whole(scores + h * LANES), -INFINITY), x);
    store_whole(largest, x);
}

/* Query i sees the cell's keys up to see + i. */
static void fold_maxima(const float *scores, int64_t queries, int64_t see, float *largest) {
    if (see + 1 >= STRIP)
        for (int64_t i = 0; i < queries; i++) fold_maximum(scores + i * STRIP, UINT32_MAX, largest + i * LANES);
    else
        for (int64_t i = 0; i < queries; i++) fold_maximum(scores + i * STRIP, keys_of(see + i + 1), largest + i * LANES);
}

/* A row's scores of one cell become weights 2^(score * factor - max), 0 for keys it does not see, in bf16; sums are before
 * values' scales, where there are any. */
INLINE void weigh_cell(const float *scores, uint32_t seen, vfloat factor, vfloat max, const float *scales, vfloat sums[2],
                       uint16_t *weights) {
    vfloat w[2];
    for (int h = 0; h < 2; h++) {
        w[h] = exp2_of_scaled(load_whole(scores + h * LANES), factor, max);
        if (seen != UINT32_MAX) w[h] = where_seen(seen, h, w[h], 0);
        sums[h] += w[h];
        if (scales) w[h] *= (vfloat)_mm512_maskz_loadu_ps((__mmask16)(seen >> h * LANES), scales + h * LANES);
    }
    _mm512_store_si512(weights, (__m512i)join_along(w[0], w[1]));
}

/* The first `seen` scores of a row become weights, the others of `cells` cells 0; returns sums, lane by lane. */
INLINE vfloat weigh_row(const float *scores, int64_t seen, int64_t cells, float factor, float max, const float *scales,
                        uint16_t *weights) {
    vfloat sums[2] = {splat(0), splat(0)}, by = splat(factor), shift = splat(max);
    int64_t whole = clamp(seen / STRIP, 0, cells), j = 0;
    for (; j < whole; j++)
        weigh_cell(scores + j * CELL, UINT32_MAX, by, shift, scales ? scales + j * STRIP : NULL, sums, weights + j * CELL);
    if (j < cells && seen > j * STRIP) {
        weigh_cell(scores + j * CELL, keys_of(seen - j * STRIP), by, shift, scales ? scales + j * STRIP : NULL, sums,
                   weights + j * CELL);
        j++;
    }
    for (; j < cells; j++) _mm512_store_si512(weights + j * CELL, _mm512_setzero_si512());
    return sums[0] + sums[1];
}

/* The running maxima take in those of a span, of which lanes are given; shrink is what sums so far count with them. */
static void raise_maxima(const forward_queries *s, const float *largest, float factor, float *shrink) {
    for (int64_t i = 0; i < STRIP; i += LANES) {
        vfloat old = load_whole(s->max + i), max = max_float(maxima_of_rows(largest + i * LANES) * factor, old);
        store_whole(shrink + i, shrink_of(old, max));
        store_whole(s->max + i, max);
    }
}

/* Scores become weights; the running sums shrink and take them in. */
static void weigh_scores(const forward_queries *s, const forward_keys *k, forward_rooms rooms, const float *shrink,
                         int64_t see, int64_t cells, const unit *u) {
    float factor = u->scale * LOG2E;
    for (int64_t i = 0; i < s->at.queries; i++) {
        float *sums = s->sums + i * LANES, *scores = rooms.scores + i * STRIP;
        uint16_t *weights = rooms.weights + i * STRIP;
        int64_t seen = see + i + 1;
        vfloat more = k->v_scales ? weigh_row(scores, seen, cells, factor, s->max[i], k->v_scales, weights)
                                  : weigh_row(scores, seen, cells, factor, s->max[i], NULL, weights);
        store_whole(sums, fused_add(load_whole(sums), splat(shrink[i]), more));
        if (!k->key0 || shrink[i] == 1) continue;
        for (float *out = s->out + i * u->width, *end = out + u->width; out < end; out += LANES)
            store_whole(out, load_whole(out) * shrink[i]);
    }
}

/* Scores of a cell of keys that are codes, of which there are so many, times the keys' scales. */
static void scale_scores(float *scores, int64_t queries, const float *scales, int64_t keys) {
    for (int64_t i = 0; i < queries; i++)
        for (int64_t j = 0; j < clamp(keys, 0, STRIP); j += LANES) {
            float *at = scores + i * STRIP + j;
            store_whole(at, load_whole(at) * load_floats(scales + j, lanes_of(keys - j)));
        }
}

/* ---------------------------------------------------------------- units */

static void fetch_forward(ahead *next) {
    if (!next->next) return;
    const sterna_attention *a = next->next->a;
    fetch_ahead(next, (const sterna_matrix *const[]){a->q, a->out}, 2, (const sterna_matrix *const[]){a->k, a->v},
                a->capacity ? 0 : 2);
}

/* The products of a cell come before the maxima of the cell before it, so that tiles work while those are found. */
static void attend(const unit *u, const forward_queries *s, const forward_keys *k, forward_rooms rooms, ahead *next) {
    float largest[STRIP * LANES] __attribute__((aligned(64))), shrink[STRIP];
    int64_t see = u->a->past + s->at.query0 - k->key0, terms = whole_terms(u->width), queries = s->at.queries;
    int64_t cells = (clamp(see + STRIP, 0, k->count) + STRIP - 1) / STRIP;
    if (see + queries <= 0) return;
    fill(largest, STRIP * LANES, -INFINITY);
    for (int64_t j = 0; j <= cells; j++) {
        float *before = rooms.scores + (j - 1) * CELL;
        int64_t key0 = (j - 1) * STRIP;
        if (j < cells) multiply_rows(s->q, k->k_t + j * row_words(u->width), terms, rooms.scores + j * CELL);
        if (j == 0) continue;
        if (k->k_scales) scale_scores(before, queries, k->k_scales + key0, k->count - key0);
        fold_maxima(before, queries, see - key0, largest);
        fetch_forward(next);
    }
    raise_maxima(s, largest, u->scale * LOG2E, shrink);
    weigh_scores(s, k, rooms, shrink, see, cells, u);
    add_weighted(rooms.weights, k->v, STRIP / 2 * u->width, cells, s->out, u->width, k->key0 > 0);
}

static int64_t forward_queries_floats(int64_t width) {
    return row_words(width) + STRIP * width + STRIP + STRIP * LANES;
}

static forward_queries begin_forward(const unit *u, query_block at, float *room) {
    forward_queries s = {.at = at};
    s.q = (uint16_t *)take(&room, row_words(u->width));
    s.out = take(&room, STRIP * u->width);
    s.max = take(&room, STRIP);
    s.sums = take(&room, STRIP * LANES);
    load_terms(query_region(u, u->a->q, at), s.q);
    fill(s.max, STRIP, -INFINITY);
    fill(s.sums, STRIP * LANES, 0);
    return s;
}

static void finish_forward(const unit *u, const forward_queries *s) {
    float sums[STRIP], factors[STRIP], *lse = lse_of(u, s->at);
    for (int64_t i = 0; i < STRIP; i += LANES) {
        vfloat sum = sums_of_rows(s->sums + i * LANES);
        store_whole(sums + i, sum);
        store_whole(factors + i, 1 / sum);
    }
    for (int64_t i = 0; i < s->at.queries; i++) lse[i] = (s->max[i] + log2f(sums[i])) * LN2;
    store_sums(s->out, factors, query_region(u, u->a->out, s->at));
}

/* As many strips of queries as scratch holds go over the keys together, so that operands of keys are made once. */
static void forward_unit(const unit *u, ahead *next, float *scratch) {
    const float *start = scratch;
    forward_keys keys = {.k_t = (uint32_t *)take(&scratch, SPAN_CELLS * row_words(u->width)),
                         .v = (uint32_t *)take(&scratch, SPAN / 2 * u->width)};
    forward_rooms rooms = {take(&scratch, SPAN_CELLS * CELL), (uint16_t *)take(&scratch, SPAN_CELLS * CELL / 2)};
    enum { MOST = 128 };
    forward_queries strips[MOST];
    int64_t floats = forward_queries_floats(u->width), all = u->group * u->head_blocks;
    int64_t fit = clamp((SCRATCH_FLOATS - (scratch - start)) / floats, 1, MOST);
    tile_begin();
    for (int64_t first = 0; first < all; first += fit) {
        int64_t count = clamp(all - first, 0, fit), seen = 0;
        for (int64_t s = 0; s < count; s++) {
            strips[s] = begin_forward(u, query_block_of(u, first + s), scratch + s * floats);
            seen = clamp(u->a->past + strips[s].at.query0 + strips[s].at.queries, seen, INT64_MAX);
        }
        for (int64_t key0 = 0; key0 < seen; key0 += SPAN) {
            load_span(u, key0, &keys);
            for (int64_t s = 0; s < count; s++) attend(u, &strips[s], &keys, rooms, next);
        }
        for (int64_t s = 0; s < count; s++) finish_forward(u, &strips[s]);
    }
    tile_end();
}

static int32_t attention_forward(const sterna_attention *call, int64_t unit0, int64_t unit1, void *scratch) {
    sterna_attention a = *call;
    sterna_matrix k, v;
    if (a.quantized_k) k = matrix_of(a.quantized_k), a.k = &k;
    if (a.quantized_v) v = matrix_of(a.quantized_v), a.v = &v;
    for (int64_t index = unit0; index < unit1; index++) {
        unit u = unit_of(&a, index, STRIP), next = unit_of(&a, index + 1, STRIP);
        ahead fetched = {index + 1 < unit1 ? &next : NULL, 0, rows_a_cell(&u)};
        forward_unit(&u, &fetched, scratch);
    }
    return STERNA_OK;
}
