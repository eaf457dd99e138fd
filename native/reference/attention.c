/* attention.c: the definition of causal attention, one query or key at a time in float64. Nothing is
 * stored between queries: scores are computed again where they are needed. */
#include "dispatch/attention.h"

#include <math.h>

#include "dispatch/element.h"
#include "dispatch/families.h"

/* A query head and its key head in one sequence. */
typedef struct head {
    const sterna_attention *a;
    int64_t query0, query_col; /* first row and first column in q, out, dq, dout */
    int64_t key0, key_col;     /* first row and first column in k, v, dk, dv */
    float *lse;                /* (length) */
} head;

static head head_of(const sterna_attention *a, int64_t unit, int64_t member) {
    int64_t sequence = unit / a->kv_heads, kv_head = unit % a->kv_heads;
    int64_t h = kv_head * (a->heads / a->kv_heads) + member;
    head x = {a, sequence * a->length, h * a->head_dim, sequence * (a->past + a->length), kv_head * a->head_dim,
              a->lse + h * a->sequences * a->length + sequence * a->length};
    if (a->capacity) x.key0 = unit * a->capacity, x.key_col = 0;
    return x;
}

/* Of q where it is not null, otherwise of x. */
static double get(const sterna_matrix *x, const sterna_quantized *q, int64_t r, int64_t c) {
    return q ? (double)q->codes[r * q->stride + c] * q->scales[r] : sterna_get(x, r, c);
}

/* Column c of a key, which a cache has by column. */
static double get_key(const sterna_attention *a, int64_t r, int64_t c) {
    const sterna_quantized *q = a->quantized_k;
    if (!a->capacity) return get(a->k, q, r, c);
    if (q) return (double)q->codes[sterna_key_index(r, c, q->stride)] * q->scales[r];
    int64_t at = sterna_key_index(r, c, a->k->stride);
    return sterna_get(a->k, at / a->k->stride, at % a->k->stride);
}

static double dot(const sterna_matrix *x, int64_t x_row, int64_t x_col, const sterna_matrix *y, int64_t y_row,
                  int64_t y_col, int64_t n) {
    double sum = 0;
    for (int64_t c = 0; c < n; c++) sum += sterna_get(x, x_row, x_col + c) * sterna_get(y, y_row, y_col + c);
    return sum;
}

static double scale_of(const sterna_attention *a) {
    return 1 / sqrt((double)a->head_dim);
}

/* The score of query i and key j before the softmax. */
static double score(const head *h, int64_t i, int64_t j) {
    const sterna_attention *a = h->a;
    double sum = 0;
    for (int64_t c = 0; c < a->head_dim; c++)
        sum += sterna_get(a->q, h->query0 + i, h->query_col + c) * get_key(a, h->key0 + j, h->key_col + c);
    return scale_of(a) * sum;
}

static void add_row(double *sum, double weight, const sterna_matrix *x, const sterna_quantized *q, int64_t row, int64_t col,
                    int64_t n) {
    for (int64_t c = 0; c < n; c++) sum[c] += weight * get(x, q, row, col + c);
}

static void put_row(const sterna_matrix *x, int64_t row, int64_t col, const double *value, double factor, int64_t n) {
    for (int64_t c = 0; c < n; c++) sterna_put(x, row, col + c, (float)(value[c] * factor));
}

/* ---------------------------------------------------------------- forward */

static void forward_query(const head *h, int64_t i) {
    const sterna_attention *a = h->a;
    double max = -INFINITY, sum = 0, out[MAX_HEAD_DIM] = {0};
    for (int64_t j = 0; j <= a->past + i; j++) max = fmax(max, score(h, i, j));
    for (int64_t j = 0; j <= a->past + i; j++) {
        double p = exp(score(h, i, j) - max);
        sum += p;
        add_row(out, p, a->v, a->quantized_v, h->key0 + j, h->key_col, a->head_dim);
    }
    put_row(a->out, h->query0 + i, h->query_col, out, 1 / sum, a->head_dim);
    h->lse[i] = (float)(max + log(sum));
}

static int32_t forward(const sterna_attention *a, int64_t unit0, int64_t unit1, void *scratch) {
    (void)scratch;
    for (int64_t unit = unit0; unit < unit1; unit++)
        for (int64_t member = 0; member < a->heads / a->kv_heads; member++) {
            head h = head_of(a, unit, member);
            for (int64_t i = 0; i < a->length; i++) forward_query(&h, i);
        }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- backward */

static double probability(const head *h, int64_t i, int64_t j) {
    return exp(score(h, i, j) - h->lse[i]);
}

/* The gradient of score(i, j): p (dout v - dout out), times the scale that q k carries. */
static double score_gradient(const head *h, int64_t i, int64_t j) {
    const sterna_attention *a = h->a;
    int64_t row = h->query0 + i, col = h->query_col;
    double dp = dot(a->dout, row, col, a->v, h->key0 + j, h->key_col, a->head_dim);
    return probability(h, i, j) * (dp - dot(a->dout, row, col, a->out, row, col, a->head_dim)) * scale_of(a);
}

static void backward_query(const head *h, int64_t i) {
    double dq[MAX_HEAD_DIM] = {0};
    for (int64_t j = 0; j <= i; j++)
        add_row(dq, score_gradient(h, i, j), h->a->k, NULL, h->key0 + j, h->key_col, h->a->head_dim);
    put_row(h->a->dq, h->query0 + i, h->query_col, dq, 1, h->a->head_dim);
}

/* dk and dv of key j sum over the query heads that share it. */
static void backward_key(const sterna_attention *a, int64_t unit, int64_t j) {
    double dk[MAX_HEAD_DIM] = {0}, dv[MAX_HEAD_DIM] = {0};
    for (int64_t member = 0; member < a->heads / a->kv_heads; member++) {
        head h = head_of(a, unit, member);
        for (int64_t i = j; i < a->length; i++) {
            add_row(dk, score_gradient(&h, i, j), a->q, NULL, h.query0 + i, h.query_col, a->head_dim);
            add_row(dv, probability(&h, i, j), a->dout, NULL, h.query0 + i, h.query_col, a->head_dim);
        }
    }
    head h = head_of(a, unit, 0);
    put_row(a->dk, h.key0 + j, h.key_col, dk, 1, a->head_dim);
    put_row(a->dv, h.key0 + j, h.key_col, dv, 1, a->head_dim);
}

static int32_t backward(const sterna_attention *a, int64_t unit0, int64_t unit1, void *scratch) {
    (void)scratch;
    for (int64_t unit = unit0; unit < unit1; unit++) {
        for (int64_t member = 0; member < a->heads / a->kv_heads; member++) {
            head h = head_of(a, unit, member);
            for (int64_t i = 0; i < a->length; i++) backward_query(&h, i);
        }
        for (int64_t j = 0; j < a->length; j++) backward_key(a, unit, j);
    }
    return STERNA_OK;
}

void sterna_reference_attention(sterna_table *t) {
    t->attention_forward = forward;
    t->attention_backward = backward;
}
