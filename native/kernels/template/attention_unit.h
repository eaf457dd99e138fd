/* attention_unit.h: what a unit of attention's work is and where its rows are, for every tier that has its own kernel. */
#ifndef STERNA_ATTENTION_UNIT_H
#define STERNA_ATTENTION_UNIT_H

#include <math.h>

#include "kernels/template/block.h"
#include "kernels/template/region.h"

#define LOG2E 1.44269504f
#define LN2 0.693147181f

/* A head's columns in scratch, the added ones 0. */
INLINE int64_t width_of(int64_t cols) {
    return round_up(cols, LANES);
}

/* One (sequence, kv head) and its query heads, whose queries are cut into blocks of so many rows, counted from 0. */
typedef struct unit {
    const sterna_attention *a;
    int64_t sequence, kv_head, group, width;
    int64_t block, head_blocks; /* rows of a block; blocks of a head's queries */
    float scale;
} unit;

static unit unit_of(const sterna_attention *a, int64_t index, int64_t block) {
    int64_t group = a->heads / a->kv_heads;
    return (unit){a, index / a->kv_heads, index % a->kv_heads, group, width_of(a->head_dim), block,
                  (a->length + block - 1) / block, 1 / sqrtf((float)a->head_dim)};
}

/* Queries of one head. */
typedef struct query_block {
    int64_t head, query0, queries;
} query_block;

/* Block `index` of the unit's group * head_blocks. */
static query_block query_block_of(const unit *u, int64_t index) {
    int64_t query0 = index % u->head_blocks * u->block;
    return (query_block){u->kv_head * u->group + index / u->head_blocks, query0,
                         clamp(u->a->length - query0, 0, u->block)};
}

static region query_region(const unit *u, const sterna_matrix *x, query_block b) {
    return region_of(x, u->sequence * u->a->length + b.query0, b.queries, b.head * u->a->head_dim, u->a->head_dim);
}

static float *lse_of(const unit *u, query_block b) {
    return u->a->lse + (b.head * u->a->sequences + u->sequence) * u->a->length + b.query0;
}

/* The row of key or value key0 of a unit. */
static int64_t key_row(const unit *u, int64_t key0) {
    const sterna_attention *a = u->a;
    return (a->capacity ? (u->sequence * a->kv_heads + u->kv_head) * a->capacity : u->sequence * (a->past + a->length)) + key0;
}

/* A block of keys or values, which lie by row. */
static region key_region(const unit *u, const sterna_matrix *x, int64_t key0) {
    int64_t rows = clamp(u->a->past + u->a->length - key0, 0, u->block);
    return region_of(x, key_row(u, key0), rows, u->a->capacity ? 0 : u->kv_head * u->a->head_dim, u->a->head_dim);
}

/* The scales of a block of quantized keys or values; null where there are none. */
static const float *scales_of(const unit *u, const sterna_quantized *q, int64_t key0) {
    return q ? q->scales + key_row(u, key0) : NULL;
}

/* Codes as a matrix of type I8. */
static sterna_matrix matrix_of(const sterna_quantized *q) {
    return (sterna_matrix){q->codes, q->rows, q->cols, q->stride, STERNA_I8, 0};
}

/* ---------------------------------------------------------------- scratch and softmax */

/* Takes `count` floats of scratch, a multiple of 16 so that all stay aligned. */
static float *take(float **scratch, int64_t count) {
    float *taken = *scratch;
    *scratch += count;
    return taken;
}

#define SCRATCH_FLOATS (STERNA_SCRATCH_BYTES / (int64_t)sizeof(float))

/* How much sums shrink when their maximum grows; 1 when it does not, -infinity included. */
INLINE vfloat shrink_of(vfloat max, vfloat new_max) {
    return (vfloat)choose(max == new_max, (vint)splat(1), (vint)exp2_of(max - new_max));
}

#endif
