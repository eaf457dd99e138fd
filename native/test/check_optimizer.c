/* check_optimizer.c: AdamW, SGD and Adafactor with every kind of state: the reference's bytes, the formulas. */
#include <stdio.h>

#include "dispatch/bf16.h"
#include "packed.h"

static const char *const TYPES[] = {"f32", "bf16", "i8"};
static const size_t ELEMENT[] = {4, 2, 1};

static sterna_matrix random_gradient(int64_t rows, int64_t cols, enum check_place place) {
    int64_t stride = cols + check_range(0, 5);
    size_t count = (size_t)((rows - 1) * stride + cols);
    float *data = check_buffer(count * 4, place, 4 * (size_t)check_range(0, 3));
    for (size_t i = 0; i < count; i++) {
        int kind = (int)check_range(0, 15);
        data[i] = kind == 0 ? 0.0f : kind == 1 ? 1e-30f : kind == 2 ? -1e-42f : kind == 3 ? 1e15f : check_normal();
    }
    return (sterna_matrix){data, rows, cols, stride, STERNA_F32, 0};
}

static size_t gradient_bytes(const sterna_matrix *g) {
    return (size_t)((g->rows - 1) * g->stride + g->cols) * 4;
}

static sterna_matrix rows_of(const sterna_matrix *x, int64_t begin, int64_t end) {
    sterna_matrix part = *x;
    part.data = (float *)x->data + begin * x->stride;
    part.rows = end - begin;
    return part;
}

static sterna_matrix copy_of_matrix(const sterna_matrix *x) {
    sterna_matrix copy = *x;
    copy.data = malloc(gradient_bytes(x));
    memcpy(copy.data, x->data, gradient_bytes(x));
    return copy;
}

static size_t moment_bytes(const sterna_moment *m) {
    return (size_t)(m->rows * m->cols) * ELEMENT[m->type];
}

static size_t scale_bytes(const sterna_moment *m) {
    return m->type == STERNA_I8 ? (size_t)(m->rows * sterna_blocks(m->cols)) * 4 : 0;
}

static sterna_moment zero_moment(int32_t type, int64_t rows, int64_t cols, enum check_place place) {
    sterna_moment m = {NULL, NULL, rows, cols, type, 0};
    m.data = check_buffer(moment_bytes(&m), place, ELEMENT[type] * (size_t)check_range(0, 1));
    memset(m.data, 0, moment_bytes(&m));
    if (type == STERNA_I8) m.scales = memset(check_buffer(scale_bytes(&m), place, 0), 0, scale_bytes(&m));
    return m;
}

static sterna_moment copy_of_moment(const sterna_moment *m) {
    sterna_moment copy = *m;
    copy.data = memcpy(malloc(moment_bytes(m)), m->data, moment_bytes(m));
    if (m->scales) copy.scales = memcpy(malloc(scale_bytes(m)), m->scales, scale_bytes(m));
    return copy;
}

static void free_moment(const sterna_moment *m) {
    free(m->data);
    free(m->scales);
}

static void check_moment(const char *what, const sterna_moment *got, const sterna_moment *want) {
    check_equal(what, got->data, want->data, moment_bytes(got), 1);
    check_equal(what, got->scales, want->scales, scale_bytes(got), 1);
}

static void spoil(const sterna_matrix *x) {
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e25f}; /* the square of 1e25 is infinite in f32 */
    float *row = (float *)x->data + check_range(0, x->rows - 1) * x->stride;
    row[check_range(0, x->cols - 1)] = bad[check_range(0, 3)];
}

/* ---------------------------------------------------------------- against the reference */

/* One optimizer behind one call: what it needs besides g and the moments. */
enum optimizer { ADAMW, SGD, SGD_PLAIN, ADAFACTOR, ADAFACTOR_PLAIN, OPTIMIZERS };
static const char *const NAMES[] = {"adamw", "sgd", "sgd without momentum", "adafactor", "adafactor without momentum"};

struct run {
    enum optimizer optimizer;
    uint64_t key;
    const float *row_factor, *col_factor;
};

static int32_t step(int32_t tier, const struct run *run, const sterna_matrix *g, const sterna_moment *m,
                    const sterna_moment *v, double *squares, int64_t row0, int64_t row1) {
    const sterna_adamw_step adamw = {1e-3f, 0.9f, 0.999f, 1e-6f, 2.5f, 300, 0.7f, 0, run->key};
    const sterna_sgd_step sgd = {1e-2f, 0.9f, 0.7f, 0, run->key};
    const sterna_adafactor_step adafactor = {1e-2f, 0.9f, 0.7f, 0, run->key};
    switch (run->optimizer) {
    case ADAMW: return sterna_adamw(tier, &adamw, g, m, v, squares, row0, row1);
    case SGD: return sterna_sgd(tier, &sgd, g, m, squares, row0, row1);
    case SGD_PLAIN: return sterna_sgd(tier, &sgd, g, NULL, squares, row0, row1);
    case ADAFACTOR: return sterna_adafactor(tier, &adafactor, g, run->row_factor, run->col_factor, m, row0, row1);
    default: return sterna_adafactor(tier, &adafactor, g, run->row_factor, run->col_factor, NULL, row0, row1);
    }
}

