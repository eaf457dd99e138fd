/*
 * check_attention.c: causal attention against float64, forward and backward: odd lengths, cached keys,
 * grouped heads, both types, strides, and units cut into slices. The float64 gradients are themselves
 * held against central differences.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dispatch/attention.h"
#include "dispatch/element.h"
#include "tier_traits.h"

/* ---------------------------------------------------------------- cases */

struct attention_case {
    sterna_attention a;
    sterna_matrix q, k, v, out, dout, dq, dk, dv;
    sterna_quantized quantized_k, quantized_v; /* for those who use them instead of k and v */
};

static sterna_matrix new_matrix(int64_t rows, int64_t cols, int32_t type, enum check_place place) {
    sterna_matrix x = {NULL, rows, cols, cols + check_range(0, 1) * check_range(0, 9), type, 0};
    x.data = check_buffer(check_matrix_bytes(&x), place, (size_t)check_range(0, 1) * 4);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) sterna_put(&x, r, c, check_normal());
    return x;
}

static sterna_quantized new_quantized(int64_t rows, int64_t cols, enum check_place place) {
    sterna_quantized x = {NULL, NULL, rows, cols, cols + check_range(0, 1) * check_range(0, 9)};
    x.codes = check_buffer((size_t)((rows - 1) * x.stride + cols), place, (size_t)check_range(0, 3));
    x.scales = check_buffer((size_t)rows * 4, place, 0);
    for (int64_t r = 0; r < rows; r++) {
        x.scales[r] = (float)check_range(1, 100) / 5000;
        for (int64_t c = 0; c < cols; c++) x.codes[r * x.stride + c] = (int8_t)check_range(-127, 127);
    }
    return x;
}

/* Rows of keys and values before those of a unit's, and their first column. */
static int64_t key_row_of(const sterna_attention *a, int64_t sequence, int64_t kv_head) {
    return a->capacity ? (sequence * a->kv_heads + kv_head) * a->capacity : sequence * (a->past + a->length);
}

static int64_t key_col_of(const sterna_attention *a, int64_t kv_head) {
    return a->capacity ? 0 : kv_head * a->head_dim;
}

static int64_t whole_blocks(int64_t keys) {
    return (keys + STERNA_KEY_BLOCK - 1) / STERNA_KEY_BLOCK * STERNA_KEY_BLOCK;
}

/* Column c of row r of keys or values, which lie by column where `by_column`. */
static double get_stored(const sterna_matrix *x, const sterna_quantized *q, int by_column, int64_t r, int64_t c) {
    int64_t stride = q ? q->stride : x->stride, at = by_column ? sterna_key_index(r, c, stride) : r * stride + c;
    return q ? (double)q->codes[at] * q->scales[r] : sterna_get(x, at / stride, at % stride);
}

/* What no query sees, between a head's keys and the next one's, is NaN. */
static void spoil_unused(const sterna_attention *a, const sterna_matrix *x, const sterna_quantized *q, int by_column) {
    for (int64_t unit = 0; unit < a->sequences * a->kv_heads; unit++)
        for (int64_t r = unit * a->capacity + a->past + a->length; r < (unit + 1) * a->capacity; r++) {
            q->scales[r] = NAN;
            for (int64_t c = 0; c < a->head_dim; c++) {
                int64_t at = by_column ? sterna_key_index(r, c, x->stride) : r * x->stride + c;
                sterna_put(x, at / x->stride, at % x->stride, NAN);
            }
        }
}

/* types: F32, BF16, or -1 for a draw for each matrix */
static void new_case(struct attention_case *c, sterna_attention sizes, int32_t types, enum check_place place) {
    c->a = sizes;
    int64_t queries = sizes.sequences * sizes.length, query_cols = sizes.heads * sizes.head_dim;
    int64_t keys = key_row_of(&sizes, sizes.sequences, 0), key_cols = sizes.capacity ? sizes.head_dim : sizes.kv_heads * sizes.head_dim;
    sterna_matrix *matrices[] = {&c->q, &c->out, &c->dout, &c->dq, &c->k, &c->v, &c->dk, &c->dv};
    for (int i = 0; i < 8; i++)
        *matrices[i] = new_matrix(i < 4 ? queries : keys, i < 4 ? query_cols : key_cols,
                                  types < 0 ? (int32_t)check_range(STERNA_F32, STERNA_BF16) : types, place);
    c->a.q = &c->q, c->a.k = &c->k, c->a.v = &c->v, c->a.out = &c->out;
    c->a.dout = &c->dout, c->a.dq = &c->dq, c->a.dk = &c->dk, c->a.dv = &c->dv;
    c->quantized_k = new_quantized(keys, key_cols, place);
    c->quantized_v = new_quantized(keys, key_cols, place);
    c->a.lse = check_buffer((size_t)(sizes.heads * queries) * 4, place, 0);
    spoil_unused(&c->a, &c->k, &c->quantized_k, 1);
    spoil_unused(&c->a, &c->v, &c->quantized_v, 0);
}

/* ---------------------------------------------------------------- float64 */

