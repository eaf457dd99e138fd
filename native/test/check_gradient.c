/* check_gradient.c: int8 gradients, their rounding and their two products, against the reference, to the byte. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "packed.h"

static enum check_place any_place(void) {
    return check_range(0, 1) ? AGAINST_END : AGAINST_START;
}

static void put(const sterna_matrix *x, size_t i, float value) {
    uint32_t word;
    memcpy(&word, &value, 4);
    if (x->type == STERNA_F32) ((float *)x->data)[i] = value;
    else ((uint16_t *)x->data)[i] = (uint16_t)(word >> 16);
}

static size_t elements(int64_t rows, int64_t cols, int64_t stride) {
    return rows ? (size_t)((rows - 1) * stride + cols) : 0;
}

static size_t count_of(const sterna_matrix *x) {
    return elements(x->rows, x->cols, x->stride);
}

/* Numbers about N(0, 1); rows a few elements apart. */
static sterna_matrix any_matrix(int32_t type, int64_t rows, int64_t cols) {
    sterna_matrix x = {NULL, rows, cols, cols + check_range(0, 3), type, 0};
    x.data = check_buffer(count_of(&x) * check_element_bytes(type), any_place(), 0);
    for (size_t i = 0; i < count_of(&x); i++) put(&x, i, check_normal());
    return x;
}

static float *any_floats(int64_t count) {
    float *x = check_buffer((size_t)count * 4, any_place(), 0);
    for (int64_t i = 0; i < count; i++) x[i] = 0.01f + fabsf(check_normal());
    return x;
}

static int8_t *any_codes(size_t count) {
    int8_t *codes = check_buffer(count, any_place(), (size_t)check_range(0, 15));
    for (size_t i = 0; i < count; i++) codes[i] = (int8_t)check_range(-127, 127);
    return codes;
}

static sterna_quantized any_quantized(int64_t rows, int64_t cols) {
    int64_t stride = cols + check_range(0, 5);
    return (sterna_quantized){any_codes(elements(rows, cols, stride)), any_floats(rows), rows, cols, stride};
}

static int64_t groups_of(int64_t tokens) {
    return (tokens + STERNA_GRADIENT_GROUP - 1) / STERNA_GRADIENT_GROUP;
}

static sterna_gradient any_gradient(int64_t rows, int64_t cols) {
    int64_t stride = cols + check_range(0, 5);
    return (sterna_gradient){any_codes(elements(rows, cols, stride)), any_floats(rows * groups_of(cols)), rows, cols, stride};
}

static void *copy_of(const void *data, size_t bytes) {
    void *copy = malloc(bytes + 1);
    memcpy(copy, data, bytes);
    return copy;
}

/* ---------------------------------------------------------------- rounding */

/* A call of sterna_quantize_gradient. */
struct rounding {
    sterna_matrix dy;
    float *row_scales, *x_scales; /* row_scales may be null */
    sterna_quantized by_token;    /* without codes: null */
    sterna_gradient by_feature;
    int64_t first;
    uint64_t key;
    int64_t row0, row1;
};

static int32_t run_rounding(int32_t tier, const struct rounding *c) {
    return sterna_quantize_gradient(tier, &c->dy, c->row_scales, c->x_scales, c->by_token.codes ? &c->by_token : NULL,
                                    c->by_feature.codes ? &c->by_feature : NULL, c->first, c->key, c->row0, c->row1);
}

enum { BY_TOKEN = 1, BY_FEATURE = 2 };

/* `tokens` tokens that begin at `first`; T ends with them, or later where they end a group. */
static struct rounding any_rounding(int32_t type, int64_t first, int64_t tokens, int64_t features, int outputs) {
    struct rounding c = {.first = first, .key = check_random(), .row1 = tokens};
    int64_t all = first + tokens + (tokens % STERNA_GRADIENT_GROUP ? 0 : check_range(0, 1) * check_range(0, 300));
    c.dy = any_matrix(type, tokens, features);
    if (outputs & BY_TOKEN) {
        c.by_token = any_quantized(tokens, features);
        c.row_scales = check_range(0, 1) ? any_floats(features) : NULL;
    }
    if (outputs & BY_FEATURE) {
        c.by_feature = any_gradient(features, all);
        c.x_scales = any_floats(all);
    }
    return c;
}

static size_t token_bytes(const struct rounding *c) {
    return c->by_token.codes ? elements(c->by_token.rows, c->by_token.cols, c->by_token.stride) : 0;
}