/* Two steps, so that the second reads what the first wrote; rows cut at random; then a gradient that is refused. */
static void check_step(int32_t tier, enum optimizer optimizer, int32_t m_type, int32_t v_type, int64_t rows,
                       int64_t cols, enum check_place place) {
    check_case("%s %s %s %lldx%lld", NAMES[optimizer], TYPES[m_type], TYPES[v_type], (long long)rows, (long long)cols);
    sterna_moment m = zero_moment(m_type, rows, cols, place), v = zero_moment(v_type, rows, cols, place);
    sterna_moment want_m = copy_of_moment(&m), want_v = copy_of_moment(&v);
    float *factors = check_buffer((size_t)(rows + cols) * 4, place, 0);
    for (int64_t i = 0; i < rows + cols; i++) factors[i] = 0.1f + fabsf(check_normal());
    double *squares = check_buffer((size_t)rows * 8, place, 0), *want_squares = malloc((size_t)rows * 8);
    for (int64_t r = 0; r < rows; r++) squares[r] = want_squares[r] = 1;
    for (int i = 0; i < 3; i++) {
        struct run run = {optimizer, check_random(), factors, factors + rows};
        sterna_matrix g = random_gradient(rows, cols, place), want = copy_of_matrix(&g);
        int64_t cut = check_range(0, rows);
        sterna_matrix low = rows_of(&g, 0, cut), high = rows_of(&g, cut, rows);
        if (i < 2) {
            CHECK(step(STERNA_REFERENCE, &run, &want, &want_m, &want_v, want_squares, 0, rows) == STERNA_OK);
            CHECK(step(tier, &run, &low, &m, &v, squares, 0, cut) == STERNA_OK);
            CHECK(step(tier, &run, &high, &m, &v, squares + cut, cut, rows) == STERNA_OK);
        } else {
            spoil(&g);
            memcpy(want.data, g.data, gradient_bytes(&g));
            CHECK(step(STERNA_REFERENCE, &run, &want, &want_m, &want_v, want_squares, 0, rows)
                  == STERNA_STATUS(3, STERNA_NONFINITE));
            CHECK(step(tier, &run, &g, &m, &v, squares, 0, rows) == STERNA_STATUS(3, STERNA_NONFINITE));
        }
        check_equal("delta", g.data, want.data, gradient_bytes(&g) / 4, 4);
        check_moment("first moment", &m, &want_m);
        check_moment("second moment", &v, &want_v);
        for (int64_t r = 0; r < rows; r++)
            if (!isnan(want_squares[r]) || !isnan(squares[r])) CHECK(squares[r] == want_squares[r]);
        free(want.data);
    }
    free_moment(&want_m);
    free_moment(&want_v);
    free(want_squares);
    check_release();
}

static void check_sums(int32_t tier, int64_t rows, int64_t cols, enum check_place place) {
    check_case("sums of squares %lldx%lld", (long long)rows, (long long)cols);
    sterna_matrix g = random_gradient(rows, cols, place);
    float *factors = check_buffer((size_t)(rows + cols) * 4, place, 0);
    for (int64_t i = 0; i < rows + cols; i++) factors[i] = check_normal();
    double *got = check_buffer((size_t)(rows + cols) * 8, place, 0), *want = malloc((size_t)(rows + cols) * 8);
    int64_t cut = check_range(0, cols), row0 = check_range(0, rows), count = rows - row0;
    CHECK(sterna_column_squares(STERNA_REFERENCE, &g, want, 0, cols) == STERNA_OK);
    CHECK(sterna_column_squares(tier, &g, got, cut, cols) == STERNA_OK);
    CHECK(sterna_column_squares(tier, &g, got, 0, cut) == STERNA_OK);
    check_equal("column squares", got, want, (size_t)cols, 8);
    CHECK(sterna_row_squares(STERNA_REFERENCE, &g, want, row0, rows) == STERNA_OK);
    CHECK(sterna_row_squares(tier, &g, got, row0, rows) == STERNA_OK);
    check_equal("row squares", got, want, (size_t)count, 8);
    const sterna_adafactor_step step = {1, 0.9f, 0.5f, 0, 1};
    sterna_matrix tile = rows_of(&g, 0, count);
    CHECK(sterna_adafactor_squares(STERNA_REFERENCE, &step, &tile, factors, factors + rows, want, row0, rows) == STERNA_OK);
    CHECK(sterna_adafactor_squares(tier, &step, &tile, factors, factors + rows, got, row0, rows) == STERNA_OK);
    check_equal("squares of u", got, want, (size_t)count, 8);
    free(want);
    check_release();
}