/* One query head in float64, its own copy: rows (length or positions, head_dim). */
struct head {
    int64_t length, positions, past, d;
    double *q, *k, *v, *dout;
    double *p, *dp;                           /* (length, positions) */
    double *out, *lse, *dq, *dk, *dv;         /* results; dk and dv of this query head alone */
    double *out_size, *dq_size, *dk_size, *dv_size; /* sums of |terms|, for bounds */
};

static double *new_doubles(int64_t count) {
    double *x = calloc((size_t)count, sizeof *x);
    if (!x) {
        fprintf(stderr, "checkkern: out of memory\n");
        exit(3);
    }
    return x;
}

static double *copy_region(const sterna_matrix *x, int64_t row0, int64_t rows, int64_t col, int64_t cols) {
    double *copy = new_doubles(rows * cols);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) copy[r * cols + c] = sterna_get(x, row0 + r, col + c);
    return copy;
}

static double *copy_stored(const sterna_matrix *x, const sterna_quantized *q, int by_column, int64_t row0, int64_t rows, int64_t col, int64_t cols) {
    double *copy = new_doubles(rows * cols);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) copy[r * cols + c] = get_stored(x, q, by_column, row0 + r, col + c);
    return copy;
}

static struct head head_of(const sterna_attention *a, int64_t sequence, int64_t h) {
    int64_t positions = a->past + a->length, d = a->head_dim, kv = h / (a->heads / a->kv_heads);
    struct head x = {.length = a->length, .positions = positions, .past = a->past, .d = d};
    x.q = copy_region(a->q, sequence * a->length, a->length, h * d, d);
    x.dout = copy_region(a->dout, sequence * a->length, a->length, h * d, d);
    x.k = copy_stored(a->k, a->quantized_k, a->capacity > 0, key_row_of(a, sequence, kv), positions, key_col_of(a, kv), d);
    x.v = copy_stored(a->v, a->quantized_v, 0, key_row_of(a, sequence, kv), positions, key_col_of(a, kv), d);
    x.p = new_doubles(a->length * positions), x.dp = new_doubles(a->length * positions);
    x.lse = new_doubles(a->length);
    x.out = new_doubles(a->length * d), x.out_size = new_doubles(a->length * d);
    x.dq = new_doubles(a->length * d), x.dq_size = new_doubles(a->length * d);
    x.dk = new_doubles(positions * d), x.dk_size = new_doubles(positions * d);
    x.dv = new_doubles(positions * d), x.dv_size = new_doubles(positions * d);
    return x;
}

static void free_head(struct head *x) {
    double *all[] = {x->q, x->k, x->v, x->dout, x->p, x->dp, x->lse, x->out, x->out_size, x->dq, x->dq_size, x->dk, x->dk_size, x->dv, x->dv_size};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static double dot(const double *x, const double *y, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static void add_term(double *sum, double *size, double weight, const double *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        sum[i] += weight * x[i];
        size[i] += fabs(weight * x[i]);
    }
}

static void forward_in_f64(struct head *x) {
    int64_t d = x->d;
    memset(x->out, 0, (size_t)(x->length * d) * sizeof(double));
    for (int64_t i = 0; i < x->length; i++) {
        double *p = x->p + i * x->positions, sum = 0;
        for (int64_t j = 0; j <= x->past + i; j++) sum += p[j] = exp(dot(x->q + i * d, x->k + j * d, d) / sqrt((double)d));
        for (int64_t j = 0; j <= x->past + i; j++) add_term(x->out + i * d, x->out_size + i * d, p[j] /= sum, x->v + j * d, d);
        x->lse[i] = log(sum);
    }
}

/* After forward_in_f64. */
static void backward_in_f64(struct head *x) {
    int64_t d = x->d;
    double scale = 1 / sqrt((double)d);
    for (int64_t i = 0; i < x->length; i++) {
        double of_out = dot(x->dout + i * d, x->out + i * d, d), size = 0;
        for (int64_t c = 0; c < d; c++) size += fabs(x->dout[i * d + c] * x->out[i * d + c]);
        for (int64_t j = 0; j <= i; j++) {
            double of_value = 0;
            for (int64_t c = 0; c < d; c++) of_value += fabs(x->dout[i * d + c] * x->v[j * d + c]);
            double p = x->p[i * x->positions + j], ds = p * (dot(x->dout + i * d, x->v + j * d, d) - of_out) * scale;
            add_term(x->dq + i * d, x->dq_size + i * d, ds, x->k + j * d, d);
            add_term(x->dk + j * d, x->dk_size + j * d, ds, x->q + i * d, d);
            add_term(x->dv + j * d, x->dv_size + j * d, p, x->dout + i * d, d);
            for (int64_t c = 0; c < d; c++) { /* ds is a difference of sums: their sizes count */
                x->dq_size[i * d + c] += p * (size + of_value) * scale * fabs(x->k[j * d + c]);
                x->dk_size[j * d + c] += p * (size + of_value) * scale * fabs(x->q[i * d + c]);
            }
        }
    }
}

static double objective(struct head *x) {
    forward_in_f64(x);
    return dot(x->dout, x->out, x->length * x->d);
}

static void check_slope(struct head *x, double *at, double want) {
    const double h = 1e-5, value = *at;
    *at = value + h;
    double above = objective(x);
    *at = value - h;
    double slope = (above - objective(x)) / (2 * h);
    *at = value;
    if (!(fabs(slope - want) <= 1e-7 * (1 + fabs(want)))) check_fail("central difference %.9g, float64 gradient %.9g", slope, want);
}

static void check_f64_gradients(void) {
    check_case("float64 attention gradients against central differences");
    struct attention_case c;
    new_case(&c, (sterna_attention){.sequences = 1, .length = 5, .heads = 1, .kv_heads = 1, .head_dim = 4}, STERNA_F32, AGAINST_END);
    struct head x = head_of(&c.a, 0, 0);
    forward_in_f64(&x);
    backward_in_f64(&x);
    for (int64_t i = 0; i < x.length * x.d; i++) {
        check_slope(&x, x.q + i, x.dq[i]);
        check_slope(&x, x.k + i, x.dk[i]);
        check_slope(&x, x.v + i, x.dv[i]);
    }
    free_head(&x);
    check_release();
}

/* ---------------------------------------------------------------- a tier against float64 */

/* What is stated: sums within this of the sum of |terms|, and one rounding of a bf16 result. A tier with a
 * bf16 matrix unit rounds the operands of its products, by 2^-9 each, scores too. */
static double tolerance_of(int32_t tier) {
    return TIER_TRAITS[tier].bf16_products ? 0x1p-6 : 4e-6;
}

static void compare(const char *what, const sterna_matrix *got, int64_t row0, int64_t rows, int64_t col, int64_t cols,
                    const double *want, const double *size, double tolerance) {
    double rounding = got->type == STERNA_BF16 ? 0x1p-8 : 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            double value = sterna_get(got, row0 + r, col + c), w = want[r * cols + c];
            if (fabs(value - w) <= rounding * fabs(w) + tolerance * (size[r * cols + c] + 1e-3)) continue;
            check_fail("%s(%ld, %ld) = %.9g, float64 gives %.9g, sum of |terms| %.3g", what, (long)r, (long)c, value, w, size[r * cols + c]);
            return;
        }
}

