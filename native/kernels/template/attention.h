/*
 * attention.h: causal attention in blocks (Dao, FlashAttention-2, 2023). Included by the attention.c of a
 * tier, which calls fill_attention.
 *
 * A unit's queries and keys are cut into blocks of BLOCK rows, counted from 0 whatever the slice. A block
 * is copied to scratch as f32 (BLOCK, width), width = head_dim rounded up to LANES, missing rows and columns
 * 0, and becomes an operand. Scores are kept in units of log2: queries carry scale * log2(e).
 *
 * `see` says what a pair of blocks sees: query i sees keys 0...see + i of the block.
 *
 * The tier defines the three products of a pair of blocks, which do nearly all the work, before:
 *   block_scores      scores (queries, keys) = q (queries, width) k (keys, width)^T
 *   block_values      sums (queries, width) += weights (queries, keys) v (keys, width)
 *   block_transposed  sums (keys, width) += weights (queries, keys)^T q (queries, width)
 * which sum as attention_few.h does, and in what form they take blocks of keys or values (BLOCK, width), made once for all
 * pairs:
 *   keys_operand, and make_keys from rows, for some uses (FOR_SCORES; FOR_SUMS, of block_values), in a room of keys_floats;
 *                     rows stay where they are while an operand FOR_SUMS of them is used
 *   keys_of_columns   what make_keys makes for scores, from columns (width, BLOCK), as a cache has them
 * They may leave out what no query of a strip of STRIP rows sees, rounded up to KEY_STEP keys; what they
 * don't leave out has weight 0 where a query does not see the key and, backward, where a strip's row is no query.
 */
#include "dispatch/table.h"
#include "kernels/template/attention_few.h"
#include "kernels/template/attention_unit.h"

/* The end of the weights in row i. */
INLINE int64_t strip_end(int64_t see, int64_t i) {
    return round_up(keys_seen(see, i, STRIP), KEY_STEP);
}

/* ---------------------------------------------------------------- blocks in scratch */

/* Rows of one type, a constant where this is inlined. */
INLINE void load_typed(region from, int32_t type, float factor, float *rows) {
    int64_t whole = from.cols / LANES * LANES, width = width_of(from.cols);
    for (int64_t r = 0; r < from.rows; r++, rows += width) {
        row in = line_of(from, type, r);
        for (int64_t c = 0; c < whole; c += LANES) store_whole(rows + c, load_line(in, c, LANES) * factor);
        if (whole < width) store_whole(rows + whole, load_line(in, whole, from.cols - whole) * factor);
    }
}

static void load_rows(region from, float factor, float *rows) {
    if (from.type == STERNA_F32) load_typed(from, STERNA_F32, factor, rows);
    else if (from.type == STERNA_BF16) load_typed(from, STERNA_BF16, factor, rows);
    else load_typed(from, STERNA_I8, factor, rows);
}

/* The rows, then zeros up to `rows` of them. */
static void load_padded(region from, float factor, int64_t rows, float *block) {
    int64_t width = width_of(from.cols);
    load_rows(from, factor, block);
    memset(block + from.rows * width, 0, (size_t)((rows - from.rows) * width) * sizeof *block);
}

static void load_block(region from, float factor, float *block) {
    load_padded(from, factor, BLOCK, block);
}

INLINE void store_typed(const float *rows, float factor, region to, int32_t type) {
    int64_t whole = to.cols / LANES * LANES, width = width_of(to.cols);
    for (int64_t r = 0; r < to.rows; r++, rows += width) {
        row out = line_of(to, type, r);
        for (int64_t c = 0; c < whole; c += LANES) store(out, c, LANES, load_whole(rows + c) * factor);
        if (whole < width) store(out, whole, to.cols - whole, load_whole(rows + whole) * factor);
    }
}

static void store_rows(const float *rows, float factor, region to) {
    if (to.type == STERNA_F32) store_typed(rows, factor, to, STERNA_F32);
    else store_typed(rows, factor, to, STERNA_BF16);
}