static size_t feature_bytes(const struct rounding *c) {
    return c->by_feature.codes ? elements(c->by_feature.rows, c->by_feature.cols, c->by_feature.stride) : 0;
}

static size_t feature_scales(const struct rounding *c) {
    return c->by_feature.codes ? (size_t)(c->by_feature.rows * groups_of(c->by_feature.cols)) : 0;
}

/* The same call with outputs of its own. */
static struct rounding copy_outputs(const struct rounding *c) {
    struct rounding copy = *c;
    if (c->by_token.codes) {
        copy.by_token.codes = copy_of(c->by_token.codes, token_bytes(c));
        copy.by_token.scales = copy_of(c->by_token.scales, 4 * (size_t)c->by_token.rows);
    }
    if (c->by_feature.codes) {
        copy.by_feature.codes = copy_of(c->by_feature.codes, feature_bytes(c));
        copy.by_feature.scales = copy_of(c->by_feature.scales, 4 * feature_scales(c));
    }
    return copy;
}

static void free_outputs(const struct rounding *c) {
    free(c->by_token.codes), free(c->by_token.scales), free(c->by_feature.codes), free(c->by_feature.scales);
}

static void compare_outputs(const struct rounding *got, const struct rounding *want) {
    check_equal("by_token codes", got->by_token.codes, want->by_token.codes, token_bytes(got), 1);
    check_equal("by_feature codes", got->by_feature.codes, want->by_feature.codes, feature_bytes(got), 1);
    if (got->by_token.codes)
        check_equal("by_token scales", got->by_token.scales, want->by_token.scales, (size_t)got->by_token.rows, 4);
    check_equal("by_feature scales", got->by_feature.scales, want->by_feature.scales, feature_scales(got), 4);
}

/* Runs a call on a tier and on the reference; what lies outside the slice must stay too. */
static void check_rounding(int32_t tier, const struct rounding *c) {
    struct rounding want = copy_outputs(c);
    check_case("quantize_gradient type %d tokens %lld...%lld of %lld from %lld, features %lld, outputs %d %d", c->dy.type,
               (long long)c->row0, (long long)c->row1, (long long)c->dy.rows, (long long)c->first,
               (long long)c->dy.cols, c->by_token.codes != NULL, c->by_feature.codes != NULL);
    CHECK(run_rounding(STERNA_REFERENCE, &want) == STERNA_OK);
    CHECK(run_rounding(tier, c) == STERNA_OK);
    compare_outputs(c, &want);
    free_outputs(&want);
}

static void check_rounding_tails(int32_t tier) {
    int64_t last = tier == STERNA_REFERENCE ? 40 : 200;
    for (int64_t features = 1; features <= last; features++) {
        int64_t tokens = check_range(0, 3) ? check_range(1, 70) : 256;
        struct rounding c = any_rounding((int32_t)check_range(0, 1), 256 * check_range(0, 3), tokens, features,
                                         (int)check_range(1, 3));
        check_rounding(tier, &c);
        check_release();
    }
    for (int64_t tokens = 1; tokens <= last + 80; tokens += 1 + tokens / 70) {
        struct rounding c = any_rounding(STERNA_F32, 0, tokens, check_range(1, 40), BY_TOKEN | BY_FEATURE);
        check_rounding(tier, &c);
        check_release();
    }
}

/* Several groups in a call, and some of them alone. */
static void check_rounding_slices(int32_t tier) {
    for (int64_t row0 = 0; row0 <= 768; row0 += 256)
        for (int64_t row1 = row0; row1 <= 1024; row1 += 256) {
            struct rounding c = any_rounding(STERNA_BF16, 256, 830, 37, BY_TOKEN | BY_FEATURE);
            c.row0 = row0;
            c.row1 = row1 < 830 ? row1 : 830;
            check_rounding(tier, &c);
            check_release();
        }
}

/* Tokens and features of zeros, denormals, and numbers as large as a product may be; a tensor far into a stream. */
static void check_rounding_extremes(int32_t tier) {
    static const float VALUES[] = {0, -0.0f, 0x1p-149f, 0x1p-101f, 0x1p-100f, -0x1p-99f, 0x1p126f, -0x1p127f, 1, 127};
    for (int i = 0; i < 40; i++) {
        struct rounding c = any_rounding(STERNA_F32, i % 4 == 3 ? (int64_t)1 << 33 : 0, 20, 70,
                                         i % 4 == 3 ? BY_TOKEN : BY_TOKEN | BY_FEATURE);
        float value = VALUES[i % (int)(sizeof VALUES / sizeof *VALUES)];
        for (size_t j = 0; j < count_of(&c.dy); j++)
            if (i < 20 || check_range(0, 3) == 0) ((float *)c.dy.data)[j] = j % 3 ? value : -value;
        for (int64_t n = 0; c.row_scales && n < 70; n++) c.row_scales[n] = n % 2 ? 1 : 0.5f;
        for (int64_t t = 0; c.x_scales && t < 20; t++) c.x_scales[t] = t % 2 ? 1 : 0.25f;
        check_rounding(tier, &c);
        check_release();
    }
}