static void compare_forward(int32_t tier, const sterna_attention *a) {
    double tolerance = tolerance_of(tier), lse_tolerance = TIER_TRAITS[tier].bf16_products ? 0x1p-7 : 2e-6;
    for (int64_t s = 0; s < a->sequences; s++)
        for (int64_t h = 0; h < a->heads; h++) {
            struct head x = head_of(a, s, h);
            forward_in_f64(&x);
            compare("out", a->out, s * a->length, a->length, h * a->head_dim, a->head_dim, x.out, x.out_size, tolerance);
            for (int64_t i = 0; i < a->length; i++) {
                double lse = a->lse[(h * a->sequences + s) * a->length + i];
                if (!(fabs(lse - x.lse[i]) <= lse_tolerance * (1 + fabs(x.lse[i])))) check_fail("lse[%ld] = %.9g, float64 gives %.9g", (long)i, lse, x.lse[i]);
            }
            free_head(&x);
        }
}

/* The backward gets `out` as the forward stored it: bf16 rounding of it is an error of dout . out. */
static void compare_backward(int32_t tier, const sterna_attention *a) {
    int64_t group = a->heads / a->kv_heads, d = a->head_dim, n = a->length * d;
    double of_products = tolerance_of(tier), tolerance = fmax(of_products, a->out->type == STERNA_BF16 ? 0x1p-8 : 0);
    for (int64_t s = 0; s < a->sequences; s++)
        for (int64_t kv = 0; kv < a->kv_heads; kv++) {
            struct head sum = head_of(a, s, kv * group);
            for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
                struct head x = head_of(a, s, h);
                forward_in_f64(&x);
                backward_in_f64(&x);
                compare("dq", a->dq, s * a->length, a->length, h * d, d, x.dq, x.dq_size, tolerance);
                for (int64_t i = 0; i < n; i++) {
                    sum.dk[i] += x.dk[i], sum.dk_size[i] += x.dk_size[i];
                    sum.dv[i] += x.dv[i], sum.dv_size[i] += x.dv_size[i];
                }
                free_head(&x);
            }
            compare("dk", a->dk, s * a->length, a->length, kv * d, d, sum.dk, sum.dk_size, tolerance);
            compare("dv", a->dv, s * a->length, a->length, kv * d, d, sum.dv, sum.dv_size, of_products);
            free_head(&sum);
        }
}

typedef int32_t direction(int32_t tier, const sterna_attention *a, int64_t unit0, int64_t unit1, void *scratch);

static void *copy_of(const void *bytes, size_t count) {
    void *copy = malloc(count);
    if (!copy) exit(3);
    return memcpy(copy, bytes, count);
}

