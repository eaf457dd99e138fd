/* check_update.c: stochastic rounding of packed and bf16 weights: the reference's bytes, the formula, no bias. */
#include <stdio.h>

#include "dispatch/bf16.h"
#include "packed.h"

static const char *const ROUNDINGS[] = {"stochastic", "nearest"};

/* Deltas of about a grid step, with zeros, tiny and huge ones. */
static float random_delta(float scale) {
    switch (check_range(0, 7)) {
    case 0: return 0.0f * (float)check_range(-1, 1);
    case 1: return 1e-42f * check_normal();
    case 2: return 1e37f * check_normal();
    case 3: return 0.5f * scale * (float)check_range(-4, 4); /* ties */
    default: return scale * check_normal();
    }
}

static sterna_matrix random_tile(int64_t rows, int64_t cols, float scale, enum check_place place) {
    int64_t stride = cols + check_range(0, 5);
    size_t count = (size_t)((rows - 1) * stride + cols);
    float *data = check_buffer(count * 4, place, 4 * (size_t)check_range(0, 3));
    for (size_t i = 0; i < count; i++) data[i] = random_delta(scale);
    return (sterna_matrix){data, rows, cols, stride, STERNA_F32, 0};
}

static sterna_matrix rows_of(const sterna_matrix *x, int64_t begin, int64_t end) {
    sterna_matrix part = *x;
    part.data = (float *)x->data + begin * x->stride;
    part.rows = end - begin;
    return part;
}

static void spoil(const sterna_matrix *x) {
    const float bad[] = {NAN, INFINITY, -INFINITY};
    float *row = (float *)x->data + check_range(0, x->rows - 1) * x->stride;
    row[check_range(0, x->cols - 1)] = bad[check_range(0, 2)];
}

/* ---------------------------------------------------------------- packed weights */

/* The rows cut at random give the bytes and flips of the reference over the whole. */
static void check_packed(int32_t tier, int32_t grid, int32_t rounding, int64_t rows, int64_t cols,
                         enum check_place place) {
    check_case("update %s %s %lldx%lld", GRID_NAMES[grid], ROUNDINGS[rounding], (long long)rows, (long long)cols);
    sterna_packed w = random_packed(grid, rows, cols, place), want = copy_of_packed(&w);
    sterna_matrix delta = random_tile(rows, cols, 0.5f, place);
    float keep = check_range(0, 1) ? 1 : 0.9f;
    uint64_t key = check_random();
    int64_t *flips = check_buffer(8, place, 0), want_flips = 100, cut = check_range(0, rows);
    *flips = 100;
    sterna_matrix low = rows_of(&delta, 0, cut), high = rows_of(&delta, cut, rows);
    CHECK(sterna_update_packed(STERNA_REFERENCE, &want, &delta, keep, key, rounding, &want_flips, 0, rows) == STERNA_OK);
    CHECK(sterna_update_packed(tier, &w, &high, keep, key, rounding, flips, cut, rows) == STERNA_OK);
    CHECK(sterna_update_packed(tier, &w, &low, keep, key, rounding, flips, 0, cut) == STERNA_OK);
    check_equal("codes", w.codes, want.codes, packed_bytes(&w), 1);
    CHECK(*flips == want_flips);

    spoil(&delta);
    CHECK(sterna_update_packed(tier, &w, &delta, keep, key, rounding, flips, 0, rows)
          == STERNA_STATUS(3, STERNA_NONFINITE));
    check_equal("codes after NONFINITE", w.codes, want.codes, packed_bytes(&w), 1);
    CHECK(*flips == want_flips);
    free(want.codes);
    check_release();
}