/* Rows 0x5555500 and on of 3 blocks each: block 1 of token 85 is the one whose counters begin with 2^32, block 1 of
 * token 84 has them below. By token alone a tensor may be as long without as much memory. */
static void check_rounding_counter(int32_t tier) {
    struct rounding c = any_rounding(STERNA_F32, 0x5555500, 90, 150, BY_TOKEN);
    check_rounding(tier, &c);
    check_release();
}

/* Every position of a NaN or an infinity is found before anything is written. */
static void check_nonfinite(int32_t tier) {
    static const float BAD[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 60; i++) {
        struct rounding c = any_rounding(STERNA_F32, 0, 300, 83, (int)check_range(1, 3));
        int64_t at = check_range(0, 299) * c.dy.stride + check_range(0, 82);
        ((float *)c.dy.data)[at] = BAD[i % 3];
        if (i >= 30) { /* a product overflows */
            ((float *)c.dy.data)[at] = 0x1p127f;
            for (int64_t n = 0; c.row_scales && n < 83; n++) c.row_scales[n] = 8;
            for (int64_t t = 0; c.x_scales && t < 300; t++) c.x_scales[t] = 8;
            if (!c.row_scales && !c.x_scales) ((float *)c.dy.data)[at] = INFINITY;
        }
        struct rounding before = copy_outputs(&c);
        check_case("quantize_gradient with a number that is not finite at %lld", (long long)at);
        CHECK(run_rounding(tier, &c) == STERNA_STATUS(2, STERNA_NONFINITE));
        compare_outputs(&c, &before);
        free_outputs(&before);
        check_release();
    }
}

/*
 * Rounding has no bias: over many keys, the mean of code * scale is the value. A code is one of two neighbours, so
 * its deviation is at most 1/2 and the mean's 1/2 / sqrt(KEYS). The bound is 6 of these and what the fixed point
 * may be off, 2^-17: all VALUES * 2 means of a tier stay within with a probability of 1 - 3e-7.
 */
static void check_bias(int32_t tier) {
    enum { TOKENS = 3, FEATURES = 67, KEYS = 4096 };
    struct rounding c = any_rounding(STERNA_F32, 0, TOKENS, FEATURES, BY_TOKEN | BY_FEATURE);
    static double sums[2][TOKENS][FEATURES];
    memset(sums, 0, sizeof sums);
    for (int i = 0; i < KEYS; i++) {
        c.key = check_random();
        CHECK(run_rounding(tier, &c) == STERNA_OK);
        for (int t = 0; t < TOKENS; t++)
            for (int n = 0; n < FEATURES; n++) {
                sums[0][t][n] += c.by_token.codes[t * c.by_token.stride + n];
                sums[1][t][n] += c.by_feature.codes[n * c.by_feature.stride + t];
            }
    }
    double bound = 6 * 0.5 / sqrt(KEYS) + 0x1p-17;
    check_case("the mean of rounded gradients");
    for (int t = 0; t < TOKENS; t++)
        for (int n = 0; n < FEATURES; n++) {
            double dy = ((float *)c.dy.data)[t * c.dy.stride + n];
            double steps[2] = {dy * (c.row_scales ? c.row_scales[n] : 1) / c.by_token.scales[t],
                               dy * c.x_scales[t] / c.by_feature.scales[n * groups_of(c.by_feature.cols)]};
            for (int way = 0; way < 2; way++)
                if (!(fabs(sums[way][t][n] / KEYS - steps[way]) <= bound + 1e-4))
                    check_fail("way %d (%d, %d): mean %g, value %g", way, t, n, sums[way][t][n] / KEYS, steps[way]);
        }
    check_release();
}

/* ---------------------------------------------------------------- products */

/* What a product wrote on a tier, against the same call on the reference. */
static void compare_product(const sterna_matrix *out, void *want, int32_t status) {
    CHECK(status == STERNA_OK);
    check_equal("out", out->data, want, count_of(out), check_element_bytes(out->type));
    free(want);
    check_release();
}