/* Runs all units at once, then cut in two; the second must give the first's bytes. */
static void run_in_slices(int32_t tier, direction *run, const sterna_attention *a, const sterna_matrix *const *results, int count) {
    int64_t units = a->sequences * a->kv_heads, cut = check_range(0, units);
    size_t lse_bytes = (size_t)(a->heads * a->sequences * a->length) * 4, bytes[3];
    void *whole[3], *whole_lse;
    CHECK(run(tier, a, 0, units, check_scratch()) == STERNA_OK);
    whole_lse = copy_of(a->lse, lse_bytes);
    for (int i = 0; i < count; i++) {
        const sterna_matrix *x = results[i];
        bytes[i] = check_matrix_bytes(x);
        whole[i] = copy_of(x->data, bytes[i]);
        for (int64_t r = 0; r < x->rows; r++)
            for (int64_t c = 0; c < x->cols; c++) sterna_put(x, r, c, -1);
    }
    CHECK(run(tier, a, cut, units, check_scratch()) == STERNA_OK);
    CHECK(run(tier, a, 0, cut, check_scratch()) == STERNA_OK);
    check_equal("lse of slices", a->lse, whole_lse, lse_bytes, 1);
    for (int i = 0; i < count; i++) {
        check_equal("result of slices", results[i]->data, whole[i], bytes[i], 1);
        free(whole[i]);
    }
    free(whole_lse);
}

/* What sums in f32 sums in one order: the same bytes as on AVX2. */
static void check_like_avx2(int32_t tier, const sterna_attention *a) {
    if (tier <= STERNA_AVX2 || TIER_TRAITS[tier].bf16_products) return;
    size_t bytes = check_matrix_bytes(a->out);
    void *out = copy_of(a->out->data, bytes);
    CHECK(sterna_attention_forward(STERNA_AVX2, a, 0, a->sequences * a->kv_heads, check_scratch()) == STERNA_OK);
    check_equal("out, as on AVX2", out, a->out->data, bytes, 1);
    free(out);
}

/* Keys, values or both from int8. */
static void check_quantized(int32_t tier, const struct attention_case *c) {
    int64_t which = check_range(1, 3);
    sterna_attention a = c->a;
    if (which & 1) a.quantized_k = &c->quantized_k, a.k = NULL;
    if (which & 2) a.quantized_v = &c->quantized_v, a.v = NULL;
    run_in_slices(tier, sterna_attention_forward, &a, (const sterna_matrix *const[]){&c->out}, 1);
    compare_forward(tier, &a);
    check_like_avx2(tier, &a);
}

static void check_shape(int32_t tier, sterna_attention sizes, int32_t types, enum check_place place) {
    check_case("attention, tier %d: %ld sequences of %ld after %ld, %ld heads on %ld of %ld, capacity %ld", tier,
               (long)sizes.sequences, (long)sizes.length, (long)sizes.past, (long)sizes.heads, (long)sizes.kv_heads,
               (long)sizes.head_dim, (long)sizes.capacity);
    struct attention_case c;
    new_case(&c, sizes, types, place);
    run_in_slices(tier, sterna_attention_forward, &c.a, (const sterna_matrix *const[]){&c.out}, 1);
    compare_forward(tier, &c.a);
    check_like_avx2(tier, &c.a);
    if (sizes.past == 0 && sizes.capacity == 0) {
        run_in_slices(tier, sterna_attention_backward, &c.a, (const sterna_matrix *const[]){&c.dq, &c.dk, &c.dv}, 3);
        compare_backward(tier, &c.a);
    }
    check_quantized(tier, &c);
    check_release();
}

/* ---------------------------------------------------------------- one way to sum */

/* Rows from...from + rows - 1 of x are rows row0... of to. */
static void put_rows(const sterna_matrix *to, int64_t row0, const sterna_matrix *x, int64_t from, int64_t rows) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < x->cols; c++) sterna_put(to, row0 + r, c, sterna_get(x, from + r, c));
}

/* Query by query and some at a time, over a cache that grows: `new_tokens` more of the one sequence of `whole`, whose keys
 * and values lie by row. */
struct decoding {
    const sterna_attention *whole;
    sterna_matrix q, k, v, out;
    sterna_quantized codes_k, codes_v;
    sterna_attention a;
};

static void decode(int32_t tier, struct decoding *d, int64_t new_tokens) {
    const sterna_attention *w = d->whole;
    int64_t past = d->a.past;
    sterna_matrix k = {(float *)w->k->data + past * w->k->stride, new_tokens, w->k->cols, w->k->stride, STERNA_F32, 0};
    sterna_matrix v = {(float *)w->v->data + past * w->v->stride, new_tokens, w->v->cols, w->v->stride, STERNA_F32, 0};
    d->a.length = d->q.rows = d->out.rows = new_tokens;
    put_rows(&d->q, 0, w->q, past, new_tokens);
    if (d->a.quantized_k) {
        CHECK(sterna_append_quantized(tier, &k, &d->codes_k, past, 1) == STERNA_OK);
        CHECK(sterna_append_quantized(tier, &v, &d->codes_v, past, 0) == STERNA_OK);
    } else {
        CHECK(sterna_append(tier, &k, &d->k, past, 1) == STERNA_OK);
        CHECK(sterna_append(tier, &v, &d->v, past, 0) == STERNA_OK);
    }
    CHECK(sterna_attention_forward(tier, &d->a, 0, w->kv_heads, check_scratch()) == STERNA_OK);
    for (int64_t r = 0; r < new_tokens; r++)
        check_equal("a query over a cache", (char *)d->out.data + r * d->out.stride * 4,
                    (char *)w->out->data + (past + r) * w->out->stride * 4, (size_t)w->out->cols * 4, 1);
    d->a.past += new_tokens;
}