/* A block of a cache's keys, which lie by column: (head_dim, BLOCK). Behind the last key there may be anything. */
static region key_columns(const unit *u, int64_t key0) {
    _Static_assert(BLOCK == STERNA_KEY_BLOCK, "a block of the cache is one of ours");
    const sterna_matrix *k = u->a->k;
    return (region){region_of(k, key_row(u, key0), 1, 0, 1).data, k->type, BLOCK, u->a->head_dim, BLOCK};
}

/* ---------------------------------------------------------------- softmax of a row of scores */

/* v in lanes below n, `otherwise` in the others. */
INLINE vfloat keep(vfloat v, int64_t n, float otherwise) {
    return (vfloat)choose(lane_numbers() < splat_int((int32_t)n), (vint)v, (vint)splat(otherwise));
}

/* Largest of the first n scores and `start`. */
INLINE float max_score(const float *scores, int64_t n, float start) {
    vfloat largest = splat(start);
    for (int64_t j = 0; j < n; j += LANES) {
        vfloat s = load_whole(scores + j);
        if (j + LANES > n) s = keep(s, n - j, -INFINITY);
        largest = max_float(s, largest);
    }
    return max_across(largest);
}

/* The weights 2^(score - shift) of scores j..., 0 from the n-th score on. */
INLINE vfloat weights_of(const float *scores, int64_t j, int64_t n, vfloat shift) {
    vfloat p = exp2_of(load_whole(scores + j) - shift);
    return j + LANES > n ? keep(p, n - j, 0) : p;
}

/* The first n of scores become weights, the others up to `end`, a multiple of 16, 0; sums are of 16 lanes by key,
 * whatever LANES is. */
INLINE void exponentiate(float *scores, int64_t n, int64_t end, float shift, vfloat sums[PARTS]) {
    for (int p = 0; p < PARTS; p++) sums[p] = splat(0);
    for (int64_t j = 0; j < end; j += 16)
        for (int p = 0; p < PARTS; p++) {
            vfloat weights = weights_of(scores, j + p * LANES, n, splat(shift));
            store_whole(scores + j + p * LANES, weights);
            sums[p] += weights;
        }
}

/* ---------------------------------------------------------------- forward */

/* A block of queries with its running softmax. */
typedef struct forward_state {
    query_block at;
    float *q;    /* (BLOCK, width) */
    float *out;  /* (BLOCK, width) */
    float *max;  /* (BLOCK) */
    float *sums; /* (BLOCK, 16), to be added up */
} forward_state;

static forward_state new_forward_state(int64_t rows, int64_t width, float **scratch) {
    forward_state s = {.out = take(scratch, rows * width), .max = take(scratch, BLOCK), .sums = take(scratch, rows * 16)};
    memset(s.out, 0, (size_t)(rows * width) * sizeof(float));
    memset(s.sums, 0, (size_t)(rows * 16) * sizeof(float));
    for (int i = 0; i < BLOCK; i++) s.max[i] = -INFINITY;
    return s;
}

INLINE void scale_row(float *x, int64_t width, float factor) {
    for (int64_t c = 0; c < width; c += LANES) store_whole(x + c, load_whole(x + c) * factor);
}

/* Folds the scores of query i, of which it sees `seen`, into its softmax, whose maximum becomes max and whose
 * sums so far count `shrink` times; they become weights. */
INLINE void fold_scores(float *scores, int64_t seen, int64_t end, const forward_state *s, int64_t i, float max,
                        float shrink, int64_t width) {
    float *sums = s->sums + i * 16;
    vfloat more[PARTS];
    s->max[i] = max;
    exponentiate(scores, seen, end, max, more);
    for (int p = 0; p < PARTS; p++)
        store_whole(sums + p * LANES, fused_add(load_whole(sums + p * LANES), splat(shrink), more[p]));
    if (shrink != 1) scale_row(s->out + i * width, width, shrink);
}