static void check_input(int32_t tier, int32_t grid, int64_t tokens, int64_t features, int64_t cols) {
    sterna_packed w = random_packed(grid, features, cols, any_place());
    if (w.scaling == STERNA_PER_GROUP) w.scaling = STERNA_PER_ROW, w.group = 0;
    sterna_quantized q = any_quantized(tokens, features);
    sterna_matrix dx = any_matrix((int32_t)check_range(0, 1), tokens, cols);
    int32_t accumulate = (int32_t)check_range(0, 1);
    int64_t row0 = check_range(0, 1) * check_range(0, tokens), row1 = check_range(0, 2) ? tokens : check_range(row0, tokens);
    sterna_matrix want = dx;
    want.data = copy_of(dx.data, count_of(&dx) * check_element_bytes(dx.type));
    check_case("input_gradient_int8 %s scaling %d tokens %lld (%lld...%lld) features %lld cols %lld type %d accumulate %d",
               GRID_NAMES[grid], w.scaling, (long long)tokens, (long long)row0, (long long)row1, (long long)features,
               (long long)cols, dx.type, accumulate);
    CHECK(sterna_input_gradient_int8(STERNA_REFERENCE, &q, &w, &want, accumulate, row0, row1, check_scratch()) == 0);
    compare_product(&dx, want.data, sterna_input_gradient_int8(tier, &q, &w, &dx, accumulate, row0, row1, check_scratch()));
}

static void check_weight(int32_t tier, int64_t tokens, int64_t features, int64_t cols) {
    sterna_gradient g = any_gradient(features, tokens);
    sterna_quantized x = any_quantized(tokens, cols);
    int32_t accumulate = (int32_t)check_range(0, 1);
    int64_t row0 = check_range(0, 1) * check_range(0, features), row1 = check_range(0, 2) ? features : check_range(row0, features);
    sterna_matrix dw = any_matrix(STERNA_F32, row1 - row0 + check_range(0, 2), cols);
    void *want = copy_of(dw.data, count_of(&dw) * 4);
    sterna_matrix expected = dw;
    expected.data = want;
    check_case("weight_gradient_int8 tokens %lld features %lld (%lld...%lld) cols %lld accumulate %d", (long long)tokens,
               (long long)features, (long long)row0, (long long)row1, (long long)cols, accumulate);
    CHECK(sterna_weight_gradient_int8(STERNA_REFERENCE, &g, &x, &expected, accumulate, row0, row1, check_scratch()) == 0);
    compare_product(&dw, want, sterna_weight_gradient_int8(tier, &g, &x, &dw, accumulate, row0, row1, check_scratch()));
}

/* Every tail of columns, of the reduction and of rows. */
static void check_product_tails(int32_t tier) {
    for (int32_t grid = STERNA_BINARY; grid <= STERNA_LAST_GRID; grid++)
        for (int64_t size = 1; size <= 200; size = next_cols(size)) {
            check_input(tier, grid, check_range(1, 40), check_range(1, 90), size);
            check_input(tier, grid, check_range(1, 40), size, check_range(1, 90));
        }
    for (int64_t size = 1; size <= 200; size++) {
        check_weight(tier, check_range(1, 300), check_range(1, 40), size);
        check_weight(tier, size, check_range(1, 40), check_range(1, 90));
        check_weight(tier, check_range(1, 90), size, check_range(1, 40));
    }
}

/* Several segments of the reduction, panels that do not fit at once, every number of groups. */
static void check_product_blocks(int32_t tier) {
    for (int i = 0; i < 8; i++) {
        check_input(tier, STERNA_BINARY + i, check_range(1, 70), check_range(500, 2500), check_range(200, 1200));
        check_weight(tier, check_range(200, 2600), check_range(1, 70), check_range(200, 1000));
    }
    check_weight(tier, 5000, 17, 100);
    check_weight(tier, 2560, 9, 1700);
    check_input(tier, STERNA_INT8, 5, 30000, 130);
    check_input(tier, STERNA_TERNARY, 33, 17000, 70);
}