/* k and v as a cache of that type has them: their numbers, rounded, by row. */
static void round_stored(int32_t tier, const sterna_matrix *x, int32_t type, sterna_matrix *rounded, sterna_quantized *codes,
                         int64_t head_dim) {
    if (type != STERNA_I8) {
        sterna_matrix narrow = new_matrix(x->rows, x->cols, type, AGAINST_END);
        CHECK(sterna_copy(tier, x, &narrow, 0, x->rows) == STERNA_OK);
        *rounded = narrow;
        return;
    }
    *codes = new_quantized(x->rows, x->cols, AGAINST_END);
    CHECK(x->cols == head_dim); /* a scale a row */
    CHECK(sterna_quantize(tier, x, codes, 0, x->rows) == STERNA_OK);
}

/* Query 1 of every head sums to -0 in column 1: the only value that is not 0 is negative, and so is its key's score, so much
 * that their product is too small for a float. A value without weight, of a later key, would make that 0. */
static void put_underflow(const sterna_attention *a) {
    for (int64_t r = 0; r < a->length; r++) {
        for (int64_t h = 0; h < a->heads; h++) sterna_put(a->q, r, h * a->head_dim, 40);
        for (int64_t h = 0; h < a->kv_heads; h++) {
            sterna_put(a->k, r, h * a->head_dim, r == 1 ? -40 : 0);
            sterna_put(a->v, r, h * a->head_dim + 1, r == 0 ? 0 : r == 1 ? -1e-30f : 1);
        }
    }
}

/* All queries of a sequence at once give the bytes that they give one by one, or some at a time, over a cache. */
static void check_decoding(int32_t tier, int64_t length, int64_t heads, int64_t kv_heads, int64_t head_dim, int32_t type) {
    check_case("attention, tier %d: decoding %ld tokens, %ld heads on %ld of %ld, cache of type %d", tier, (long)length, (long)heads,
               (long)kv_heads, (long)head_dim, type);
    struct attention_case c, cache;
    sterna_matrix k, v;
    sterna_quantized codes_k, codes_v;
    sterna_attention sizes = {.sequences = 1, .length = length, .heads = heads, .kv_heads = kv_heads, .head_dim = head_dim};
    new_case(&c, sizes, STERNA_F32, AGAINST_END);
    put_underflow(&c.a);
    sterna_attention whole = c.a;
    round_stored(tier, &c.k, type, &k, &codes_k, head_dim);
    round_stored(tier, &c.v, type, &v, &codes_v, head_dim);
    if (type == STERNA_I8) whole.quantized_k = &codes_k, whole.quantized_v = &codes_v;
    else whole.k = &k, whole.v = &v;
    CHECK(sterna_attention_forward(tier, &whole, 0, kv_heads, check_scratch()) == STERNA_OK);
    whole.k = &c.k, whole.v = &c.v; /* what comes to the cache */
    sizes.capacity = whole_blocks(length);
    new_case(&cache, sizes, type == STERNA_I8 ? STERNA_F32 : type, AGAINST_END);
    cache.a.length = 0; /* what is not yet appended */
    spoil_unused(&cache.a, &cache.k, &cache.quantized_k, 1);
    spoil_unused(&cache.a, &cache.v, &cache.quantized_v, 0);
    struct decoding d = {&whole, new_matrix(length, heads * head_dim, STERNA_F32, AGAINST_END), cache.k, cache.v,
                         new_matrix(length, heads * head_dim, STERNA_F32, AGAINST_END), cache.quantized_k, cache.quantized_v, cache.a};
    d.a.q = &d.q, d.a.k = &d.k, d.a.v = &d.v, d.a.out = &d.out;
    if (type == STERNA_I8) d.a.quantized_k = &d.codes_k, d.a.quantized_v = &d.codes_v;
    while (d.a.past < length) {
        int64_t left = length - d.a.past, some = check_range(0, 2) ? check_range(1, 3) : check_range(1, 90);
        decode(tier, &d, some < left ? some : left);
    }
    check_release();
}

/* ---------------------------------------------------------------- errors */