/* What sterna.h writes, in float64 arithmetic where f32 is exact: scale 1/4, keep 1, deltas in 1/64. */
static void check_formula(int32_t tier, int32_t grid) {
    check_case("update formula %s", GRID_NAMES[grid]);
    enum { COLS = 200, ROW = 5 };
    float scale = 0.25f, delta[COLS];
    uint8_t codes[6 * 256];
    sterna_packed w = {codes, &scale, ROW + 1, COLS, grid, STERNA_PER_TENSOR, 0};
    random_codes(&w);
    sterna_packed old = copy_of_packed(&w);
    int64_t flips = 0, want_flips = 0;
    for (int c = 0; c < COLS; c++) delta[c] = (float)check_range(-200, 200) / 64;
    sterna_matrix tile = {delta, 1, COLS, COLS, STERNA_F32, 0};
    const uint32_t key[2] = {77, 88};
    uint64_t both = (uint64_t)88 << 32 | 77;
    CHECK(sterna_update_packed(tier, &w, &tile, 1, both, STERNA_STOCHASTIC, &flips, ROW, ROW + 1) == STERNA_OK);
    for (int c = 0; c < COLS; c++) {
        uint32_t index = (uint32_t)(ROW * 4 + c / 64) * 16 + (uint32_t)c % 16, words[4];
        const uint32_t counter[4] = {index, 0, STERNA_STREAM_WEIGHT, 0};
        CHECK(sterna_philox(STERNA_REFERENCE, counter, key, words, 1) == STERNA_OK);
        double u = (words[c % 64 / 16] >> 8) / 16777216.0, z = code_at(&old, ROW, c) - delta[c] / 0.25;
        z = fmin(fmax(z, sterna_qn(grid)), sterna_qp(grid));
        double step = grid == STERNA_BINARY ? 2 : 1, low = grid == STERNA_BINARY ? -1 : 0, y = (z - low) / step;
        int code = (int)(low + step * (floor(y) + (u < y - floor(y))));
        if (code_at(&w, ROW, c) != code) check_fail("column %d is %d, want %d", c, code_at(&w, ROW, c), code);
        want_flips += code != code_at(&old, ROW, c);
    }
    CHECK(flips == want_flips);
    free(old.codes);
}

/* 2^16 weights of one code move by a fraction of a step: the mean of the new codes is z within 6 standard
 * errors, a false alarm below 2e-9 a case and 1e-6 in all. Ends included: beyond them the code saturates. */
static void check_unbiased(int32_t tier, int32_t grid, int code, float fraction) {
    check_case("unbiased %s from %d by %g", GRID_NAMES[grid], code, fraction);
    enum { ROWS = 64, COLS = 1024 };
    float scale = 0.02f, *delta = malloc(4 * COLS * ROWS);
    sterna_packed w = {NULL, &scale, ROWS, COLS, grid, STERNA_PER_TENSOR, 0};
    w.codes = calloc(packed_bytes(&w), 1);
    for (int i = 0; i < ROWS * COLS; i++) {
        delta[i] = -fraction * scale;
        set_code_at(&w, i / COLS, i % COLS, code);
    }
    sterna_matrix tile = {delta, ROWS, COLS, COLS, STERNA_F32, 0};
    int64_t flips = 0, counts[256] = {0};
    uint64_t key = sterna_key(11, (uint32_t)grid, (uint64_t)(code + 1000));
    CHECK(sterna_update_packed(tier, &w, &tile, 1, key, STERNA_STOCHASTIC, &flips, 0, ROWS) == STERNA_OK);
    CHECK(sterna_histogram(tier, &w, counts, 0, ROWS) == STERNA_OK);
    double step = grid == STERNA_BINARY ? 2 : 1, n = ROWS * COLS, mean = 0;
    for (int i = 0; i < 256; i++) mean += (double)counts[i] * (i + sterna_qn(grid)) / n;
    double z = fmin(fmax((double)code + fraction, sterna_qn(grid)), sterna_qp(grid));
    double p = (z - sterna_qn(grid)) / step - floor((z - sterna_qn(grid)) / step);
    if (!(fabs(mean - z) <= 6 * step * sqrt(p * (1 - p) / n) + 1e-5)) check_fail("mean %.6f, want %.6f", mean, z);
    free(delta);
    free(w.codes);
}

