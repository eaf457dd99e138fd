/* abi_attention.c: validates the arguments of the attention kernels, then calls the table. */
#include "attention.h"
#include "check.h"

#define MAX_COUNT ((int64_t)1 << 30) /* so that products of two counts fit in int64_t */

static int in_range(int64_t value, int64_t low) {
    return low <= value && value <= MAX_COUNT;
}

static int32_t check_sizes(const sterna_attention *a) {
    int32_t reason = sterna_check_pointer(a, 8);
    if (reason) return reason;
    if (!in_range(a->sequences, 1) || !in_range(a->length, 1) || !in_range(a->past, 0) || !in_range(a->heads, 1)
        || !in_range(a->kv_heads, 1) || a->heads % a->kv_heads)
        return STERNA_BAD_SHAPE;
    if (a->capacity && !(in_range(a->capacity, 1) && a->capacity >= a->past + a->length)) return STERNA_BAD_SHAPE;
    if (a->capacity % STERNA_KEY_BLOCK) return STERNA_BAD_SHAPE;
    if (a->capacity && a->kv_heads > INT64_MAX / a->sequences / a->capacity) return STERNA_BAD_SHAPE;
    return a->head_dim >= 2 && a->head_dim <= MAX_HEAD_DIM && a->head_dim % 2 == 0 ? 0 : STERNA_BAD_SHAPE;
}

static int32_t check_queries(const sterna_attention *a, const sterna_matrix *x) {
    int32_t reason = sterna_check_matrix(x, STERNA_ANY_FLOAT);
    return reason ? reason : sterna_check_shape(x, a->sequences * a->length, a->heads * a->head_dim);
}

/* Of keys and values. */
static int64_t key_rows(const sterna_attention *a) {
    return a->sequences * (a->capacity ? a->kv_heads * a->capacity : a->past + a->length);
}

static int64_t key_cols(const sterna_attention *a) {
    return a->capacity ? a->head_dim : a->kv_heads * a->head_dim;
}

static int32_t check_keys(const sterna_attention *a, const sterna_matrix *x) {
    int32_t reason = sterna_check_matrix(x, STERNA_ANY_FLOAT);
    return reason ? reason : sterna_check_shape(x, key_rows(a), key_cols(a));
}

/* Keys or values: quantized ones where there are some. */
static int32_t check_stored(const sterna_attention *a, const sterna_matrix *x, const sterna_quantized *q) {
    if (!q) return check_keys(a, x);
    int32_t reason = sterna_check_quantized(q);
    if (reason) return reason;
    return q->rows == key_rows(a) && q->cols == key_cols(a) ? 0 : STERNA_BAD_SHAPE;
}

static int32_t check_forward(const sterna_attention *a) {
    int32_t reason = check_sizes(a);
    if (!reason) reason = check_queries(a, a->q);
    if (!reason) reason = check_stored(a, a->k, a->quantized_k);
    if (!reason) reason = check_stored(a, a->v, a->quantized_v);
    if (!reason) reason = check_queries(a, a->out);
    return reason ? reason : sterna_check_pointer(a->lse, 4);
}

static int32_t check_backward(const sterna_attention *a) {
    int32_t reason = check_forward(a);
    if (!reason && (a->quantized_k || a->quantized_v)) reason = STERNA_BAD_TYPE;
    if (!reason && (a->past || a->capacity)) reason = STERNA_BAD_SHAPE;
    if (!reason) reason = check_queries(a, a->dout);
    if (!reason) reason = check_queries(a, a->dq);
    if (!reason) reason = check_keys(a, a->dk);
    return reason ? reason : check_keys(a, a->dv);
}

int32_t sterna_attention_forward(int32_t tier, const sterna_attention *a, int64_t unit0, int64_t unit1,
                                 void *scratch) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, check_forward(a));
    STERNA_CHECK_SLICE(3, unit0, unit1, a->sequences * a->kv_heads);
    STERNA_CHECK(5, sterna_check_scratch(scratch));
    return t->attention_forward(a, unit0, unit1, scratch);
}

int32_t sterna_attention_backward(int32_t tier, const sterna_attention *a, int64_t unit0, int64_t unit1,
                                  void *scratch) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, check_backward(a));
    STERNA_CHECK_SLICE(3, unit0, unit1, a->sequences * a->kv_heads);
    STERNA_CHECK(5, sterna_check_scratch(scratch));
    return t->attention_backward(a, unit0, unit1, scratch);
}