static void check_field(int32_t tier, const sterna_attention *good, size_t at, int64_t value) {
    sterna_attention a = *good;
    *(int64_t *)((char *)&a + at) = value;
    CHECK(sterna_attention_forward(tier, &a, 0, 1, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    CHECK(sterna_attention_backward(tier, &a, 0, 1, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
}

static void check_matrix_field(int32_t tier, const sterna_attention *good, size_t at, int backward_only) {
    direction *const runs[] = {sterna_attention_backward, sterna_attention_forward};
    for (int i = 0; i < (backward_only ? 1 : 2); i++) {
        sterna_attention a = *good;
        const sterna_matrix **field = (const sterna_matrix **)((char *)&a + at);
        sterna_matrix x = **field;
        *field = NULL;
        CHECK(runs[i](tier, &a, 0, 1, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_NULL));
        *field = &x;
        x.rows++;
        CHECK(runs[i](tier, &a, 0, 1, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
        x.rows--;
        x.type = STERNA_I8;
        CHECK(runs[i](tier, &a, 0, 1, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_TYPE));
    }
}

#define AT(field) offsetof(sterna_attention, field)

static void check_errors(int32_t tier) {
    check_case("attention, tier %d: errors", tier);
    struct attention_case c;
    new_case(&c, (sterna_attention){.sequences = 2, .length = 3, .heads = 4, .kv_heads = 2, .head_dim = 6}, STERNA_F32, AGAINST_END);
    const sterna_matrix *results[] = {&c.out, &c.dq, &c.dk, &c.dv};
    void *before[4];
    for (int i = 0; i < 4; i++) before[i] = copy_of(results[i]->data, (size_t)((results[i]->rows - 1) * results[i]->stride + results[i]->cols) * 4);
    const size_t counts[] = {AT(sequences), AT(length), AT(heads), AT(kv_heads), AT(head_dim)};
    for (int i = 0; i < 5; i++) {
        check_field(tier, &c.a, counts[i], 0);
        check_field(tier, &c.a, counts[i], -2);
        check_field(tier, &c.a, counts[i], INT64_MAX);
    }
    check_field(tier, &c.a, AT(past), -1);
    check_field(tier, &c.a, AT(past), 1);
    check_field(tier, &c.a, AT(capacity), -1);
    check_field(tier, &c.a, AT(capacity), 2);
    check_field(tier, &c.a, AT(capacity), STERNA_KEY_BLOCK + 32); /* no whole blocks */
    check_field(tier, &c.a, AT(capacity), STERNA_KEY_BLOCK); /* k and v are not shaped so */
    check_field(tier, &c.a, AT(capacity), INT64_MAX);
    check_field(tier, &c.a, AT(kv_heads), 3);
    check_field(tier, &c.a, AT(head_dim), 5);
    check_field(tier, &c.a, AT(head_dim), 258);
    const size_t matrices[] = {AT(q), AT(k), AT(v), AT(out), AT(dout), AT(dq), AT(dk), AT(dv)};
    for (int i = 0; i < 8; i++) check_matrix_field(tier, &c.a, matrices[i], i >= 4);
    direction *const runs[] = {sterna_attention_forward, sterna_attention_backward};
    for (int i = 0; i < 2; i++) {
        sterna_attention a = c.a;
        CHECK(runs[i](STERNA_TIERS, &a, 0, 1, check_scratch()) == STERNA_STATUS(1, STERNA_BAD_TIER));
        CHECK(runs[i](tier, NULL, 0, 1, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_NULL));
        CHECK(runs[i](tier, &a, -1, 1, check_scratch()) == STERNA_STATUS(3, STERNA_BAD_RANGE));
        CHECK(runs[i](tier, &a, 5, 5, check_scratch()) == STERNA_STATUS(3, STERNA_BAD_RANGE));
        CHECK(runs[i](tier, &a, 2, 1, check_scratch()) == STERNA_STATUS(4, STERNA_BAD_RANGE));
        CHECK(runs[i](tier, &a, 0, 5, check_scratch()) == STERNA_STATUS(4, STERNA_BAD_RANGE));
        CHECK(runs[i](tier, &a, 0, 1, NULL) == STERNA_STATUS(5, STERNA_BAD_NULL));
        CHECK(runs[i](tier, &a, 0, 1, (char *)check_scratch() + 32) == STERNA_STATUS(5, STERNA_BAD_ALIGNMENT));
        a.lse = NULL;
        CHECK(runs[i](tier, &a, 0, 1, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_NULL));
    }
    sterna_attention a = c.a;
    a.quantized_k = &c.quantized_k;
    CHECK(sterna_attention_backward(tier, &a, 0, 1, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_TYPE));
    c.quantized_k.rows++;
    CHECK(sterna_attention_forward(tier, &a, 0, 1, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    for (int i = 0; i < 4; i++) {
        check_equal("a result after errors", results[i]->data, before[i], (size_t)((results[i]->rows - 1) * results[i]->stride + results[i]->cols) * 4, 1);
        free(before[i]);
    }
    check_release();
}

/* The backward pass takes no keys that lie by head. */
static void check_backward_needs_rows(int32_t tier) {
    check_case("attention, tier %d: backward with a capacity", tier);
    struct attention_case c;
    new_case(&c, (sterna_attention){.sequences = 1, .length = 3, .heads = 2, .kv_heads = 2, .head_dim = 6, .capacity = STERNA_KEY_BLOCK}, STERNA_F32, AGAINST_END);
    CHECK(sterna_attention_forward(tier, &c.a, 0, 1, check_scratch()) == STERNA_OK);
    CHECK(sterna_attention_backward(tier, &c.a, 0, 1, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    check_release();
}

/* Keys that lie by head, as many as the capacity says, but that is less than there must be. */
static void check_capacity(int32_t tier) {
    check_case("attention, tier %d: a capacity that is too small", tier);
    struct attention_case c;
    new_case(&c, (sterna_attention){.sequences = 1, .length = 1, .past = STERNA_KEY_BLOCK - 1, .heads = 2, .kv_heads = 2, .head_dim = 6, .capacity = STERNA_KEY_BLOCK}, STERNA_F32, AGAINST_END);
    CHECK(sterna_attention_forward(tier, &c.a, 0, 2, check_scratch()) == STERNA_OK);
    c.a.past = STERNA_KEY_BLOCK;
    CHECK(sterna_attention_forward(tier, &c.a, 0, 2, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    c.a.quantized_k = &c.quantized_k, c.a.quantized_v = &c.quantized_v;
    CHECK(sterna_attention_forward(tier, &c.a, 0, 2, check_scratch()) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    c.a.past = STERNA_KEY_BLOCK - 1;
    CHECK(sterna_attention_forward(tier, &c.a, 0, 2, check_scratch()) == STERNA_OK);
    check_release();
}

/* A NaN in a query, key or value shows in every result that sees it; that of a key in no other, that of a value in no
 * other before the strip of up to 32 queries which are computed with it. */
static void check_nan(int32_t tier) {
    enum { LENGTH = 70, AT = 66, STRIP = 32 };
    for (int operand = 0; operand < 3; operand++) {
        check_case("attention, tier %d: NaN in %s", tier, (const char *[]){"q", "k", "v"}[operand]);
        struct attention_case c;
        new_case(&c, (sterna_attention){.sequences = 1, .length = LENGTH, .heads = 1, .kv_heads = 1, .head_dim = 16}, STERNA_F32, AGAINST_END);
        sterna_put(operand == 0 ? &c.q : operand == 1 ? &c.k : &c.v, AT, 3, NAN);
        CHECK(sterna_attention_forward(tier, &c.a, 0, 1, check_scratch()) == STERNA_OK);
        for (int64_t i = 0; i < LENGTH; i++) {
            int sees = operand == 0 ? i == AT : i >= AT;
            int may = sees || (operand == 2 && i > AT - STRIP);
            int nan = isnan(sterna_get(&c.out, i, 3)) != 0;
            if (nan ? !may : sees) check_fail("result %lld: %s", (long long)i, nan ? "NaN" : "no NaN");
        }
        check_release();
    }
}

/* Every number of queries that a key head may have at most eight of, and one more: of each group size, over a cache. */
static void check_few(int32_t tier) {
    for (int64_t group = 1; group <= 9; group++)
        for (int64_t length = 1; length <= 8 / group + 1; length++) {
            int64_t kv_heads = check_range(1, 2), past = check_range(0, 200);
            check_shape(tier, (sterna_attention){.sequences = check_range(1, 2), .length = length, .past = past, .heads = group * kv_heads,
                                                 .kv_heads = kv_heads, .head_dim = 2 * check_range(1, 128),
                                                 .capacity = whole_blocks(past + length) + check_range(0, 1) * STERNA_KEY_BLOCK},
                        -1, length % 2 ? AGAINST_END : AGAINST_START);
        }
}

/* A key whose score is -infinity is one that is not there. */
static void check_no_weight(int32_t tier) {
    check_case("attention, tier %d: a score of -infinity", tier);
    struct attention_case c;
    new_case(&c, (sterna_attention){.sequences = 1, .length = 1, .past = 70, .heads = 1, .kv_heads = 1, .head_dim = 16}, STERNA_F32, AGAINST_END);
    sterna_put(&c.q, 0, 3, 1);
    sterna_put(&c.k, 66, 3, -INFINITY);
    CHECK(sterna_attention_forward(tier, &c.a, 0, 1, check_scratch()) == STERNA_OK);
    compare_forward(tier, &c.a);
    check_release();
}

static void check(int32_t tier) {
    static const int64_t LENGTHS[] = {1, 2, 3, 7, 16, 33, 63, 64, 65, 100, 131}, PASTS[] = {0, 1, 9, 64, 77, 200};
    static const int64_t DIMS[] = {2, 6, 8, 16, 20, 34, 48, 64, 80, 128, 256}, HEADS[][2] = {{1, 1}, {2, 2}, {4, 2}, {3, 1}, {6, 2}};
    int turns = tier == STERNA_REFERENCE ? 12 : 60;
    if (tier == STERNA_REFERENCE) check_f64_gradients();
    for (int i = 0; i < turns; i++) {
        const int64_t *heads = HEADS[i % 5];
        sterna_attention sizes = {.sequences = check_range(1, 2), .length = LENGTHS[i % 11], .past = i % 2 ? 0 : PASTS[check_range(0, 5)],
                                  .heads = heads[0], .kv_heads = heads[1], .head_dim = DIMS[check_range(0, 10)]};
        if (i % 4 == 0) sizes.capacity = whole_blocks(sizes.past + sizes.length) + check_range(0, 1) * STERNA_KEY_BLOCK;
        check_shape(tier, sizes, i % 3 - 1, i / 4 % 2 ? AGAINST_END : AGAINST_START);
    }
    for (int i = 0; i < (tier == STERNA_REFERENCE ? 3 : 18); i++) {
        int64_t kv_heads = i % 3 == STERNA_I8 ? 1 : check_range(1, 2); /* a scale a row is one head's */
        check_decoding(tier, LENGTHS[check_range(3, 10)], check_range(1, 9) * kv_heads, kv_heads, DIMS[check_range(0, 10)], i % 3);
    }
    check_few(tier);
    check_backward_needs_rows(tier);
    check_capacity(tier);
    if (tier != STERNA_REFERENCE) { /* more queries than scratch holds */
        check_shape(tier, (sterna_attention){.sequences = 1, .length = 330, .heads = 4, .kv_heads = 1, .head_dim = 256}, STERNA_F32, AGAINST_END);
        check_shape(tier, (sterna_attention){.sequences = 1, .length = 300, .past = 70, .heads = 5, .kv_heads = 1, .head_dim = 256, .capacity = 448}, STERNA_BF16, AGAINST_END);
    }
    check_errors(tier);
    check_nan(tier);
    check_no_weight(tier);
}

/* ---------------------------------------------------------------- bench */

struct bench {
    int32_t tier;
    direction *run;
    const sterna_attention *a;
    int64_t unit, units; /* of a call */
};

/* The next units: a call is short, so that its least time is undisturbed, and finds its rows where a step
 * of training finds them, in the outer caches. */
static void run_bench(void *argument) {
    struct bench *b = argument;
    b->unit = (b->unit + b->units) % (b->a->sequences * b->a->kv_heads);
    if (b->run(b->tier, b->a, b->unit, b->unit + b->units, check_scratch()) != STERNA_OK) {
        fprintf(stderr, "checkkern: attention failed in its bench\n");
        exit(3);
    }
}

/* Operations of a unit's causal half: two products forward, five backward. */
static double causal_operations(const sterna_attention *a, int products) {
    return products * (double)(a->heads / a->kv_heads * a->length) * (double)a->length * (double)a->head_dim;
}

static void bench_training(int32_t tier, const char *name, sterna_attention sizes, int32_t type) {
    struct attention_case c;
    new_case(&c, sizes, type, AGAINST_END);
    struct bench forward = {tier, sterna_attention_forward, &c.a, 0, 1}, backward = {tier, sterna_attention_backward, &c.a, 0, 1};
    const char *of = type == STERNA_F32 ? "f32" : "bf16";
    double ceiling = check_ceiling(tier, STERNA_PROBE_F32), seconds = check_time(run_bench, &forward, 0.5);
    check_row("attention_forward", of, name, tier, causal_operations(&c.a, 2), seconds, "GOP/s", ceiling);
    seconds = check_time(run_bench, &backward, 0.5);
    check_row("attention_backward", of, name, tier, causal_operations(&c.a, 5), seconds, "GOP/s", ceiling);
    check_release();
}

/* One new token of a sequence: every cached key and value of all heads is read once. */
static void bench_decoding(int32_t tier, const char *name, sterna_attention sizes, int32_t type) {
    struct attention_case c;
    new_case(&c, sizes, type == STERNA_I8 ? STERNA_F32 : type, AGAINST_END);
    if (type == STERNA_I8) c.a.quantized_k = &c.quantized_k, c.a.quantized_v = &c.quantized_v;
    struct bench forward = {tier, sterna_attention_forward, &c.a, 0, sizes.kv_heads};
    double row_bytes = type == STERNA_I8 ? (double)sizes.head_dim + 4 : (double)sizes.head_dim * (double)check_element_bytes(type);
    double bytes = 2.0 * (double)(sizes.kv_heads * (sizes.past + 1)) * row_bytes, seconds = check_time(run_bench, &forward, 0.5);
    check_row("attention_forward", type == STERNA_F32 ? "f32" : type == STERNA_BF16 ? "bf16" : "int8", name, tier, bytes, seconds, "GB/s", check_ceiling(tier, STERNA_PROBE_READ));
    check_release();
}

static void bench(int32_t tier) {
    if (tier == STERNA_REFERENCE) return; /* minutes */
    for (int32_t type = STERNA_F32; type <= STERNA_BF16; type++) {
        bench_training(tier, "16x256 6x48", (sterna_attention){.sequences = 16, .length = 256, .heads = 6, .kv_heads = 6, .head_dim = 48}, type);
        bench_training(tier, "4x512 12x64", (sterna_attention){.sequences = 4, .length = 512, .heads = 12, .kv_heads = 12, .head_dim = 64}, type);
        bench_training(tier, "1x2048 8/2x128", (sterna_attention){.sequences = 1, .length = 2048, .heads = 8, .kv_heads = 2, .head_dim = 128}, type);
    }
    sterna_attention grouped = {.sequences = 4, .length = 1, .past = 8191, .heads = 8, .kv_heads = 2, .head_dim = 64, .capacity = 8192};
    sterna_attention single = {.sequences = 32, .length = 1, .past = 255, .heads = 32, .kv_heads = 32, .head_dim = 64, .capacity = 320};
    for (int32_t type = STERNA_F32; type <= STERNA_I8; type++) {
        bench_decoding(tier, "1+8191 8/2x64", grouped, type);
        bench_decoding(tier, "1+255 32/32x64", single, type);
    }
}

const check_family check_attention = {"attention", check, bench, 0};