/* Weights on the grid with nothing to add stay, whatever the random bits. */
static void check_still(int32_t tier, int32_t grid, int32_t rounding) {
    check_case("still %s %s", GRID_NAMES[grid], ROUNDINGS[rounding]);
    sterna_packed w = random_packed(grid, 3, 200, AGAINST_END), want = copy_of_packed(&w);
    float zeros[3 * 200] = {0};
    sterna_matrix delta = {zeros, 3, 200, 200, STERNA_F32, 0};
    int64_t flips = 0;
    for (uint64_t key = 0; key < 20; key++)
        CHECK(sterna_update_packed(tier, &w, &delta, 1, key, rounding, &flips, 0, 3) == STERNA_OK);
    check_equal("codes", w.codes, want.codes, packed_bytes(&w), 1);
    CHECK(flips == 0);
    free(want.codes);
    check_release();
}

/* Ties go to the even code, ends saturate: deltas in quarter steps from code 0 (binary: -1). */
static void check_nearest(int32_t tier, int32_t grid) {
    check_case("nearest update %s", GRID_NAMES[grid]);
    enum { COLS = 64 };
    float delta[COLS], scale = 0.5f;
    uint8_t codes[512] = {0};
    sterna_packed w = {codes, &scale, 1, COLS, grid, STERNA_PER_ROW, 0};
    for (int c = 0; c < COLS; c++) delta[c] = -(float)(c - 32) / 8; /* z = (c - 32) / 4 */
    sterna_matrix tile = {delta, 1, COLS, COLS, STERNA_F32, 0};
    int64_t flips = 0;
    CHECK(sterna_update_packed(tier, &w, &tile, 1, 1, STERNA_NEAREST, &flips, 0, 1) == STERNA_OK);
    for (int c = 0; c < COLS; c++) {
        double z = (c - 32) / 4.0, even = 2 * round(z / 2);
        double want = fabs(z - even) <= 0.5 ? even : z > even ? even + 1 : even - 1;
        want = fmin(fmax(want, sterna_qn(grid)), sterna_qp(grid));
        if (grid == STERNA_BINARY) want = z - 1 >= 0 ? 1 : -1;
        if (code_at(&w, 0, c) != (int)want) check_fail("z = %g gives %d, want %g", z, code_at(&w, 0, c), want);
    }
}

/* ---------------------------------------------------------------- float weights */

static void check_float(int32_t tier, int32_t type, int32_t rounding, int64_t rows, int64_t cols,
                        enum check_place place) {
    check_case("update float type %d %s %lldx%lld", type, ROUNDINGS[rounding], (long long)rows, (long long)cols);
    size_t element = check_element_bytes(type);
    int64_t stride = cols + check_range(0, 5), cut = check_range(0, rows);
    size_t bytes = (size_t)((rows - 1) * stride + cols) * element;
    sterna_matrix w = {check_buffer(bytes, place, element * (size_t)check_range(0, 1)), rows, cols, stride, type, 0}, want = w;
    for (int64_t i = 0; i < (rows - 1) * stride + cols; i++) {
        float x = check_range(0, 9) ? check_normal() : check_range(0, 1) ? 3.38e38f : INFINITY;
        if (type == STERNA_F32) ((float *)w.data)[i] = x;
        else ((uint16_t *)w.data)[i] = sterna_bf16_of_f32(x);
    }
    want.data = malloc(bytes);
    memcpy(want.data, w.data, bytes);
    sterna_matrix delta = random_tile(rows, cols, 0.01f, place), low = rows_of(&delta, 0, cut), high = rows_of(&delta, cut, rows);
    uint64_t key = check_random();
    CHECK(sterna_update_float(STERNA_REFERENCE, &want, &delta, 0.99f, key, rounding, 0, rows) == STERNA_OK);
    CHECK(sterna_update_float(tier, &w, &low, 0.99f, key, rounding, 0, cut) == STERNA_OK);
    CHECK(sterna_update_float(tier, &w, &high, 0.99f, key, rounding, cut, rows) == STERNA_OK);
    check_equal("weights", w.data, want.data, bytes, 1);
    spoil(&delta);
    CHECK(sterna_update_float(tier, &w, &delta, 1, key, rounding, 0, rows) == STERNA_STATUS(3, STERNA_NONFINITE));
    check_equal("weights after NONFINITE", w.data, want.data, bytes, 1);
    free(want.data);
    check_release();
}