/* Sums at the bound of int32. */
static void check_extremes(int32_t tier) {
    for (int sign = 0; sign < 2; sign++) {
        sterna_packed w = random_packed(STERNA_INT8, STERNA_MAX_COLS, 5, AGAINST_END);
        w.scaling = STERNA_PER_ROW, w.group = 0;
        sterna_quantized q = any_quantized(3, STERNA_MAX_COLS);
        memset(q.codes, sign ? 127 : -127, elements(q.rows, q.cols, q.stride));
        for (int64_t r = 0; r < w.rows; r++)
            for (int c = 0; c < 5; c++) set_code_at(&w, r, c, c % 2 ? 127 : -128);
        sterna_matrix dx = any_matrix(STERNA_F32, 3, 5), want = dx;
        want.data = copy_of(dx.data, count_of(&dx) * 4);
        check_case("input_gradient_int8 at the bound of int32, sign %d", sign);
        CHECK(sterna_input_gradient_int8(STERNA_REFERENCE, &q, &w, &want, 0, 0, 3, check_scratch()) == 0);
        compare_product(&dx, want.data, sterna_input_gradient_int8(tier, &q, &w, &dx, 0, 0, 3, check_scratch()));
    }
}

/* The gradient of all groups is that of some and then of the others. */
static void check_accumulation(int32_t tier) {
    sterna_gradient g = any_gradient(21, 700), head = g, tail = g;
    sterna_quantized x = any_quantized(700, 50), x_head = x, x_tail = x;
    float whole[21 * 50], parts[21 * 50], scales[2][21 * 2];
    sterna_matrix dw = {whole, 21, 50, 50, STERNA_F32, 0}, halves = {parts, 21, 50, 50, STERNA_F32, 0};
    for (int n = 0; n < 21; n++) {
        scales[0][n] = g.scales[3 * n];
        memcpy(scales[1] + 2 * n, g.scales + 3 * n + 1, 8);
    }
    head.cols = x_head.rows = 256, tail.cols = x_tail.rows = 700 - 256;
    head.scales = scales[0], tail.scales = scales[1];
    tail.codes += 256, x_tail.codes += 256 * x.stride;
    check_case("weight_gradient_int8 in two calls");
    CHECK(sterna_weight_gradient_int8(tier, &g, &x, &dw, 0, 0, 21, check_scratch()) == STERNA_OK);
    CHECK(sterna_weight_gradient_int8(tier, &head, &x_head, &halves, 0, 0, 21, check_scratch()) == STERNA_OK);
    CHECK(sterna_weight_gradient_int8(tier, &tail, &x_tail, &halves, 1, 0, 21, check_scratch()) == STERNA_OK);
    check_equal("dw", parts, whole, 21 * 50, 4);
    check_release();
}

/* ---------------------------------------------------------------- arguments */

static void expect_rounding(int32_t tier, const struct rounding *c, int32_t status) {
    struct rounding before = copy_outputs(c);
    check_case("quantize_gradient, expecting status %d", status);
    int32_t got = run_rounding(tier, c);
    if (got != status) check_fail("status %d", got);
    compare_outputs(c, &before);
    free_outputs(&before);
}