/* All queries of a block fold their scores (queries, BLOCK). The maxima come first, so that rows, which don't
 * depend on each other, follow without waiting. A whole block, as most are, is a straight line of code. */
INLINE void fold_rows(float *scores, const forward_state *s, int64_t width, int64_t see, int whole) {
    float max[BLOCK], shrink[BLOCK];
    memcpy(max, s->max, sizeof max);
    for (int64_t i = 0; i < s->at.queries; i++)
        max[i] = max_score(scores + i * BLOCK, whole ? BLOCK : clamp(see + i + 1, 0, BLOCK), s->max[i]);
    for (int64_t i = 0; i < BLOCK; i += LANES)
        store_whole(shrink + i, shrink_of(load_whole(s->max + i), load_whole(max + i)));
    for (int64_t i = 0; i < s->at.queries; i++) {
        int64_t seen = whole ? BLOCK : clamp(see + i + 1, 0, BLOCK), end = whole ? BLOCK : strip_end(see, i);
        fold_scores(scores + i * BLOCK, seen, end, s, i, max[i], shrink[i], width);
    }
}

static void fold_block(float *scores, const forward_state *s, int64_t width, int64_t see) {
    if (see >= BLOCK - 1) fold_rows(scores, s, width, see, 1);
    else fold_rows(scores, s, width, see, 0);
}

/* The first n of x, each times its scale, where there are scales. */
INLINE void scale_each(float *x, const float *scales, int64_t n) {
    for (int64_t j = 0; scales && j < n; j += LANES)
        store_whole(x + j, load_whole(x + j) * load_floats(scales + j, lanes_of(n - j)));
}

/* A block of keys and values; codes as the numbers they are, so that scales come to scores and to weights. */
typedef struct forward_keys {
    keys_operand k, v;
    int64_t count;
    const float *k_scales, *v_scales; /* (count), or null */
} forward_keys;

static void forward_pair(const forward_state *s, const forward_keys *b, float *scores, int64_t width, int64_t see) {
    int64_t queries = s->at.queries;
    block_scores(s->q, &b->k, scores, queries, width, see);
    for (int64_t i = 0; i < queries; i++) scale_each(scores + i * BLOCK, b->k_scales, b->count);
    fold_block(scores, s, width, see);
    for (int64_t i = 0; i < queries; i++) scale_each(scores + i * BLOCK, b->v_scales, b->count);
    block_values(scores, &b->v, s->out, queries, width, see);
}

/* Sums become results; one that is 0 is +0, since its sign may come from values of no weight, which are summed or not as
 * other queries see them. */
INLINE void divide_row(float *x, int64_t width, float divisor) {
    for (int64_t c = 0; c < width; c += LANES) store_whole(x + c, load_whole(x + c) * (1 / divisor) + splat(0));
}

/* Stores the results of the block `at`, which are row `first` of s and those after it. */
static void finish_forward(const unit *u, const forward_state *s, query_block at, int64_t first) {
    float *lse = lse_of(u, at);
    for (int64_t i = 0; i < at.queries; i++) {
        int64_t r = first + i;
        vfloat lanes[PARTS];
        for (int p = 0; p < PARTS; p++) lanes[p] = load_whole(s->sums + r * 16 + p * LANES);
        float sum = sum_of_lanes(lanes);
        divide_row(s->out + r * u->width, u->width, sum);
        lse[i] = (s->max[r] + log2f(sum)) * LN2;
    }
    store_rows(s->out + first * u->width, 1, query_region(u, u->a->out, at));
}

/* Rooms of a block's operands, and of the rows or columns that they are made from, which are to stay. */
typedef struct forward_rooms {
    float *keys, *values, *k, *v;
} forward_rooms;