/* bf16 neighbours of 1 are 2^-7 above; 1 + 2^-9 is one of them with probability 1/4. 6 standard errors. */
static void check_float_unbiased(int32_t tier) {
    check_case("unbiased bf16");
    enum { COLS = 65536 };
    uint16_t *w = malloc(2 * COLS);
    float *delta = malloc(4 * COLS);
    for (int c = 0; c < COLS; c++) w[c] = 0x3f80, delta[c] = -0x1p-9f;
    sterna_matrix weights = {w, 1, COLS, COLS, STERNA_BF16, 0}, tile = {delta, 1, COLS, COLS, STERNA_F32, 0};
    CHECK(sterna_update_float(tier, &weights, &tile, 1, sterna_key(1, 2, 3), STERNA_STOCHASTIC, 0, 1) == STERNA_OK);
    double up = 0;
    for (int c = 0; c < COLS; c++) {
        CHECK(w[c] == 0x3f80 || w[c] == 0x3f81);
        up += w[c] == 0x3f81;
    }
    CHECK(fabs(up / COLS - 0.25) < 6 * sqrt(0.25 * 0.75 / COLS));
    w[0] = 0x7f7f, w[1] = 0xff7f, delta[0] = -0x1p119f, delta[1] = 0x1p119f; /* the largest stay finite */
    for (uint64_t key = 0; key < 20; key++)
        CHECK(sterna_update_float(tier, &weights, &tile, 1, key, STERNA_STOCHASTIC, 0, 1) == STERNA_OK);
    CHECK(w[0] == 0x7f7f && w[1] == 0xff7f);
    free(w);
    free(delta);
}

/* ---------------------------------------------------------------- errors */