/* ---------------------------------------------------------------- AdamW and the rounding in one call */

static const char *const SPOILS[] = {"", " with a gradient that is not finite", " with a delta that is not finite"};

/* Rows in two slices against sterna_adamw and sterna_update_packed of the reference over the whole; `spoiled` 1
 * puts a NaN or an infinity into the gradient, 2 into the second moment, so that the delta is none. */
static void check_adamw_packed(int32_t tier, int32_t grid, int32_t rounding, int32_t type, int spoiled, int64_t cols,
                               enum check_place place) {
    check_case("adamw_packed %s %s, %lld columns%s", GRID_NAMES[grid], TYPES[type], (long long)cols, SPOILS[spoiled]);
    int64_t rows = check_range(1, 3), cut = spoiled ? 0 : check_range(0, rows);
    sterna_packed w = random_packed(grid, rows, cols, place), want_w = copy_of_packed(&w);
    sterna_moment m = zero_moment(type, rows, cols, place), v = zero_moment(type, rows, cols, place);
    sterna_matrix g = random_gradient(rows, cols, place);
    if (spoiled == 1) spoil(&g);
    if (spoiled == 2) ((uint32_t *)v.data)[check_range(0, rows * cols - 1)] = 0x7fc00000;
    sterna_moment want_m = copy_of_moment(&m), want_v = copy_of_moment(&v);
    sterna_matrix delta = copy_of_matrix(&g), low = rows_of(&g, 0, cut), high = rows_of(&g, cut, rows);
    const sterna_adamw_step step = {0.3f, 0.9f, 0.999f, 1e-6f, 2.5f, 300, 0.7f, 0, check_random()};
    double squares[3] = {0}, want_squares[3] = {0};
    int64_t *flips = check_buffer(8, place, 0), want_flips = *flips = 7;
    int32_t want = sterna_adamw(STERNA_REFERENCE, &step, &delta, &want_m, &want_v, want_squares, 0, rows);
    if (want == STERNA_OK)
        want = sterna_update_packed(STERNA_REFERENCE, &want_w, &delta, 0.9f, step.key, rounding, &want_flips, 0, rows);
    CHECK((want != STERNA_OK) == (spoiled != 0));
    CHECK(sterna_adamw_packed(tier, &step, &high, &m, &v, squares + cut, &w, 0.9f, rounding, flips, cut, rows) == want);
    CHECK(sterna_adamw_packed(tier, &step, &low, &m, &v, squares, &w, 0.9f, rounding, flips, 0, cut) == STERNA_OK);
    check_equal("codes", w.codes, want_w.codes, packed_bytes(&w), 1);
    check_moment("first moment", &m, &want_m);
    if (spoiled != 2) check_moment("second moment", &v, &want_v);
    CHECK(*flips == want_flips);
    for (int64_t r = 0; r < rows && spoiled != 1; r++) CHECK(squares[r] == want_squares[r]);
    free_moment(&want_m), free_moment(&want_v);
    free(want_w.codes), free(delta.data);
    check_release();
}