static forward_keys load_forward_keys(const unit *u, int64_t key0, forward_rooms rooms) {
    const sterna_attention *a = u->a;
    region values = key_region(u, a->v, key0);
    forward_keys b = {.count = values.rows, .k_scales = scales_of(u, a->quantized_k, key0), .v_scales = scales_of(u, a->quantized_v, key0)};
    if (a->capacity) {
        load_padded(key_columns(u, key0), 1, u->width, rooms.keys);
        b.k = keys_of_columns(rooms.keys, u->width, rooms.k);
    } else {
        load_block(key_region(u, a->k, key0), 1, rooms.keys);
        b.k = make_keys(rooms.keys, u->width, FOR_SCORES, rooms.k);
    }
    load_block(values, 1, rooms.values);
    b.v = make_keys(rooms.values, u->width, FOR_SUMS, rooms.v);
    return b;
}

/* As many blocks of queries as scratch holds go over the keys together, so that operands of keys are made once. */
static void forward_unit(const unit *u, float *scratch) {
    int64_t width = u->width, tile = BLOCK * width, blocks = u->group * u->head_blocks;
    const float *start = scratch;
    float *scores = take(&scratch, BLOCK * BLOCK);
    forward_rooms rooms = {take(&scratch, tile), take(&scratch, tile), take(&scratch, keys_floats(width, FOR_SCORES)),
                           take(&scratch, keys_floats(width, FOR_SUMS))};
    enum { MOST = 128 };
    forward_state states[MOST];
    int64_t of_state = 2 * tile + BLOCK + BLOCK * 16;
    int64_t fit = clamp((SCRATCH_FLOATS - (scratch - start)) / of_state, 1, MOST);
    for (int64_t first = 0; first < blocks; first += fit) {
        int64_t count = clamp(blocks - first, 0, fit), seen = 0;
        float *rest = scratch;
        for (int64_t b = 0; b < count; b++) {
            states[b] = new_forward_state(BLOCK, width, &rest);
            states[b].at = query_block_of(u, first + b);
            states[b].q = take(&rest, tile);
            load_block(query_region(u, u->a->q, states[b].at), u->scale * LOG2E, states[b].q);
            seen = clamp(u->a->past + states[b].at.query0 + states[b].at.queries, seen, INT64_MAX);
        }
        for (int64_t key0 = 0; key0 < seen; key0 += BLOCK) {
            forward_keys keys = load_forward_keys(u, key0, rooms);
            for (int64_t b = 0; b < count; b++) {
                int64_t see = u->a->past + states[b].at.query0 - key0;
                if (see + states[b].at.queries > 0) forward_pair(&states[b], &keys, scores, width, see);
            }
        }
        for (int64_t b = 0; b < count; b++) finish_forward(u, &states[b], states[b].at, 0);
    }
}

/* ---------------------------------------------------------------- forward of few queries */

#define FEW 8 /* query rows of a unit up to which a cache's keys and values are read where they stand */

/* Row r of the few: query r / group of head r % group, so that neighbours see the same keys. */
static query_block few_row(const unit *u, int64_t r) {
    return (query_block){u->kv_head * u->group + r % u->group, r / u->group, 1};
}

/* The keys and values of a unit from key0 on. */
static key_block key_block_at(const unit *u, int64_t key0) {
    const sterna_attention *a = u->a;
    region k = key_columns(u, key0);
    int64_t rows = key0 + BLOCK < a->past + a->length ? BLOCK : a->capacity - key0; /* until the next of this unit, or of the next one */
    return (key_block){k, key_region(u, a->v, key0), scales_of(u, a->quantized_k, key0), scales_of(u, a->quantized_v, key0),
                       k.data + rows * a->head_dim * element_bytes(k.type)};
}