static void check_rounding_arguments(int32_t tier) {
    struct rounding good = any_rounding(STERNA_F32, 256, 512, 20, BY_TOKEN | BY_FEATURE), c;
    good.row_scales = any_floats(20);
    CHECK(run_rounding(tier, &good) == STERNA_OK);
    expect_rounding(-1, &good, STERNA_STATUS(1, STERNA_BAD_TIER));
    c = good; c.dy.type = STERNA_I8;
    expect_rounding(tier, &c, STERNA_STATUS(2, STERNA_BAD_TYPE));
    c = good; c.dy.data = NULL;
    expect_rounding(tier, &c, STERNA_STATUS(2, STERNA_BAD_NULL));
    c = good; c.row_scales = (float *)((char *)c.row_scales + 1);
    expect_rounding(tier, &c, STERNA_STATUS(3, STERNA_BAD_ALIGNMENT));
    c = good; c.x_scales = NULL;
    expect_rounding(tier, &c, STERNA_STATUS(4, STERNA_BAD_NULL));
    c = good; c.by_token.rows = 511;
    expect_rounding(tier, &c, STERNA_STATUS(5, STERNA_BAD_SHAPE));
    c = good; c.by_token.stride = 19;
    expect_rounding(tier, &c, STERNA_STATUS(5, STERNA_BAD_SHAPE));
    c = good; c.by_feature.rows = 19;
    expect_rounding(tier, &c, STERNA_STATUS(6, STERNA_BAD_SHAPE));
    c = good; c.by_feature.cols = 767;
    expect_rounding(tier, &c, STERNA_STATUS(6, STERNA_BAD_SHAPE));
    c = good; c.by_feature.scales = (float *)((char *)c.by_feature.scales + 2);
    expect_rounding(tier, &c, STERNA_STATUS(6, STERNA_BAD_ALIGNMENT));
    c = good; c.dy.rows = c.by_token.rows = c.row1 = 500; /* ends within a group, and T goes on */
    expect_rounding(tier, &c, STERNA_STATUS(6, STERNA_BAD_SHAPE));
    c = good; c.first = -256;
    expect_rounding(tier, &c, STERNA_STATUS(7, STERNA_BAD_RANGE));
    c = good; c.first = 128;
    expect_rounding(tier, &c, STERNA_STATUS(7, STERNA_BAD_RANGE));
    c = good; c.row0 = 100;
    expect_rounding(tier, &c, STERNA_STATUS(9, STERNA_BAD_RANGE));
    c = good; c.row0 = -256;
    expect_rounding(tier, &c, STERNA_STATUS(9, STERNA_BAD_RANGE));
    c = good; c.row1 = 511;
    expect_rounding(tier, &c, STERNA_STATUS(10, STERNA_BAD_RANGE));
    c = good; c.row1 = 768;
    expect_rounding(tier, &c, STERNA_STATUS(10, STERNA_BAD_RANGE));
    c = good; c.row0 = 256; c.row1 = 0;
    expect_rounding(tier, &c, STERNA_STATUS(10, STERNA_BAD_RANGE));
    CHECK(sterna_quantize_gradient(tier, &good.dy, NULL, NULL, NULL, NULL, 0, 1, 0, 512) == STERNA_STATUS(5, STERNA_BAD_NULL));
    CHECK(sterna_quantize_gradient(tier, NULL, NULL, NULL, &good.by_token, NULL, 0, 1, 0, 512) == STERNA_STATUS(2, STERNA_BAD_NULL));
    check_release();
}

/* Either product with one argument wrong at a time. */
struct products {
    sterna_quantized q;
    sterna_packed w;
    sterna_matrix dx;
    sterna_gradient g;
    sterna_quantized x;
    sterna_matrix dw;
    int32_t accumulate;
    int64_t row0, row1;
    void *scratch;
};

static void expect_products(int32_t tier, struct products c, int32_t input_status, int32_t weight_status) {
    size_t dx_bytes = count_of(&c.dx) * 4, dw_bytes = count_of(&c.dw) * 4;
    void *dx = c.dx.data ? copy_of(c.dx.data, dx_bytes) : NULL, *dw = c.dw.data ? copy_of(c.dw.data, dw_bytes) : NULL;
    check_case("int8 gradients, expecting status %d and %d", input_status, weight_status);
    int32_t got = sterna_input_gradient_int8(tier, &c.q, &c.w, &c.dx, c.accumulate, c.row0, c.row1, c.scratch);
    if (input_status && got != input_status) check_fail("input_gradient_int8: status %d", got);
    if (input_status && dx) check_equal("dx", c.dx.data, dx, dx_bytes, 1);
    got = sterna_weight_gradient_int8(tier, &c.g, &c.x, &c.dw, c.accumulate, c.row0, c.row1, c.scratch);
    if (weight_status && got != weight_status) check_fail("weight_gradient_int8: status %d", got);
    if (weight_status && dw) check_equal("dw", c.dw.data, dw, dw_bytes, 1);
    free(dx), free(dw);
}

static void expect_both(int32_t tier, struct products c, int argument, int reason) {
    expect_products(tier, c, STERNA_STATUS(argument, reason), STERNA_STATUS(argument, reason));
}