static void check_adamw_packed_errors(int32_t tier) {
    check_case("adamw_packed argument errors");
    enum { COLS = 70 };
    float g[2 * COLS], first[2 * COLS] = {0}, second[2 * COLS] = {0}, scale = 1, no_scale = 0;
    for (int i = 0; i < 2 * COLS; i++) g[i] = 3;
    uint8_t codes[2 * 32] = {0};
    sterna_packed w = {codes, &scale, 2, COLS, STERNA_TERNARY, STERNA_PER_TENSOR, 0}, zero = w, other = w;
    zero.scales = &no_scale, other.grid = STERNA_LAST_GRID + 1;
    sterna_matrix x = {g, 2, COLS, COLS, STERNA_F32, 0}, narrow = x;
    narrow.cols--;
    sterna_moment m = {first, NULL, 2, COLS, STERNA_F32, 0}, v = {second, NULL, 2, COLS, STERNA_F32, 0}, tall = v;
    tall.rows = 3;
    const sterna_adamw_step a = {1e-3f, 0.9f, 0.999f, 1e-6f, 1, 1, 1, 0, 1};
    sterna_adamw_step wrong = a;
    wrong.epsilon = 0;
    int64_t f = 0;
    double sq[2];
    CHECK(sterna_adamw_packed(-1, &a, &x, &m, &v, sq, &w, 1, 0, &f, 0, 2) == STERNA_STATUS(1, STERNA_BAD_TIER));
    CHECK(sterna_adamw_packed(tier, &wrong, &x, &m, &v, sq, &w, 1, 0, &f, 0, 2) == STERNA_STATUS(2, STERNA_BAD_RANGE));
    CHECK(sterna_adamw_packed(tier, &a, &narrow, &m, &v, sq, &w, 1, 0, &f, 0, 2) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    CHECK(sterna_adamw_packed(tier, &a, &x, &tall, &v, sq, &w, 1, 0, &f, 0, 2) == STERNA_STATUS(4, STERNA_BAD_SHAPE));
    CHECK(sterna_adamw_packed(tier, &a, &x, &m, &tall, sq, &w, 1, 0, &f, 0, 2) == STERNA_STATUS(5, STERNA_BAD_SHAPE));
    CHECK(sterna_adamw_packed(tier, &a, &x, &m, &v, (double *)((char *)sq + 1), &w, 1, 0, &f, 0, 2) == STERNA_STATUS(6, STERNA_BAD_ALIGNMENT));
    CHECK(sterna_adamw_packed(tier, &a, &x, &m, &v, sq, &other, 1, 0, &f, 0, 2) == STERNA_STATUS(7, STERNA_BAD_TYPE));
    CHECK(sterna_adamw_packed(tier, &a, &x, &m, &v, sq, &zero, 1, 0, &f, 0, 2) == STERNA_STATUS(7, STERNA_BAD_VALUE));
    CHECK(sterna_adamw_packed(tier, &a, &x, &m, &v, sq, &w, 2, 0, &f, 0, 2) == STERNA_STATUS(8, STERNA_BAD_RANGE));
    CHECK(sterna_adamw_packed(tier, &a, &x, &m, &v, sq, &w, 1, 2, &f, 0, 2) == STERNA_STATUS(9, STERNA_BAD_RANGE));
    CHECK(sterna_adamw_packed(tier, &a, &x, &m, &v, sq, &w, 1, 0, NULL, 0, 2) == STERNA_STATUS(10, STERNA_BAD_NULL));
    CHECK(sterna_adamw_packed(tier, &a, &x, &m, &v, sq, &w, 1, 0, &f, -1, 2) == STERNA_STATUS(11, STERNA_BAD_RANGE));
    CHECK(sterna_adamw_packed(tier, &a, &x, &m, &v, sq, &w, 1, 0, &f, 3, 3) == STERNA_STATUS(11, STERNA_BAD_RANGE));
    CHECK(sterna_adamw_packed(tier, &a, &x, &m, &v, sq, &w, 1, 0, &f, 0, 3) == STERNA_STATUS(12, STERNA_BAD_RANGE));
    for (int i = 0; i < 2 * COLS; i++) CHECK(g[i] == 3 && first[i] == 0 && second[i] == 0);
    for (int i = 0; i < 2 * 32; i++) CHECK(codes[i] == 0);
    CHECK(f == 0);
}

/* ---------------------------------------------------------------- against the formulas */

/* AdamW in float64 over f32 state, five steps; relative error of deltas below 1e-5. */
static void check_adamw_formula(int32_t tier) {
    check_case("adamw formula");
    enum { COLS = 100 };
    sterna_moment m = zero_moment(STERNA_F32, 1, COLS, AGAINST_END), v = zero_moment(STERNA_F32, 1, COLS, AGAINST_END);
    double first[COLS] = {0}, second[COLS] = {0}, b1 = 0.9f, b2 = 0.999f, squares, total = 0;
    for (int t = 1; t <= 5; t++) {
        float g[COLS];
        double want[COLS], bound[COLS], bias1 = 1 / (1 - pow(b1, t)), bias2 = 1 / (1 - pow(b2, t));
        const sterna_adamw_step step = {1e-3f, (float)b1, (float)b2, 1e-6f, (float)bias1, (float)bias2, 0.5f, 0, 1};
        total = 0;
        for (int c = 0; c < COLS; c++) {
            g[c] = check_normal();
            total += (double)g[c] * g[c];
            first[c] = b1 * first[c] + (1 - b1) * 0.5 * g[c];
            second[c] = b2 * second[c] + (1 - b2) * 0.25 * g[c] * g[c];
            want[c] = 1e-3 * first[c] * bias1 / (sqrt(second[c] * bias2) + 1e-6);
            bound[c] = 1e-5 * (fabs(want[c]) + 1e-3 * bias1);
        }
        sterna_matrix tile = {g, 1, COLS, COLS, STERNA_F32, 0};
        CHECK(sterna_adamw(tier, &step, &tile, &m, &v, &squares, 0, 1) == STERNA_OK);
        check_near("delta", g, want, bound, 1, COLS);
        CHECK(fabs(squares - total) <= 1e-12 * total);
    }
    check_release();
}

/* m = 0.9 m + u and delta = 0.01 m; Adafactor's u is the gradient times its two factors. */
static void check_momentum_formula(int32_t tier) {
    check_case("momentum formulas");
    enum { COLS = 100 };
    float g[COLS], h[COLS], row_factor[2] = {9, 0.25f}, col_factor[COLS];
    double want[COLS], bound[COLS];
    sterna_moment m = zero_moment(STERNA_F32, 2, COLS, AGAINST_END), n = zero_moment(STERNA_F32, 2, COLS, AGAINST_END);
    const sterna_sgd_step sgd = {0.01f, 0.9f, 0.5f, 0, 1};
    const sterna_adafactor_step adafactor = {0.01f, 0.75f, 0.5f, 0, 1};
    for (int c = 0; c < COLS; c++) {
        ((float *)m.data)[COLS + c] = ((float *)n.data)[COLS + c] = check_normal();
        g[c] = h[c] = check_normal(), col_factor[c] = check_normal();
    }
    sterna_matrix tile = {g, 1, COLS, COLS, STERNA_F32, 0}, other = {h, 1, COLS, COLS, STERNA_F32, 0};
    for (int c = 0; c < COLS; c++) {
        want[c] = 0.01 * (0.9 * ((float *)m.data)[COLS + c] + 0.5 * g[c]);
        bound[c] = 1e-7;
    }
    CHECK(sterna_sgd(tier, &sgd, &tile, &m, NULL, 1, 2) == STERNA_OK);
    check_near("sgd delta", g, want, bound, 1, COLS);
    for (int c = 0; c < COLS; c++)
        want[c] = 0.01 * (0.75 * ((float *)n.data)[COLS + c] + 0.25 * 0.5 * h[c] * 0.25 * col_factor[c]);
    CHECK(sterna_adafactor(tier, &adafactor, &other, row_factor, col_factor, &n, 1, 2) == STERNA_OK);
    check_near("adafactor delta", h, want, bound, 1, COLS);
    check_release();
}

/* Element c of a moment, for a second one in int8 its root. */
static double stored(const sterna_moment *m, int second, int c) {
    if (m->type == STERNA_BF16) return sterna_f32_of_bf16(((uint16_t *)m->data)[c]);
    return (second ? ((uint8_t *)m->data)[c] : ((int8_t *)m->data)[c]) * (double)m->scales[c / STERNA_BLOCK];
}

/* The mean of many stochastic writes of one value is the value, within 6 standard errors of its step, for both moments,
 * whose errors know nothing of each other: their correlation is within 6 standard errors of 0. */
static void check_state_unbiased(int32_t tier, int32_t type) {
    check_case("unbiased state %s", TYPES[type]);
    enum { COLS = 65536 };
    float *g = malloc(4 * COLS);
    sterna_moment m = zero_moment(type, 1, COLS, AGAINST_END), v = zero_moment(type, 1, COLS, AGAINST_END);
    const sterna_adamw_step step = {1, 0, 0, 1, 1, 1, 1, 0, sterna_key(3, 4, 5)};
    for (int c = 0; c < COLS; c++) g[c] = c % 64 ? 0.3f : 1;
    sterna_matrix tile = {g, 1, COLS, COLS, STERNA_F32, 0};
    CHECK(sterna_adamw(tier, &step, &tile, &m, &v, NULL, 0, 1) == STERNA_OK);
    double n = COLS - COLS / 64, x[2] = {0.3f, type == STERNA_I8 ? 0.3f : 0.3f * 0.3f}, sum[2] = {0}, squares[2] = {0}, both = 0;
    double width[2] = {type == STERNA_I8 ? 1.0 / 127 : 0x1p-9, type == STERNA_I8 ? 1.0 / 255 : 0x1p-11};
    for (int c = 0; c < COLS; c++) {
        double error[2] = {stored(&m, 0, c) - x[0], stored(&v, 1, c) - x[1]};
        if (c % 64 == 0) {
            CHECK(fabs(stored(&m, 0, c) - 1) < 1e-6 && fabs(stored(&v, 1, c) - 1) < 1e-6);
            continue;
        }
        for (int i = 0; i < 2; i++) sum[i] += error[i], squares[i] += error[i] * error[i];
        both += error[0] * error[1];
    }
    for (int i = 0; i < 2; i++) CHECK(fabs(sum[i] / n) < 6 * 0.5 * width[i] / sqrt(n));
    CHECK(fabs(both) < 6 / sqrt(n) * sqrt(squares[0] * squares[1]));
    free(g);
    check_release();
}

/* Block-wise int8 squares: a code is at least 1 beside a larger one, and 0 only in a block of zeros or of NaN. */
static void check_int8_floor(int32_t tier) {
    check_case("int8 squares");
    enum { COLS = 192 };
    float g[COLS] = {0};
    g[3] = 1, g[64] = 1e-20f; /* a tiny block keeps its scale, the last block stays zero */
    sterna_moment m = zero_moment(STERNA_I8, 1, COLS, AGAINST_END), v = zero_moment(STERNA_I8, 1, COLS, AGAINST_END);
    const sterna_adamw_step step = {1e-3f, 0.9f, 0.999f, 1e-6f, 1, 1, 1, 0, 1};
    sterna_matrix tile = {g, 1, COLS, COLS, STERNA_F32, 0};
    CHECK(sterna_adamw(tier, &step, &tile, &m, &v, NULL, 0, 1) == STERNA_OK);
    const uint8_t *codes = v.data;
    for (int c = 0; c < COLS; c++) CHECK(codes[c] == (c == 3 || c == 64 ? 255 : c < 128));
    CHECK(v.scales[0] > 0 && v.scales[1] > 0 && v.scales[2] == 0);
    v.scales[0] = NAN;
    CHECK(sterna_adamw(tier, &step, &tile, &m, &v, NULL, 0, 1) == STERNA_OK);
    for (int c = 0; c < STERNA_BLOCK; c++) CHECK(codes[c] == 0);
    CHECK(v.scales[0] == 0);
    check_release();
}

/* 255 / g * 65536, rounded, times g is a step above 255 * 65536, and under this key column 28 draws the largest u, which
 * lifts it to 256: the highest code is 255 all the same. */
static void check_int8_highest(int32_t tier) {
    check_case("highest int8 code");
    enum { KEY = 67, DRAWN = 28 };
    const uint32_t counter[4] = {DRAWN % 16, 0, STERNA_STREAM_MOMENT, 0}, key[2] = {KEY, 0};
    uint32_t words[4];
    CHECK(sterna_philox(tier, counter, key, words, 1) == STERNA_OK && (words[DRAWN / 16] & 0xffff) == 0xffff);
    float g[STERNA_BLOCK], largest = 1 + 5 / 1024.0f;
    CHECK(sqrtf(largest * largest) * (255 / largest * 65536) > 255 * 65536);
    for (int c = 0; c < STERNA_BLOCK; c++) g[c] = largest;
    sterna_moment m = zero_moment(STERNA_I8, 1, STERNA_BLOCK, AGAINST_END), v = zero_moment(STERNA_I8, 1, STERNA_BLOCK, AGAINST_END);
    const sterna_adamw_step step = {1, 0, 0, 1, 1, 1, 1, 0, KEY};
    sterna_matrix tile = {g, 1, STERNA_BLOCK, STERNA_BLOCK, STERNA_F32, 0};
    CHECK(sterna_adamw(tier, &step, &tile, &m, &v, NULL, 0, 1) == STERNA_OK);
    for (int c = 0; c < STERNA_BLOCK; c++) CHECK(((int8_t *)m.data)[c] == 127 && ((uint8_t *)v.data)[c] == 255);
    check_release();
}

/* ---------------------------------------------------------------- errors */

static void check_errors(int32_t tier) {
    check_case("optimizer argument errors");
    enum { COLS = 70 };
    float g[2 * COLS], first[2 * COLS] = {0}, second[2 * COLS] = {0}, ones[COLS];
    double squares[COLS] = {0};
    for (int i = 0; i < 2 * COLS; i++) g[i] = 3;
    for (int i = 0; i < COLS; i++) ones[i] = 1;
    sterna_matrix x = {g, 2, COLS, COLS, STERNA_F32, 0}, narrow = x, half = x;
    narrow.cols--, half.type = STERNA_BF16;
    sterna_moment m = {first, NULL, 2, COLS, STERNA_F32, 0}, v = {second, NULL, 2, COLS, STERNA_F32, 0}, bad = v, i8 = m;
    bad.rows = 3, i8.type = STERNA_I8;
    const sterna_adamw_step a = {1e-3f, 0.9f, 0.999f, 1e-6f, 1, 1, 1, 0, 1};
    sterna_adamw_step wrong[5] = {a, a, a, a, a};
    wrong[0].rate = NAN, wrong[1].beta1 = 1.5f, wrong[2].beta2 = -1, wrong[3].epsilon = 0, wrong[4].factor = INFINITY;
    CHECK(sterna_adamw(-1, &a, &x, &m, &v, NULL, 0, 2) == STERNA_STATUS(1, STERNA_BAD_TIER));
    CHECK(sterna_adamw(tier, NULL, &x, &m, &v, NULL, 0, 2) == STERNA_STATUS(2, STERNA_BAD_NULL));
    for (int i = 0; i < 5; i++) CHECK(sterna_adamw(tier, &wrong[i], &x, &m, &v, NULL, 0, 2) == STERNA_STATUS(2, STERNA_BAD_RANGE));
    CHECK(sterna_adamw(tier, &a, &half, &m, &v, NULL, 0, 2) == STERNA_STATUS(3, STERNA_BAD_TYPE));
    CHECK(sterna_adamw(tier, &a, &narrow, &m, &v, NULL, 0, 2) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    CHECK(sterna_adamw(tier, &a, &x, &i8, &v, NULL, 0, 2) == STERNA_STATUS(4, STERNA_BAD_NULL));
    CHECK(sterna_adamw(tier, &a, &x, &m, &bad, NULL, 0, 2) == STERNA_STATUS(5, STERNA_BAD_SHAPE));
    CHECK(sterna_adamw(tier, &a, &x, &m, &v, (double *)((char *)squares + 1), 0, 2) == STERNA_STATUS(6, STERNA_BAD_ALIGNMENT));
    CHECK(sterna_adamw(tier, &a, &x, &m, &v, NULL, -1, 2) == STERNA_STATUS(7, STERNA_BAD_RANGE));
    CHECK(sterna_adamw(tier, &a, &x, &m, &v, NULL, 3, 3) == STERNA_STATUS(7, STERNA_BAD_RANGE));
    CHECK(sterna_adamw(tier, &a, &x, &m, &v, NULL, 0, 3) == STERNA_STATUS(8, STERNA_BAD_RANGE));
    bad.rows = (int64_t)1 << 17, bad.cols = (int64_t)1 << 40; /* 2^57 elements */
    CHECK(sterna_adamw(tier, &a, &x, &bad, &bad, NULL, 0, 0) == STERNA_STATUS(4, STERNA_BAD_SHAPE));
    const sterna_sgd_step s = {1, 2, 1, 0, 1};
    CHECK(sterna_sgd(tier, &s, &x, &m, NULL, 0, 2) == STERNA_STATUS(2, STERNA_BAD_RANGE));
    const sterna_sgd_step plain = {1, 0.9f, 1, 0, 1};
    CHECK(sterna_sgd(tier, &plain, &x, &m, NULL, 3, 3) == STERNA_STATUS(6, STERNA_BAD_RANGE));
    CHECK(sterna_sgd(tier, &plain, &x, &m, NULL, 0, 3) == STERNA_STATUS(7, STERNA_BAD_RANGE));
    const sterna_adafactor_step f = {1, 0.9f, 1, 0, 1};
    CHECK(sterna_adafactor(tier, &f, &x, NULL, ones, &m, 0, 2) == STERNA_STATUS(4, STERNA_BAD_NULL));
    CHECK(sterna_adafactor(tier, &f, &x, ones, NULL, &m, 0, 2) == STERNA_STATUS(5, STERNA_BAD_NULL));
    CHECK(sterna_adafactor(tier, &f, &x, ones, ones, &m, 3, 3) == STERNA_STATUS(7, STERNA_BAD_RANGE));
    CHECK(sterna_adafactor(tier, &f, &x, ones, ones, &m, 2, 1) == STERNA_STATUS(8, STERNA_BAD_RANGE));
    CHECK(sterna_adafactor_squares(tier, &f, &x, ones, ones, NULL, 0, 2) == STERNA_STATUS(6, STERNA_BAD_NULL));
    CHECK(sterna_adafactor_squares(tier, &f, &x, ones, ones, squares, 0, -1) == STERNA_STATUS(8, STERNA_BAD_RANGE));
    CHECK(sterna_row_squares(tier, &x, squares, 3, 3) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    CHECK(sterna_row_squares(tier, &x, squares, 0, 3) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    CHECK(sterna_column_squares(tier, &x, squares, COLS + 1, COLS + 1) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    CHECK(sterna_column_squares(tier, &x, squares, 0, COLS + 1) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    for (int i = 0; i < 2 * COLS; i++) CHECK(g[i] == 3 && first[i] == 0 && second[i] == 0);
    for (int i = 0; i < COLS; i++) CHECK(squares[i] == 0);
}

static void check_width(int32_t tier, int64_t cols, enum check_place place) {
    for (int32_t i = 0; i < 9; i++) check_step(tier, ADAMW, i % 3, i / 3, check_range(1, 3), cols, place);
    for (int32_t type = 0; type < 3; type++) {
        check_step(tier, SGD, type, 0, check_range(1, 3), cols, place);
        check_step(tier, ADAFACTOR, type, 0, check_range(1, 3), cols, place);
    }
    check_step(tier, SGD_PLAIN, 0, 0, check_range(1, 3), cols, place);
    check_step(tier, ADAFACTOR_PLAIN, 0, 0, check_range(1, 3), cols, place);
    for (int32_t grid = STERNA_BINARY; grid <= STERNA_LAST_GRID; grid++) {
        check_adamw_packed(tier, grid, STERNA_STOCHASTIC, STERNA_F32, 0, cols, place);
        check_adamw_packed(tier, grid, STERNA_NEAREST, STERNA_F32, 0, cols, place);
        check_adamw_packed(tier, grid, STERNA_STOCHASTIC, (int32_t)cols % 3, 0, cols, place);
        check_adamw_packed(tier, grid, STERNA_STOCHASTIC, STERNA_F32, 1, cols, place);
        check_adamw_packed(tier, grid, STERNA_STOCHASTIC, STERNA_F32, 2, cols, place);
    }
    check_sums(tier, check_range(1, 3), cols, place);
}

static void check(int32_t tier) {
    for (int64_t cols = 1; cols <= 330; cols = next_cols(cols))
        for (int place = AGAINST_END; place <= AGAINST_START; place++) check_width(tier, cols, place);
    check_adamw_formula(tier);
    check_momentum_formula(tier);
    check_state_unbiased(tier, STERNA_BF16);
    check_state_unbiased(tier, STERNA_I8);
    check_int8_floor(tier);
    check_int8_highest(tier);
    check_errors(tier);
    check_adamw_packed_errors(tier);
}

/* ---------------------------------------------------------------- bench */

enum { TILE = 64 };

/* A matrix of ternary weights updated tile by tile, as a training step does it: the gradient tile stays in
 * cache, the state streams through. */
struct job {
    int32_t tier;
    sterna_packed w;
    sterna_moment m, v;
    sterna_matrix g;
    const float *gradient; /* what the tile holds before every call */
    void *buffer;          /* as large as what a pass reads and writes back */
    int64_t bytes;
};

/* The gradients of all tiles without their update: in training they come from a product. */
static void run_refill(void *argument) {
    const struct job *job = argument;
    for (int64_t r = 0; r < job->w.rows; r += TILE) memcpy(job->g.data, job->gradient, gradient_bytes(&job->g));
}

static void run_adamw(void *argument) {
    const struct job *job = argument;
    const sterna_adamw_step step = {1e-4f, 0.9f, 0.999f, 1e-6f, 1, 1, 1, 0, 1};
    double squares[TILE];
    int64_t flips = 0;
    for (int64_t r = 0; r < job->w.rows; r += TILE) {
        memcpy(job->g.data, job->gradient, gradient_bytes(&job->g));
        sterna_adamw_packed(job->tier, &step, &job->g, &job->m, &job->v, squares, &job->w, 1, STERNA_STOCHASTIC,
                            &flips, r, r + TILE);
    }
}

static void run_update(void *argument) {
    const struct job *job = argument;
    double work;
    sterna_probe(job->tier, STERNA_PROBE_UPDATE, job->buffer, job->bytes, 1, &work);
}

/* The update, less the time to refill its tile, and the ceiling in turns, so that what else the machine does slows
 * both. */
static void bench_adamw(int32_t tier, int32_t type, int64_t rows, int64_t cols) {
    float scale = 0.02f, *gradient = malloc((size_t)(4 * TILE * cols));
    for (int64_t i = 0; i < TILE * cols; i++) gradient[i] = 0.01f * check_normal();
    struct job job = {tier, {NULL, &scale, rows, cols, STERNA_TERNARY, STERNA_PER_TENSOR, 0},
                      zero_moment(type, rows, cols, AGAINST_END), zero_moment(type, rows, cols, AGAINST_END),
                      {check_buffer((size_t)(4 * TILE * cols), AGAINST_END, 0), TILE, cols, cols, STERNA_F32, 0},
                      gradient, NULL, 0};
    job.w.codes = memset(check_buffer(packed_bytes(&job.w), AGAINST_END, 0), 0, packed_bytes(&job.w));
    job.bytes = (int64_t)(moment_bytes(&job.m) + moment_bytes(&job.v) + scale_bytes(&job.m) * 2 + packed_bytes(&job.w)) / 64 * 64;
    job.buffer = memset(aligned_alloc(64, (size_t)job.bytes), 1, (size_t)job.bytes);
    double adamw = INFINITY, refill = INFINITY, ceiling = INFINITY, bytes = 2.0 * (double)job.bytes;
    for (int i = 0; i < (tier ? 3 : 1); i++) {
        adamw = fmin(adamw, check_time(run_adamw, &job, 0));
        refill = fmin(refill, check_time(run_refill, &job, 0));
        ceiling = fmin(ceiling, check_time(run_update, &job, 0));
    }
    char shape[32], name[32];
    snprintf(shape, sizeof shape, "%lldx%lld", (long long)rows, (long long)cols);
    snprintf(name, sizeof name, "adamw+sr %s", TYPES[type]);
    check_row(name, "ternary", shape, tier, bytes, adamw - refill, "GB/s", 1e-9 * bytes / ceiling);
    free(gradient);
    free(job.buffer);
    check_release();
}

/* Rows for a state of about 512 MiB, more than caches hold; a reference takes its time, and far fewer. */
static int64_t rows_of_state(int32_t tier, int32_t type, int64_t cols) {
    if (tier == STERNA_REFERENCE) return 4 * TILE;
    return ((int64_t)1 << 29) / (2 * (int64_t)ELEMENT[type] * cols) / TILE * TILE;
}

static void bench(int32_t tier) {
    bench_adamw(tier, STERNA_F32, rows_of_state(tier, STERNA_F32, 768), 768);
    for (int32_t type = STERNA_F32; type <= STERNA_I8; type++)
        bench_adamw(tier, type, rows_of_state(tier, type, 2048), 2048);
}

const check_family check_optimizer = {"optimizer", check, bench, 0};