static void check_errors(int32_t tier) {
    check_case("update argument errors");
    enum { COLS = 70 };
    float data[2 * COLS] = {0}, weights[2 * COLS] = {0}, scales[2] = {1, 1};
    uint8_t codes[64] = {0}, zeros[64] = {0};
    int64_t flips = 0;
    sterna_matrix d = {data, 2, COLS, COLS, STERNA_F32, 0}, narrow = d, half = d, x = d;
    narrow.cols--, half.type = STERNA_BF16, x.data = weights;
    for (int i = 0; i < 2 * COLS; i++) data[i] = 3;
    sterna_packed w = {codes, scales, 2, COLS, STERNA_TERNARY, STERNA_PER_ROW, 0};
    CHECK(sterna_update_packed(-1, &w, &d, 1, 1, 0, &flips, 0, 2) == STERNA_STATUS(1, STERNA_BAD_TIER));
    CHECK(sterna_update_packed(tier, NULL, &d, 1, 1, 0, &flips, 0, 2) == STERNA_STATUS(2, STERNA_BAD_NULL));
    CHECK(sterna_update_packed(tier, &w, NULL, 1, 1, 0, &flips, 0, 2) == STERNA_STATUS(3, STERNA_BAD_NULL));
    CHECK(sterna_update_packed(tier, &w, &half, 1, 1, 0, &flips, 0, 2) == STERNA_STATUS(3, STERNA_BAD_TYPE));
    CHECK(sterna_update_packed(tier, &w, &narrow, 1, 1, 0, &flips, 0, 2) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    CHECK(sterna_update_packed(tier, &w, &d, 1.5f, 1, 0, &flips, 0, 2) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    CHECK(sterna_update_packed(tier, &w, &d, NAN, 1, 0, &flips, 0, 2) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    CHECK(sterna_update_packed(tier, &w, &d, 1, 1, 2, &flips, 0, 2) == STERNA_STATUS(6, STERNA_BAD_RANGE));
    CHECK(sterna_update_packed(tier, &w, &d, 1, 1, 0, NULL, 0, 2) == STERNA_STATUS(7, STERNA_BAD_NULL));
    CHECK(sterna_update_packed(tier, &w, &d, 1, 1, 0, &flips, -1, 1) == STERNA_STATUS(8, STERNA_BAD_RANGE));
    CHECK(sterna_update_packed(tier, &w, &d, 1, 1, 0, &flips, 3, 3) == STERNA_STATUS(8, STERNA_BAD_RANGE));
    CHECK(sterna_update_packed(tier, &w, &d, 1, 1, 0, &flips, 0, 3) == STERNA_STATUS(9, STERNA_BAD_RANGE));
    scales[0] = NAN;
    CHECK(sterna_update_packed(tier, &w, &d, 1, 1, 0, &flips, 0, 2) == STERNA_STATUS(2, STERNA_BAD_VALUE));
    CHECK(sterna_update_float(tier, &x, &narrow, 1, 1, 0, 0, 2) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    CHECK(sterna_update_float(tier, &x, &d, -1, 1, 0, 0, 2) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    CHECK(sterna_update_float(tier, &x, &d, 1, 1, -1, 0, 2) == STERNA_STATUS(6, STERNA_BAD_RANGE));
    CHECK(sterna_update_float(tier, &x, &d, 1, 1, 0, 3, 3) == STERNA_STATUS(7, STERNA_BAD_RANGE));
    CHECK(sterna_update_float(tier, &x, &d, 1, 1, 0, 2, 1) == STERNA_STATUS(8, STERNA_BAD_RANGE));
    check_equal("codes", codes, zeros, sizeof codes, 1);
    for (int i = 0; i < 2 * COLS; i++) CHECK(weights[i] == 0);
    CHECK(flips == 0);
}

static void check(int32_t tier) {
    const float fractions[] = {0.3f, -0.7f, 0.01f, -1.5f};
    for (int32_t grid = STERNA_BINARY; grid <= STERNA_LAST_GRID; grid++) {
        for (int64_t cols = 1; cols <= 330; cols = next_cols(cols))
            for (int32_t rounding = STERNA_STOCHASTIC; rounding <= STERNA_NEAREST; rounding++)
                for (int place = AGAINST_END; place <= AGAINST_START; place++)
                    check_packed(tier, grid, rounding, check_range(1, 3), cols, place);
        check_formula(tier, grid);
        check_nearest(tier, grid);
        const int codes[] = {sterna_qn(grid), sterna_qp(grid), grid == STERNA_BINARY ? 1 : 0};
        for (int i = 0; i < 3 * 4; i++) check_unbiased(tier, grid, codes[i / 4], fractions[i % 4]);
        for (int32_t rounding = STERNA_STOCHASTIC; rounding <= STERNA_NEAREST; rounding++) check_still(tier, grid, rounding);
    }
    for (int64_t cols = 1; cols <= 330; cols = next_cols(cols))
        for (int i = 0; i < 8; i++) check_float(tier, i & 1, i >> 1 & 1, check_range(1, 3), cols, i >> 2);
    check_float_unbiased(tier);
    check_errors(tier);
}

/* ---------------------------------------------------------------- bench */

struct job {
    int32_t tier;
    sterna_packed w;
    sterna_matrix delta;
};

static void run_update(void *argument) {
    const struct job *job = argument;
    int64_t flips = 0;
    sterna_update_packed(job->tier, &job->w, &job->delta, 1, 1, STERNA_STOCHASTIC, &flips, 0, job->w.rows);
}

/* A tile in cache; GB/s count the delta and the codes read and written. */
static void bench(int32_t tier) {
    enum { ROWS = 64, COLS = 2048 };
    float scale = 0.02f;
    struct job job = {tier, {NULL, &scale, ROWS, COLS, 0, STERNA_PER_TENSOR, 0}, {NULL, ROWS, COLS, COLS, STERNA_F32, 0}};
    job.delta.data = check_buffer(4 * ROWS * COLS, AGAINST_END, 0);
    for (int i = 0; i < ROWS * COLS; i++) ((float *)job.delta.data)[i] = 0.001f * check_normal();
    for (int32_t grid = STERNA_BINARY; grid <= STERNA_LAST_GRID; grid++) {
        job.w.grid = grid;
        job.w.codes = check_buffer(packed_bytes(&job.w), AGAINST_END, 0);
        random_codes(&job.w);
        double bytes = 4.0 * ROWS * COLS + 2.0 * (double)packed_bytes(&job.w);
        check_row("update_packed", GRID_NAMES[grid], "64x2048 tile", tier, bytes, check_time(run_update, &job, 0.2), "GB/s", 0);
    }
}

const check_family check_update = {"update", check, bench, 0};