static void check_product_arguments(int32_t tier) {
    struct products good = {.q = any_quantized(7, 7), .w = random_packed(STERNA_INT4, 7, 7, AGAINST_END), .dx = any_matrix(STERNA_F32, 7, 7),
                            .g = any_gradient(7, 7), .x = any_quantized(7, 7), .dw = any_matrix(STERNA_F32, 7, 7),
                            .row1 = 7, .scratch = check_scratch()}, c;
    good.w.scaling = STERNA_PER_ROW, good.w.group = 0;
    expect_products(tier, good, 0, 0);
    expect_both(STERNA_TIERS, good, 1, STERNA_BAD_TIER);
    c = good; c.q.codes = c.g.codes = NULL;
    expect_both(tier, c, 2, STERNA_BAD_NULL);
    c = good; c.q.stride = c.g.stride = 6;
    expect_both(tier, c, 2, STERNA_BAD_SHAPE);
    c = good; c.g.cols = 0;
    expect_products(tier, c, 0, STERNA_STATUS(2, STERNA_BAD_SHAPE));
    c = good; c.g.rows = (int64_t)1 << 17; c.g.stride = (int64_t)1 << 40; c.row1 = 0; /* 2^57 elements */
    expect_products(tier, c, 0, STERNA_STATUS(2, STERNA_BAD_SHAPE));
    c = good; c.w.scaling = STERNA_PER_GROUP, c.w.group = 64; c.x.rows = 6;
    expect_products(tier, c, STERNA_STATUS(3, STERNA_BAD_TYPE), STERNA_STATUS(3, STERNA_BAD_SHAPE));
    c = good; c.w.rows = 6; c.x.scales = NULL;
    expect_products(tier, c, STERNA_STATUS(3, STERNA_BAD_SHAPE), STERNA_STATUS(3, STERNA_BAD_NULL));
    c = good; c.w.grid = STERNA_LAST_GRID + 1;
    expect_products(tier, c, STERNA_STATUS(3, STERNA_BAD_TYPE), 0);
    c = good; c.dx.rows = 6; c.dw.rows = 6;
    expect_both(tier, c, 4, STERNA_BAD_SHAPE);
    c = good; c.dx.cols = c.dw.cols = 6;
    expect_both(tier, c, 4, STERNA_BAD_SHAPE);
    c = good; c.dx.type = STERNA_I8; c.dw.type = STERNA_BF16;
    expect_both(tier, c, 4, STERNA_BAD_TYPE);
    c = good; c.accumulate = 2;
    expect_both(tier, c, 5, STERNA_BAD_RANGE);
    c = good; c.row0 = -1;
    expect_both(tier, c, 6, STERNA_BAD_RANGE);
    c = good; c.row1 = 8;
    expect_both(tier, c, 7, STERNA_BAD_RANGE);
    c = good; c.row0 = 5; c.row1 = 4;
    expect_both(tier, c, 7, STERNA_BAD_RANGE);
    c = good; c.scratch = NULL;
    expect_both(tier, c, 8, STERNA_BAD_NULL);
    c = good; c.scratch = (char *)good.scratch + 32;
    expect_both(tier, c, 8, STERNA_BAD_ALIGNMENT);
    CHECK(sterna_input_gradient_int8(tier, NULL, &good.w, &good.dx, 0, 0, 7, good.scratch) == STERNA_STATUS(2, STERNA_BAD_NULL));
    CHECK(sterna_weight_gradient_int8(tier, NULL, &good.x, &good.dw, 0, 0, 7, good.scratch) == STERNA_STATUS(2, STERNA_BAD_NULL));
    CHECK(sterna_weight_gradient_int8(tier, &good.g, NULL, &good.dw, 0, 0, 7, good.scratch) == STERNA_STATUS(3, STERNA_BAD_NULL));
    CHECK(sterna_weight_gradient_int8(tier, &good.g, &good.x, NULL, 0, 0, 7, good.scratch) == STERNA_STATUS(4, STERNA_BAD_NULL));
    check_release();
}

static void check(int32_t tier) {
    check_rounding_arguments(tier);
    check_product_arguments(tier);
    check_rounding_tails(tier);
    check_rounding_slices(tier);
    check_rounding_extremes(tier);
    check_rounding_counter(tier);
    check_nonfinite(tier);
    check_bias(tier);
    check_accumulation(tier);
    if (tier == STERNA_REFERENCE) return;
    check_product_tails(tier);
    check_product_blocks(tier);
    check_extremes(tier);
}

/* ---------------------------------------------------------------- bench */

struct bench_call {
    int32_t tier;
    sterna_matrix dy, dx, dw;
    sterna_quantized x, q;
    sterna_gradient g;
    sterna_packed w;
    int64_t rows, begin; /* tokens or rows of w a call; where the next begins */
    void *scratch;
};

static sterna_matrix heap_matrix(int64_t rows, int64_t cols) {
    sterna_matrix x = {malloc(4 * (size_t)(rows * cols)), rows, cols, cols, STERNA_F32, 0};
    for (int64_t i = 0; i < rows * cols; i++) ((float *)x.data)[i] = (float)(i * 37 % 1001 - 500);
    return x;
}

static int8_t *heap_codes(int64_t count) {
    int8_t *codes = malloc((size_t)count);
    for (int64_t i = 0; i < count; i++) codes[i] = (int8_t)check_range(-127, 127);
    return codes;
}