/* Rows first... of s, `rows` of them, take in the first `seen` keys of a block. */
INLINE void attend_rows(int rows, const forward_state *s, const float *queries, int64_t width, int64_t first,
                        const key_block *b, int64_t seen, float *scratch) {
    const float *q[TOGETHER];
    float *scores[TOGETHER], *out[TOGETHER];
    for (int i = 0; i < rows; i++) {
        q[i] = queries + (first + i) * width;
        scores[i] = scratch + i * BLOCK;
        out[i] = s->out + (first + i) * width;
    }
    score_rows(rows, b, seen, q, scores);
    for (int i = 0; i < rows; i++) {
        scale_each(scores[i], b->k_scales, seen);
        float before = s->max[first + i], max = max_score(scores[i], seen, before);
        float shrink = shrink_of(splat(before), splat(max))[0];
        fold_scores(scores[i], seen, round_up(seen, 16), s, first + i, max, shrink, width);
        scale_each(scores[i], b->v_scales, seen);
    }
    add_rows(rows, b, seen, scores, out);
}

/* Decoding from a cache: a block of keys and values comes from memory once, for all query heads of the unit. */
static void forward_few(const unit *u, float *scratch) {
    const sterna_attention *a = u->a;
    int64_t rows = u->group * a->length, width = u->width;
    forward_state s = new_forward_state(FEW, width, &scratch);
    float *scores = take(&scratch, TOGETHER * BLOCK), *q = take(&scratch, FEW * width);
    for (int64_t r = 0; r < rows; r++) load_rows(query_region(u, a->q, few_row(u, r)), u->scale * LOG2E, q + r * width);
    for (int64_t key0 = 0; key0 < a->past + a->length; key0 += BLOCK) {
        key_block b = key_block_at(u, key0);
        for (int64_t r = 0, step; r < rows; r += step) {
            int64_t left = u->group - r % u->group; /* that see the same keys */
            int64_t seen = clamp(a->past + r / u->group + 1 - key0, 0, BLOCK);
            step = left >= 4 ? 4 : left >= 2 ? 2 : 1;
            if (step == 4) attend_rows(4, &s, q, width, r, &b, seen, scores);
            else if (step == 2) attend_rows(2, &s, q, width, r, &b, seen, scores);
            else attend_rows(1, &s, q, width, r, &b, seen, scores);
        }
    }
    for (int64_t r = 0; r < rows; r++) finish_forward(u, &s, few_row(u, r), r);
}