static float *heap_floats(int64_t count) {
    float *x = malloc(4 * (size_t)count);
    for (int64_t i = 0; i < count; i++) x[i] = 1;
    return x;
}

/* T tokens, N output features, K input features. */
static struct bench_call make_bench(int32_t tier, int64_t tokens, int64_t out, int64_t in) {
    struct bench_call b = {.tier = tier, .scratch = check_scratch()};
    b.dy = heap_matrix(tokens, out), b.dx = heap_matrix(tokens, in), b.dw = heap_matrix(out, in);
    b.x = (sterna_quantized){heap_codes(tokens * in), heap_floats(tokens), tokens, in, in};
    b.q = (sterna_quantized){heap_codes(tokens * out), heap_floats(tokens), tokens, out, out};
    b.g = (sterna_gradient){heap_codes(tokens * out), heap_floats(out * groups_of(tokens)), out, tokens, tokens};
    b.w = (sterna_packed){NULL, heap_floats(1), out, in, STERNA_TERNARY, STERNA_PER_TENSOR, 0};
    b.w.codes = memset(malloc(packed_bytes(&b.w)), 0x55, packed_bytes(&b.w));
    return b;
}

static void free_bench(const struct bench_call *b) {
    free(b->dy.data), free(b->dx.data), free(b->dw.data), free(b->x.codes), free(b->x.scales), free(b->q.codes);
    free(b->q.scales), free(b->g.codes), free(b->g.scales), free(b->w.codes), free(b->w.scales);
}

/* The first 256 tokens, which stay in L2. */
static void bench_rounding(void *argument) {
    struct bench_call *b = argument;
    if (sterna_quantize_gradient(b->tier, &b->dy, NULL, b->x.scales, &b->q, &b->g, 0, 1, 0, 256) != STERNA_OK) abort();
}

/* The next rows of a product, so that its operands come from where training finds them. */
static int64_t next_rows(struct bench_call *b, int64_t all) {
    int64_t row0 = b->begin;
    b->begin = row0 + 2 * b->rows > all ? 0 : row0 + b->rows;
    return row0;
}

static void bench_input(void *argument) {
    struct bench_call *b = argument;
    int64_t row0 = next_rows(b, b->q.rows);
    if (sterna_input_gradient_int8(b->tier, &b->q, &b->w, &b->dx, 0, row0, row0 + b->rows, b->scratch) != STERNA_OK) abort();
}

static void bench_weight(void *argument) {
    struct bench_call *b = argument;
    int64_t row0 = next_rows(b, b->g.rows);
    if (sterna_weight_gradient_int8(b->tier, &b->g, &b->x, &b->dw, 0, row0, row0 + b->rows, b->scratch) != STERNA_OK) abort();
}

static void bench_product(struct bench_call *b, const char *name, void (*body)(void *), int64_t rows, int64_t tokens, int64_t cols) {
    char shape[32];
    snprintf(shape, sizeof shape, "%lldx%lldx%lld", (long long)b->dy.rows, (long long)b->dy.cols, (long long)b->x.cols);
    b->rows = rows, b->begin = 0;
    check_row(name, "", shape, b->tier, 2.0 * (double)rows * (double)tokens * (double)cols, check_time(body, b, 0.2),
              "GOP/s", check_ceiling(b->tier, STERNA_PROBE_INT8));
}

/* Tokens x output features x input features. */
static void bench_shape(int32_t tier, int64_t tokens, int64_t out, int64_t in) {
    struct bench_call b = make_bench(tier, tokens, out, in);
    char shape[32];
    snprintf(shape, sizeof shape, "256x%lld", (long long)out);
    check_row("quantize_gradient", "", shape, tier, 256.0 * 4 * (double)out, check_time(bench_rounding, &b, 0.2), "GB/s", 0);
    bench_product(&b, "input_gradient_int8", bench_input, 256, out, in);
    bench_product(&b, "weight_gradient_int8", bench_weight, 96, tokens, in);
    free_bench(&b);
}

static void bench(int32_t tier) {
    if (tier == STERNA_REFERENCE) return;
    bench_shape(tier, 4096, 288, 288);
    bench_shape(tier, 4096, 768, 288);
    bench_shape(tier, 4096, 288, 768);
    bench_shape(tier, 2048, 768, 768);
    bench_shape(tier, 2048, 2048, 768);
    bench_shape(tier, 2048, 768, 2048);
}

const check_family check_gradient = {"gradient", check, bench, 1};