static int32_t attention_forward(const sterna_attention *call, int64_t unit0, int64_t unit1, void *scratch) {
    sterna_attention copy = *call, *a = &copy;
    sterna_matrix k, v;
    if (a->quantized_k) k = matrix_of(a->quantized_k), a->k = &k;
    if (a->quantized_v) v = matrix_of(a->quantized_v), a->v = &v;
    for (int64_t index = unit0; index < unit1; index++) {
        unit u = unit_of(a, index, BLOCK);
        if (a->capacity && u.group * a->length <= FEW) forward_few(&u, scratch);
        else forward_unit(&u, scratch);
    }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- backward */

/* A block of queries, its gradients, and what turns scores into probabilities and their gradients. */
typedef struct backward_queries {
    query_block at;
    float *q, *dout, *dq; /* (BLOCK, width) */
    float *lse, *dot;     /* (BLOCK): lse in units of log2, dout . out */
} backward_queries;

typedef struct backward_keys {
    int64_t key0, count;
    keys_operand k, v;
    float *k_room, *v_room;
    float *rows, *dk, *dv; /* (BLOCK, width), the first of keys or none */
    float *p, *ds;         /* (BLOCK, BLOCK): probabilities and gradients of scores, of one pair */
} backward_keys;

static int64_t backward_queries_floats(int64_t width) {
    return 3 * BLOCK * width + 2 * BLOCK;
}

static backward_keys take_keys(int64_t width, float **scratch) {
    int64_t tile = BLOCK * width;
    return (backward_keys){.k_room = take(scratch, keys_floats(width, FOR_SCORES | FOR_SUMS)),
                           .v_room = take(scratch, keys_floats(width, FOR_SCORES)), .rows = take(scratch, tile),
                           .dk = take(scratch, tile), .dv = take(scratch, tile), .p = take(scratch, BLOCK * BLOCK),
                           .ds = take(scratch, BLOCK * BLOCK)};
}

/* dots[i] = row i of dout times row i of out. */
static void dot_of_rows(const float *dout, const float *out, int64_t width, float dots[BLOCK]) {
    for (int64_t i = 0; i < BLOCK; i++) {
        vfloat dot = splat(0);
        for (int64_t c = i * width; c < (i + 1) * width; c += LANES)
            dot = fused_add(load_whole(dout + c), load_whole(out + c), dot);
        dots[i] = sum_across(dot);
    }
}

/* Takes scratch for a block of queries and loads it. */
static backward_queries load_queries(const unit *u, query_block at, float **scratch) {
    int64_t width = u->width, tile = BLOCK * width;
    const float *lse = lse_of(u, at);
    backward_queries b = {.at = at, .q = take(scratch, tile), .dout = take(scratch, tile), .dq = take(scratch, tile),
                          .lse = take(scratch, BLOCK), .dot = take(scratch, BLOCK)};
    load_block(query_region(u, u->a->q, at), u->scale * LOG2E, b.q);
    load_block(query_region(u, u->a->dout, at), 1, b.dout);
    load_block(query_region(u, u->a->out, at), 1, b.dq); /* for the dot products only */
    dot_of_rows(b.dout, b.dq, width, b.dot);
    for (int64_t i = 0; i < BLOCK; i++) b.lse[i] = i < at.queries ? lse[i] * LOG2E : 0;
    memset(b.dq, 0, (size_t)tile * sizeof(float));
    return b;
}

static void load_keys(const unit *u, int64_t key0, backward_keys *b) {
    size_t bytes = (size_t)(BLOCK * u->width) * sizeof(float);
    region v = key_region(u, u->a->v, key0);
    b->key0 = key0;
    b->count = v.rows;
    load_block(v, 1, b->rows);
    b->v = make_keys(b->rows, u->width, FOR_SCORES, b->v_room);
    load_block(key_region(u, u->a->k, key0), 1, b->rows);
    b->k = make_keys(b->rows, u->width, FOR_SCORES | FOR_SUMS, b->k_room);
    memset(b->dk, 0, bytes);
    memset(b->dv, 0, bytes);
}

/* p (scores so far) becomes the probabilities, ds (dout v so far) the gradient p (ds - dot). */
INLINE void score_gradients_of(const backward_queries *q, const backward_keys *k, int64_t see, int whole) {
    for (int64_t i = 0; i < q->at.queries; i++) {
        float *p = k->p + i * BLOCK, *ds = k->ds + i * BLOCK;
        int64_t seen = whole ? BLOCK : clamp(see + i + 1, 0, BLOCK), end = whole ? BLOCK : strip_end(see, i);
        for (int64_t j = 0; j < end; j += LANES) {
            vfloat weights = weights_of(p, j, seen, splat(q->lse[i]));
            store_whole(p + j, weights);
            store_whole(ds + j, weights * (load_whole(ds + j) - q->dot[i]));
        }
    }
}

static void score_gradients(const backward_queries *q, const backward_keys *k, int64_t see) {
    if (see >= BLOCK - 1) score_gradients_of(q, k, see, 1);
    else score_gradients_of(q, k, see, 0);
    int64_t empty = (round_up(q->at.queries, STRIP) - q->at.queries) * BLOCK;
    memset(k->p + q->at.queries * BLOCK, 0, (size_t)empty * sizeof(float));
    memset(k->ds + q->at.queries * BLOCK, 0, (size_t)empty * sizeof(float));
}

enum { QUERY_GRADIENT = 1, KEY_GRADIENTS = 2 };

static void backward_pair(const backward_queries *q, const backward_keys *k, int64_t width, int want) {
    int64_t see = q->at.query0 - k->key0, queries = q->at.queries;
    if (see < 0) return;
    block_scores(q->q, &k->k, k->p, queries, width, see);
    block_scores(q->dout, &k->v, k->ds, queries, width, see);
    score_gradients(q, k, see);
    if (want & QUERY_GRADIENT) block_values(k->ds, &k->k, q->dq, queries, width, see);
    if (want & KEY_GRADIENTS) {
        block_transposed(k->p, q->dout, k->dv, queries, k->count, width, see);
        block_transposed(k->ds, q->q, k->dk, queries, k->count, width, see);
    }
}

static void store_query_gradient(const unit *u, const backward_queries *b) {
    store_rows(b->dq, u->scale, query_region(u, u->a->dq, b->at));
}

/* dk = scale ds^T q, and the block of q carries scale * log2(e). */
static void store_key_gradients(const unit *u, const backward_keys *b) {
    store_rows(b->dk, LN2, key_region(u, u->a->dk, b->key0));
    store_rows(b->dv, 1, key_region(u, u->a->dv, b->key0));
}

#define MOST_RESIDENT 128

/* All queries of the unit stay in scratch: each pair of blocks is visited once. */
static void backward_resident(const unit *u, backward_keys *k, float *scratch) {
    int64_t blocks = u->group * u->head_blocks;
    backward_queries q[MOST_RESIDENT];
    for (int64_t b = 0; b < blocks; b++) q[b] = load_queries(u, query_block_of(u, b), &scratch);
    for (int64_t key0 = 0; key0 < u->a->length; key0 += BLOCK) {
        load_keys(u, key0, k);
        for (int64_t b = 0; b < blocks; b++) backward_pair(&q[b], k, u->width, QUERY_GRADIENT | KEY_GRADIENTS);
        store_key_gradients(u, k);
    }
    for (int64_t b = 0; b < blocks; b++) store_query_gradient(u, &q[b]);
}

/* Too many queries for scratch: once by queries for dq, once by keys for dk and dv. */
static void backward_in_two_passes(const unit *u, backward_keys *k, float *scratch) {
    int64_t blocks = u->group * u->head_blocks;
    for (int64_t b = 0; b < blocks; b++) {
        float *rest = scratch;
        backward_queries q = load_queries(u, query_block_of(u, b), &rest);
        for (int64_t key0 = 0; key0 < q.at.query0 + q.at.queries; key0 += BLOCK) {
            load_keys(u, key0, k);
            backward_pair(&q, k, u->width, QUERY_GRADIENT);
        }
        store_query_gradient(u, &q);
    }
    for (int64_t key0 = 0; key0 < u->a->length; key0 += BLOCK) {
        load_keys(u, key0, k);
        for (int64_t b = 0; b < blocks; b++) {
            if (query_block_of(u, b).query0 < key0) continue;
            float *rest = scratch;
            backward_queries q = load_queries(u, query_block_of(u, b), &rest);
            backward_pair(&q, k, u->width, KEY_GRADIENTS);
        }
        store_key_gradients(u, k);
    }
}

static void backward_unit(const unit *u, float *scratch) {
    const float *start = scratch;
    backward_keys k = take_keys(u->width, &scratch);
    int64_t blocks = u->group * u->head_blocks;
    int64_t fit = (SCRATCH_FLOATS - (scratch - start)) / backward_queries_floats(u->width);
    if (blocks <= fit && blocks <= MOST_RESIDENT) backward_resident(u, &k, scratch);
    else backward_in_two_passes(u, &k, scratch);
}

static int32_t attention_backward(const sterna_attention *a, int64_t unit0, int64_t unit1, void *scratch) {
    for (int64_t index = unit0; index < unit1; index++) {
        unit u = unit_of(a, index, BLOCK);
        backward_unit(&u, scratch);
    }
    return STERNA_OK;
}

static void fill_attention(sterna_table *t) {
    t->attention_forward = attention_forward;
    t->attention_backward = attention_backward;
}
