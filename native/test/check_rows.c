/*
 * check_rows.c: the row kernels. Each runs on two copies of one case, the tier on the first in two
 * slices and the reference on the second in one; all bytes of all buffers must agree. The results are
 * also held against float64, the gradients against central differences of the float64 forward.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dispatch/attention.h"
#include "dispatch/element.h"
#include "dispatch/exp.h"

/* ---------------------------------------------------------------- a case: every operand of every kernel */

#define VOCAB 7

struct rows_case {
    sterna_matrix x, up, dy, y, z, gain, angles, table, dtable;
    sterna_quantized q;
    float *inv_rms, *dgain, *max, *sum, *target;
    int32_t *ids, *targets;
    int64_t head_dim, length, first, vocab0, id0;
    float epsilon, factor;
    int32_t accumulate, direction;
};

/* The shape, stride and type are drawn; two copies of a case draw the same. */
static sterna_matrix new_matrix(int64_t rows, int64_t cols, int32_t type, enum check_place place) {
    sterna_matrix x = {NULL, rows, cols, cols + check_range(0, 1) * check_range(0, 17), type, 0};
    x.data = check_buffer(check_matrix_bytes(&x), place, (size_t)check_range(0, 3) * 4);
    return x;
}

static void *new_array(int64_t count, enum check_place place) {
    return check_buffer((size_t)count * 4, place, 0);
}

static int32_t some_type(void) {
    return (int32_t)check_range(STERNA_F32, STERNA_BF16);
}

static struct rows_case new_case(int64_t rows, int64_t cols, enum check_place place) {
    struct rows_case c = {.epsilon = 1e-5f, .factor = 0.125f};
    sterna_matrix *like_x[] = {&c.x, &c.up, &c.dy, &c.y, &c.z};
    for (int i = 0; i < 5; i++) *like_x[i] = new_matrix(rows, cols, some_type(), place);
    c.gain = new_matrix(1, cols, some_type(), place);
    c.head_dim = cols % 2 ? 2 : cols % 6 ? cols : cols / 3; /* an odd width has no heads: see rope */
    c.length = check_range(1, rows + 2);
    c.first = check_range(0, 3);
    c.angles = new_matrix(c.first + c.length, c.head_dim, some_type(), place);
    c.table = new_matrix(VOCAB, cols, some_type(), place);
    c.dtable = new_matrix(VOCAB, cols, STERNA_F32, place);
    c.q = (sterna_quantized){NULL, NULL, rows, cols, cols + check_range(0, 5)};
    c.q.codes = check_buffer((size_t)((rows - 1) * c.q.stride + cols), place, (size_t)check_range(0, 3));
    c.q.scales = new_array(rows, place);
    float **per_row[] = {&c.inv_rms, &c.max, &c.sum, &c.target};
    for (int i = 0; i < 4; i++) *per_row[i] = new_array(rows, place);
    c.dgain = new_array(cols, place);
    c.ids = new_array(rows, place);
    c.targets = new_array(rows, place);
    c.accumulate = (int32_t)check_range(0, 1);
    c.direction = check_range(0, 1) ? 1 : -1;
    c.vocab0 = check_range(0, 1) * cols;
    c.id0 = check_range(0, 2);
    return c;
}

/* Mostly normal; now and then zeros, subnormals and numbers far from 1. */
static float some_value(void) {
    static const float rare[] = {0.0f, -0.0f, 1e-40f, -1e-42f, 1e-12f, -1e9f, 88.0f, -88.5f, 103.0f, 1e12f};
    int64_t at = check_range(0, 255);
    return at < 10 ? rare[at] : check_normal();
}

static float some_value_or_none(void) {
    static const float none[] = {NAN, -__builtin_nanf("0x3fffff"), INFINITY, -INFINITY};
    return check_range(0, 63) ? some_value() : none[check_range(0, 3)];
}

static void fill_matrix(const sterna_matrix *x, float (*value)(void)) {
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t c = 0; c < x->cols; c++) sterna_put(x, r, c, value());
}

static void fill_case(const struct rows_case *c, float (*value)(void)) {
    const sterna_matrix *matrices[] = {&c->x, &c->up, &c->dy, &c->y, &c->z, &c->gain, &c->angles, &c->table, &c->dtable};
    for (int i = 0; i < 9; i++) fill_matrix(matrices[i], value);
    for (int64_t r = 0; r < c->x.rows; r++) {
        c->inv_rms[r] = 0.5f + fabsf(check_normal());
        int fresh = check_range(0, 1) == 0;
        c->max[r] = fresh ? -INFINITY : check_normal();
        c->sum[r] = fresh ? 0 : 1 + fabsf(check_normal());
        c->target[r] = check_normal();
        c->q.scales[r] = check_normal();
        c->ids[r] = (int32_t)check_range(0, VOCAB - 1);
        c->targets[r] = (int32_t)check_range(-1, 2 * c->x.cols - 1);
    }
}

/* Byte-equal, or both NaN: which NaN it is stays open. */
static int same_element(const sterna_matrix *a, const sterna_matrix *b, int64_t r, int64_t c) {
    float u = sterna_get(a, r, c), v = sterna_get(b, r, c);
    return memcmp(&u, &v, 4) == 0 || (u != u && v != v);
}

static void same_matrix(const char *what, const sterna_matrix *a, const sterna_matrix *b) {
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t c = 0; c < a->cols; c++)
            if (!same_element(a, b, r, c)) {
                check_fail("%s(%ld, %ld) = %.9g, reference %.9g", what, (long)r, (long)c, sterna_get(a, r, c), sterna_get(b, r, c));
                return;
            }
    for (int64_t r = 0; r + 1 < a->rows; r++) {
        size_t gap = (size_t)(r * a->stride + a->cols) * check_element_bytes(a->type);
        check_equal("gap between rows", (char *)a->data + gap, (char *)b->data + gap, (size_t)(a->stride - a->cols), check_element_bytes(a->type));
    }
}

static void same_floats(const char *what, float *a, float *b, int64_t count) {
    sterna_matrix x = {a, 1, count, count, STERNA_F32, 0}, y = {b, 1, count, count, STERNA_F32, 0};
    same_matrix(what, &x, &y);
}

static void same_case(const struct rows_case *a, const struct rows_case *b) {
    int64_t rows = a->x.rows, cols = a->x.cols;
    same_matrix("x", &a->x, &b->x);
    same_matrix("up", &a->up, &b->up);
    same_matrix("dy", &a->dy, &b->dy);
    same_matrix("y", &a->y, &b->y);
    same_matrix("z", &a->z, &b->z);
    same_matrix("gain", &a->gain, &b->gain);
    same_matrix("table", &a->table, &b->table);
    same_matrix("dtable", &a->dtable, &b->dtable);
    check_equal("codes", a->q.codes, b->q.codes, (size_t)((rows - 1) * a->q.stride + cols), 1);
    same_floats("scales", a->q.scales, b->q.scales, rows);
    same_floats("inv_rms", a->inv_rms, b->inv_rms, rows);
    same_floats("dgain", a->dgain, b->dgain, cols);
    same_floats("max", a->max, b->max, rows);
    same_floats("sum", a->sum, b->sum, rows);
    same_floats("target", a->target, b->target, rows);
}

/* ---------------------------------------------------------------- the kernels on a case */

static int32_t quantize(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_quantize(tier, &c->x, &c->q, begin, end);
}
static int32_t rmsnorm(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_rmsnorm(tier, &c->x, &c->gain, c->epsilon, &c->y, c->inv_rms, begin, end);
}
static int32_t rmsnorm_quantize(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_rmsnorm_quantize(tier, &c->x, &c->gain, c->epsilon, &c->q, c->inv_rms, begin, end);
}
static int32_t rmsnorm_backward(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_rmsnorm_backward(tier, &c->x, &c->gain, c->inv_rms, &c->dy, &c->z, c->accumulate, c->dgain, begin, end);
}
static int32_t rmsnorm_backward_in_place(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_rmsnorm_backward(tier, &c->x, &c->gain, c->inv_rms, &c->dy, &c->dy, 0, c->dgain, begin, end);
}
static int32_t rope(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_rope(tier, &c->x, c->head_dim, &c->angles, c->length, c->first, c->direction, begin, end);
}
static int32_t swiglu(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_swiglu(tier, &c->x, &c->up, &c->y, begin, end);
}
static int32_t swiglu_backward(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_swiglu_backward(tier, &c->x, &c->up, &c->dy, &c->y, &c->z, begin, end);
}
static int32_t swiglu_backward_in_place(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_swiglu_backward(tier, &c->x, &c->up, &c->dy, &c->x, &c->up, begin, end);
}
static int32_t add(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_add(tier, &c->x, &c->y, begin, end);
}
static int32_t copy(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_copy(tier, &c->x, &c->y, begin, end);
}
static int32_t gather(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_gather(tier, &c->table, c->ids, &c->y, begin, end);
}
/* A slice is a range of ids. */
static int32_t scatter_add(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    sterna_matrix part = c->dtable;
    part.data = (float *)part.data + begin * part.stride;
    part.rows = end - begin;
    return sterna_scatter_add(tier, &c->dy, c->ids, c->id0 + begin, &part);
}
static int32_t cross_entropy(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_cross_entropy(tier, &c->x, c->vocab0, c->targets, c->max, c->sum, c->target, begin, end);
}
static int32_t cross_entropy_gradient(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    return sterna_cross_entropy_gradient(tier, &c->x, c->vocab0, c->targets, c->max, c->sum, c->factor, &c->y, begin, end);
}
/* The gradient over the logits: f32 as it stands, bf16 also in the front half of each row of f32. */
static int32_t cross_entropy_gradient_in_place(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end) {
    sterna_matrix gradient = c->x;
    if (c->x.type == STERNA_F32 && c->direction > 0) gradient.type = STERNA_BF16, gradient.stride *= 2;
    return sterna_cross_entropy_gradient(tier, &c->x, c->vocab0, c->targets, c->max, c->sum, c->factor, &gradient, begin, end);
}

#define AT(field) offsetof(struct rows_case, field)

/* What a kernel takes: its slice, and its matrices and float or int arrays by argument number. */
static const struct kernel {
    const char *name;
    int32_t (*run)(int32_t tier, const struct rows_case *c, int64_t begin, int64_t end);
    enum { ROWS, IDS } slice;
    int slice_argument;
    struct operand { int argument; size_t at; } matrices[5], arrays[5];
} KERNELS[] = {
    {"quantize", quantize, ROWS, 4, {{2, AT(x)}}, {{0, 0}}},
    {"rmsnorm", rmsnorm, ROWS, 7, {{2, AT(x)}, {3, AT(gain)}, {5, AT(y)}}, {{6, AT(inv_rms)}}},
    {"rmsnorm_quantize", rmsnorm_quantize, ROWS, 7, {{2, AT(x)}, {3, AT(gain)}}, {{6, AT(inv_rms)}}},
    {"rmsnorm_backward", rmsnorm_backward, ROWS, 9, {{2, AT(x)}, {3, AT(gain)}, {5, AT(dy)}, {6, AT(z)}}, {{4, AT(inv_rms)}, {8, AT(dgain)}}},
    {"rmsnorm_backward in place", rmsnorm_backward_in_place, ROWS, 9, {{2, AT(x)}}, {{0, 0}}},
    {"rope", rope, ROWS, 8, {{2, AT(x)}, {4, AT(angles)}}, {{0, 0}}},
    {"swiglu", swiglu, ROWS, 5, {{2, AT(x)}, {3, AT(up)}, {4, AT(y)}}, {{0, 0}}},
    {"swiglu_backward", swiglu_backward, ROWS, 7, {{2, AT(x)}, {3, AT(up)}, {4, AT(dy)}, {5, AT(y)}, {6, AT(z)}}, {{0, 0}}},
    {"swiglu_backward in place", swiglu_backward_in_place, ROWS, 7, {{2, AT(x)}}, {{0, 0}}},
    {"add", add, ROWS, 4, {{2, AT(x)}, {3, AT(y)}}, {{0, 0}}},
    {"copy", copy, ROWS, 4, {{2, AT(x)}, {3, AT(y)}}, {{0, 0}}},
    {"gather", gather, ROWS, 5, {{2, AT(table)}, {4, AT(y)}}, {{3, AT(ids)}}},
    {"scatter_add", scatter_add, IDS, 0, {{2, AT(dy)}}, {{3, AT(ids)}}},
    {"cross_entropy", cross_entropy, ROWS, 8, {{2, AT(x)}}, {{4, AT(targets)}, {5, AT(max)}, {6, AT(sum)}, {7, AT(target)}}},
    {"cross_entropy_gradient", cross_entropy_gradient, ROWS, 9, {{2, AT(x)}, {8, AT(y)}}, {{4, AT(targets)}, {5, AT(max)}, {6, AT(sum)}}},
    {"cross_entropy_gradient in place", cross_entropy_gradient_in_place, ROWS, 9, {{2, AT(x)}}, {{0, 0}}},
};
#define KERNEL_COUNT (sizeof KERNELS / sizeof *KERNELS)

static int64_t slice_limit(const struct kernel *k, const struct rows_case *c) {
    return k->slice == ROWS ? c->x.rows : VOCAB;
}

/* Whether a result is a sum over the slice: then the reference takes the same slices. */
static int sums_slices(const struct kernel *k) {
    return k->run == rmsnorm_backward || k->run == rmsnorm_backward_in_place;
}

/* ---------------------------------------------------------------- against the reference */

static void check_kernel(int32_t tier, const struct kernel *k, const struct rows_case *got, const struct rows_case *want) {
    int refuses = k->run == quantize || k->run == rmsnorm_quantize; /* what is not finite; see check_nonfinite */
    float (*value)(void) = refuses || check_range(0, 7) ? some_value : some_value_or_none;
    uint64_t seed = check_random();
    check_seed(seed);
    fill_case(got, value);
    check_seed(seed);
    fill_case(want, value);
    int64_t limit = slice_limit(k, got), cut = check_range(0, limit);
    CHECK(k->run(tier, got, cut, limit) == STERNA_OK);
    CHECK(k->run(tier, got, 0, cut) == STERNA_OK);
    if (sums_slices(k)) CHECK(k->run(STERNA_REFERENCE, want, cut, limit) == STERNA_OK);
    CHECK(k->run(STERNA_REFERENCE, want, 0, sums_slices(k) ? cut : limit) == STERNA_OK);
    same_case(got, want);
}

static void check_shape(int32_t tier, int64_t rows, int64_t cols, enum check_place place) {
    uint64_t seed = check_random();
    check_seed(seed);
    struct rows_case got = new_case(rows, cols, place);
    check_seed(seed);
    struct rows_case want = new_case(rows, cols, place);
    for (size_t i = 0; i < KERNEL_COUNT; i++) {
        check_case("%s, tier %d, %ld x %ld", KERNELS[i].name, tier, (long)rows, (long)cols);
        if (KERNELS[i].run != rope || cols % 2 == 0) check_kernel(tier, &KERNELS[i], &got, &want);
    }
    check_release();
}

/* ---------------------------------------------------------------- errors */

static void check_matrix_errors(int32_t tier, const struct kernel *k, struct rows_case *c, int i) {
    int argument = k->matrices[i].argument;
    sterna_matrix *x = (sterna_matrix *)((char *)c + k->matrices[i].at), good = *x;
    int64_t end = slice_limit(k, c);
    x->data = NULL;
    CHECK(k->run(tier, c, 0, end) == STERNA_STATUS(argument, STERNA_BAD_NULL));
    x->data = (char *)good.data + 1;
    CHECK(k->run(tier, c, 0, end) == STERNA_STATUS(argument, STERNA_BAD_ALIGNMENT));
    *x = good;
    x->type = STERNA_I8;
    CHECK(k->run(tier, c, 0, end) == STERNA_STATUS(argument, STERNA_BAD_TYPE));
    *x = good;
    x->stride = x->cols - 1;
    CHECK(k->run(tier, c, 0, end) == STERNA_STATUS(argument, STERNA_BAD_SHAPE));
    *x = good;
    x->rows = (int64_t)1 << 17, x->stride = (int64_t)1 << 40; /* 2^57 elements */
    CHECK(k->run(tier, c, 0, 0) == STERNA_STATUS(argument, STERNA_BAD_SHAPE));
    *x = good;
    if (i > 0) {
        x->cols++;
        x->stride++;
        CHECK(k->run(tier, c, 0, end) == STERNA_STATUS(argument, STERNA_BAD_SHAPE));
    }
    *x = good;
}

static void check_array_errors(int32_t tier, const struct kernel *k, struct rows_case *c, const struct operand *o) {
    char **array = (char **)((char *)c + o->at), *good = *array;
    *array = NULL;
    CHECK(k->run(tier, c, 0, slice_limit(k, c)) == STERNA_STATUS(o->argument, STERNA_BAD_NULL));
    *array = good + 2;
    CHECK(k->run(tier, c, 0, slice_limit(k, c)) == STERNA_STATUS(o->argument, STERNA_BAD_ALIGNMENT));
    *array = good;
}

static void check_slice_errors(int32_t tier, const struct kernel *k, const struct rows_case *c) {
    if (!k->slice_argument) return;
    int32_t bad_begin = STERNA_STATUS(k->slice_argument, STERNA_BAD_RANGE);
    int32_t bad_end = STERNA_STATUS(k->slice_argument + 1, STERNA_BAD_RANGE);
    int64_t limit = slice_limit(k, c);
    CHECK(k->run(tier, c, -1, 1) == bad_begin);
    CHECK(k->run(tier, c, limit + 1, limit + 1) == bad_begin);
    CHECK(k->run(tier, c, 0, -1) == bad_end);
    CHECK(k->run(tier, c, 2, 1) == bad_end);
    CHECK(k->run(tier, c, 0, limit + 1) == bad_end);
    CHECK(k->run(STERNA_TIERS, c, 0, limit) == STERNA_STATUS(1, STERNA_BAD_TIER));
    CHECK(k->run(tier, c, limit, limit) == STERNA_OK);
}

static void check_number_errors(int32_t tier, const struct rows_case *good) {
    struct rows_case c = *good;
    int64_t rows = c.x.rows;
    const float bad_epsilon[] = {0, -1, 1e-40f, NAN, INFINITY};
    for (int i = 0; i < 5; i++) {
        c.epsilon = bad_epsilon[i];
        CHECK(rmsnorm(tier, &c, 0, rows) == STERNA_STATUS(4, STERNA_BAD_RANGE));
        CHECK(rmsnorm_quantize(tier, &c, 0, rows) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    }
    c = *good;
    c.accumulate = 2;
    CHECK(rmsnorm_backward(tier, &c, 0, rows) == STERNA_STATUS(7, STERNA_BAD_RANGE));
    const int64_t bad_head_dim[] = {0, -2, 3, c.x.cols + 2};
    for (int i = 0; i < 4; i++) {
        c.head_dim = bad_head_dim[i];
        CHECK(rope(tier, &c, 0, rows) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    }
    c = *good;
    c.length = 0;
    CHECK(rope(tier, &c, 0, rows) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    c = *good;
    c.first = -1;
    CHECK(rope(tier, &c, 0, rows) == STERNA_STATUS(6, STERNA_BAD_RANGE));
    c.first = c.angles.rows;
    CHECK(rope(tier, &c, 0, rows) == STERNA_STATUS(6, STERNA_BAD_RANGE));
    c = *good;
    c.direction = 0;
    CHECK(rope(tier, &c, 0, rows) == STERNA_STATUS(7, STERNA_BAD_RANGE));
    c = *good;
    c.factor = NAN;
    CHECK(cross_entropy_gradient(tier, &c, 0, rows) == STERNA_STATUS(7, STERNA_BAD_RANGE));
    c.vocab0 = -1;
    CHECK(cross_entropy(tier, &c, 0, rows) == STERNA_STATUS(3, STERNA_BAD_RANGE));
    CHECK(cross_entropy_gradient(tier, &c, 0, rows) == STERNA_STATUS(3, STERNA_BAD_RANGE));
    c = *good;
    c.id0 = -1;
    CHECK(scatter_add(tier, &c, 0, VOCAB) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    c = *good;
    c.dtable.type = STERNA_BF16;
    CHECK(scatter_add(tier, &c, 0, VOCAB) == STERNA_STATUS(5, STERNA_BAD_TYPE));
    c.dtable = good->dtable;
    c.dtable.cols--;
    CHECK(scatter_add(tier, &c, 0, VOCAB) == STERNA_STATUS(5, STERNA_BAD_SHAPE));
}

static void check_quantized_errors(int32_t tier, const struct rows_case *good) {
    int32_t (*const run[])(int32_t, const struct rows_case *, int64_t, int64_t) = {quantize, rmsnorm_quantize};
    const int argument[] = {3, 5};
    for (int i = 0; i < 2; i++) {
        struct rows_case c = *good;
        c.q.codes = NULL;
        CHECK(run[i](tier, &c, 0, 1) == STERNA_STATUS(argument[i], STERNA_BAD_NULL));
        c.q = good->q;
        c.q.scales = (float *)((char *)c.q.scales + 2);
        CHECK(run[i](tier, &c, 0, 1) == STERNA_STATUS(argument[i], STERNA_BAD_ALIGNMENT));
        c.q = good->q;
        c.q.stride = c.q.cols - 1;
        CHECK(run[i](tier, &c, 0, 1) == STERNA_STATUS(argument[i], STERNA_BAD_SHAPE));
        c.q = good->q;
        c.q.rows++;
        CHECK(run[i](tier, &c, 0, 1) == STERNA_STATUS(argument[i], STERNA_BAD_SHAPE));
        c.x.rows = c.q.rows = (int64_t)1 << 17;
        CHECK(run[i](tier, &c, 0, 0) == STERNA_OK);
        c.q.stride = (int64_t)1 << 40; /* 2^57 elements */
        CHECK(run[i](tier, &c, 0, 0) == STERNA_STATUS(argument[i], STERNA_BAD_SHAPE));
    }
}

/* An id or a target that names nothing is found before anything is written. */
static void check_bad_ids(int32_t tier, const struct rows_case *c) {
    int64_t last = c->x.rows - 1;
    const int32_t id = c->ids[last], target = c->targets[last], bad_id[] = {-1, VOCAB};
    for (int i = 0; i < 2; i++) {
        c->ids[last] = bad_id[i];
        CHECK(gather(tier, c, 0, last + 1) == STERNA_STATUS(3, STERNA_BAD_VALUE));
    }
    c->targets[last] = -2;
    CHECK(cross_entropy(tier, c, 0, last + 1) == STERNA_STATUS(4, STERNA_BAD_VALUE));
    CHECK(cross_entropy_gradient(tier, c, 0, last + 1) == STERNA_STATUS(4, STERNA_BAD_VALUE));
    c->ids[last] = id;
    c->targets[last] = target;
}

/* A gain out of range writes nothing. */
static void check_bad_gains(int32_t tier, const struct rows_case *c) {
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 2e18f, -2e18f};
    for (int i = 0; i < 6; i++) {
        int64_t col = check_range(0, c->x.cols - 1);
        float gain = sterna_get(&c->gain, 0, col);
        sterna_put(&c->gain, 0, col, bad[i]);
        CHECK(rmsnorm_quantize(tier, c, 0, c->x.rows) == STERNA_STATUS(3, STERNA_NONFINITE));
        sterna_put(&c->gain, 0, col, gain);
    }
}

/* A NaN or an infinity anywhere in the slice. */
static void check_nonfinite(int32_t tier, const struct rows_case *c) {
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 4; i++)
        for (int64_t r = 0; r < c->x.rows; r++) {
            int64_t col = check_range(0, c->x.cols - 1);
            float x = sterna_get(&c->x, r, col);
            sterna_put(&c->x, r, col, bad[i]);
            CHECK(quantize(tier, c, 0, c->x.rows) == STERNA_STATUS(2, STERNA_NONFINITE));
            CHECK(rmsnorm_quantize(tier, c, 0, c->x.rows) == STERNA_STATUS(2, STERNA_NONFINITE));
            sterna_put(&c->x, r, col, x);
        }
}

static void check_errors(int32_t tier) {
    uint64_t seed = check_random();
    check_seed(seed);
    struct rows_case c = new_case(3, 24, AGAINST_END);
    check_seed(seed);
    struct rows_case untouched = new_case(3, 24, AGAINST_END);
    check_seed(seed);
    fill_case(&c, check_normal);
    check_seed(seed);
    fill_case(&untouched, check_normal);
    memset(c.dgain, 0, (size_t)c.x.cols * 4); /* as an empty slice leaves it */
    memset(untouched.dgain, 0, (size_t)c.x.cols * 4);
    for (size_t k = 0; k < KERNEL_COUNT; k++) {
        check_case("%s, tier %d: errors", KERNELS[k].name, tier);
        for (int i = 0; i < 5 && KERNELS[k].matrices[i].argument; i++) check_matrix_errors(tier, &KERNELS[k], &c, i);
        for (int i = 0; i < 5 && KERNELS[k].arrays[i].argument; i++) check_array_errors(tier, &KERNELS[k], &c, &KERNELS[k].arrays[i]);
        check_slice_errors(tier, &KERNELS[k], &c);
    }
    check_case("numbers out of range, tier %d", tier);
    check_number_errors(tier, &c);
    check_quantized_errors(tier, &c);
    check_bad_ids(tier, &c);
    check_bad_gains(tier, &c);
    same_case(&c, &untouched);
    check_case("NaN and infinity, tier %d", tier);
    check_nonfinite(tier, &c);
    check_release();
}

/* ---------------------------------------------------------------- against float64 */

/* Without gaps and aligned as tensors are, for the benches too. */
static sterna_matrix plain_matrix(int64_t rows, int64_t cols, int32_t type) {
    return (sterna_matrix){check_buffer((size_t)(rows * cols) * check_element_bytes(type), AGAINST_START, 0), rows, cols, cols, type, 0};
}

/* x of a type, results of another, all else f32. */
static struct rows_case plain_case(int64_t rows, int64_t cols, int64_t head_dim, int32_t type, int32_t result) {
    struct rows_case c = {.epsilon = 1e-5f, .factor = 0.125f, .head_dim = head_dim, .length = rows, .first = 2, .direction = 1};
    c.x = plain_matrix(rows, cols, type);
    c.up = plain_matrix(rows, cols, STERNA_F32);
    c.dy = plain_matrix(rows, cols, STERNA_F32);
    c.y = plain_matrix(rows, cols, result);
    c.z = plain_matrix(rows, cols, result);
    c.gain = plain_matrix(1, cols, STERNA_F32);
    c.angles = plain_matrix(c.first + rows, c.head_dim, STERNA_F32);
    c.table = c.dtable = plain_matrix(VOCAB, cols, STERNA_F32);
    c.q = (sterna_quantized){check_buffer((size_t)(rows * cols), AGAINST_START, 0), new_array(rows, AGAINST_END), rows, cols, cols};
    float **per_row[] = {&c.inv_rms, &c.max, &c.sum, &c.target};
    for (int i = 0; i < 4; i++) *per_row[i] = new_array(rows, AGAINST_END);
    c.dgain = new_array(cols, AGAINST_START);
    c.ids = new_array(rows, AGAINST_END);
    c.targets = new_array(rows, AGAINST_END);
    fill_case(&c, check_normal);
    return c;
}

/* |got - want| <= tolerance * (|want| + scale) */
static void near(const char *what, double got, double want, double tolerance, double scale) {
    if (!(fabs(got - want) <= tolerance * (fabs(want) + scale)))
        check_fail("%s = %.9g, float64 gives %.9g", what, got, want);
}

static double mean_square(const sterna_matrix *x, int64_t r) {
    double sum = 0;
    for (int64_t c = 0; c < x->cols; c++) sum += (double)sterna_get(x, r, c) * sterna_get(x, r, c);
    return sum / (double)x->cols;
}

static void quantize_in_f64(int32_t tier, const struct rows_case *c) {
    CHECK(quantize(tier, c, 0, c->x.rows) == STERNA_OK);
    for (int64_t r = 0; r < c->x.rows; r++) {
        double largest = 1e-5;
        for (int64_t i = 0; i < c->x.cols; i++) largest = fmax(largest, fabs(sterna_get(&c->x, r, i)));
        near("scale", c->q.scales[r], largest / 127, 2e-7, 0);
        for (int64_t i = 0; i < c->x.cols; i++) {
            double step = 127 * sterna_get(&c->x, r, i) / largest, code = c->q.codes[r * c->q.stride + i];
            CHECK(fabs(code) <= 127 && fabs(code - step) <= 0.5 + 2e-5); /* 127 times two roundings of 2^-24 */
        }
    }
}

/* Codes and scales of the RMSNorm in float64. */
static void rmsnorm_quantize_in_f64(int32_t tier, const struct rows_case *c) {
    CHECK(rmsnorm_quantize(tier, c, 0, c->x.rows) == STERNA_OK);
    for (int64_t r = 0; r < c->x.rows; r++) {
        double inverse = 1 / sqrt(mean_square(&c->x, r) + c->epsilon), largest = 1e-5;
        for (int64_t i = 0; i < c->x.cols; i++)
            largest = fmax(largest, inverse * fabs((double)sterna_get(&c->x, r, i) * sterna_get(&c->gain, 0, i)));
        near("inv_rms", c->inv_rms[r], inverse, 2e-6, 0);
        near("scale", c->q.scales[r], largest / 127, 2e-6, 0);
        for (int64_t i = 0; i < c->x.cols; i++) {
            double step = 127 * inverse * sterna_get(&c->x, r, i) * sterna_get(&c->gain, 0, i) / largest;
            CHECK(fabs(c->q.codes[r * c->q.stride + i] - step) <= 0.5 + 127 * 2e-6);
        }
    }
}

/* Squares that overflow leave nothing of a row, however large its products with the gain. */
static void rmsnorm_quantize_beyond_squares(int32_t tier, const struct rows_case *c) {
    for (int64_t i = 0; i < c->x.cols; i++) {
        sterna_put(&c->x, 1, i, i % 2 ? 1e38f : -1e30f);
        sterna_put(&c->gain, 0, i, 1e18f);
    }
    CHECK(rmsnorm_quantize(tier, c, 0, c->x.rows) == STERNA_OK);
    CHECK(c->inv_rms[1] == 0 && c->q.scales[1] == 1e-5f / 127);
    for (int64_t i = 0; i < c->x.cols; i++) CHECK(c->q.codes[c->q.stride + i] == 0);
}

static void rmsnorm_in_f64(int32_t tier, const struct rows_case *c) {
    CHECK(rmsnorm(tier, c, 0, c->x.rows) == STERNA_OK);
    for (int64_t r = 0; r < c->x.rows; r++) {
        double inverse = 1 / sqrt(mean_square(&c->x, r) + c->epsilon);
        near("inv_rms", c->inv_rms[r], inverse, 2e-6, 0);
        for (int64_t i = 0; i < c->x.cols; i++)
            near("y", sterna_get(&c->y, r, i), sterna_get(&c->x, r, i) * inverse * sterna_get(&c->gain, 0, i), 2e-6, 0);
    }
}

/* sum_i dy_i y_i of row r of the RMSNorm, with x_at moved by `move` */
static double norm_objective(const struct rows_case *c, int64_t r, int64_t at, double move) {
    double x = sterna_get(&c->x, r, at), square = mean_square(&c->x, r) * (double)c->x.cols, sum = 0;
    square += (x + move) * (x + move) - x * x;
    for (int64_t i = 0; i < c->x.cols; i++)
        sum += sterna_get(&c->dy, r, i) * (sterna_get(&c->x, r, i) + (i == at ? move : 0)) * sterna_get(&c->gain, 0, i);
    return sum / sqrt(square / (double)c->x.cols + c->epsilon);
}

static void rmsnorm_backward_in_f64(int32_t tier, const struct rows_case *c) {
    CHECK(rmsnorm(tier, c, 0, c->x.rows) == STERNA_OK);
    CHECK(rmsnorm_backward(tier, c, 0, c->x.rows) == STERNA_OK);
    const double h = 1e-4;
    for (int64_t i = 0; i < c->x.cols; i++) {
        double dgain = 0;
        for (int64_t r = 0; r < c->x.rows; r++) {
            double slope = (norm_objective(c, r, i, h) - norm_objective(c, r, i, -h)) / (2 * h);
            near("dx", sterna_get(&c->z, r, i), slope, 1e-5, 1);
            dgain += (double)sterna_get(&c->dy, r, i) * sterna_get(&c->x, r, i) / sqrt(mean_square(&c->x, r) + c->epsilon);
        }
        near("dgain", c->dgain[i], dgain, 1e-5, 1);
    }
}

/* Turning by true angles keeps lengths; turning back restores. */
static void rope_in_f64(int32_t tier, struct rows_case *c) {
    int64_t half = c->head_dim / 2;
    for (int64_t p = 0; p < c->angles.rows; p++)
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)p * pow(1e4, -(double)i / (double)half);
            sterna_put(&c->angles, p, i, (float)cos(angle));
            sterna_put(&c->angles, p, half + i, (float)sin(angle));
        }
    CHECK(sterna_copy(tier, &c->x, &c->y, 0, c->x.rows) == STERNA_OK);
    CHECK(rope(tier, c, 0, c->x.rows) == STERNA_OK);
    for (int64_t r = 0; r < c->x.rows; r++)
        for (int64_t col = 0; col < c->x.cols; col++) {
            int64_t i = col % c->head_dim % half, low = col - col % c->head_dim + i;
            double angle = (double)(c->first + r) * pow(1e4, -(double)i / (double)half);
            double a = sterna_get(&c->y, r, low), b = sterna_get(&c->y, r, low + half);
            double want = col == low ? a * cos(angle) - b * sin(angle) : b * cos(angle) + a * sin(angle);
            near("rope", sterna_get(&c->x, r, col), want, 1e-6, 4);
        }
    c->direction = -1;
    CHECK(rope(tier, c, 0, c->x.rows) == STERNA_OK);
    for (int64_t r = 0; r < c->x.rows; r++)
        for (int64_t i = 0; i < c->x.cols; i++) near("rope back", sterna_get(&c->x, r, i), sterna_get(&c->y, r, i), 1e-6, 4);
}

static double silu(double a) {
    return a / (1 + exp(-a));
}

static void swiglu_in_f64(int32_t tier, const struct rows_case *c) {
    CHECK(swiglu(tier, c, 0, c->x.rows) == STERNA_OK);
    for (int64_t r = 0; r < c->x.rows; r++)
        for (int64_t i = 0; i < c->x.cols; i++)
            near("swiglu", sterna_get(&c->y, r, i), silu(sterna_get(&c->x, r, i)) * sterna_get(&c->up, r, i), 1e-6, 0);
    CHECK(swiglu_backward(tier, c, 0, c->x.rows) == STERNA_OK);
    const double h = 1e-4;
    for (int64_t r = 0; r < c->x.rows; r++)
        for (int64_t i = 0; i < c->x.cols; i++) {
            double a = sterna_get(&c->x, r, i), b = sterna_get(&c->up, r, i), d = sterna_get(&c->dy, r, i);
            near("dgate", sterna_get(&c->y, r, i), d * b * (silu(a + h) - silu(a - h)) / (2 * h), 2e-6, 1);
            near("dup", sterna_get(&c->z, r, i), d * silu(a), 1e-6, 0);
        }
}

/* Two chunks of vocabulary: log-sum-exp and the gradient over both. */
static void cross_entropy_in_f64(int32_t tier, struct rows_case *c) {
    int64_t cols = c->x.cols;
    for (int64_t r = 0; r < c->x.rows; r++) {
        c->max[r] = -INFINITY;
        c->sum[r] = 0;
        c->targets[r] = (int32_t)check_range(0, 2 * cols - 1);
    }
    c->targets[0] = -1;
    c->targets[1] = (int32_t)(2 * cols), c->target[1] = 0; /* beyond the vocabulary: nothing tells, target stays */
    float *const max = c->max, *const sum = c->sum, *const target = c->target;
    CHECK(sterna_cross_entropy(tier, &c->x, 0, c->targets, max, sum, target, 0, c->x.rows) == STERNA_OK);
    CHECK(sterna_cross_entropy(tier, &c->up, cols, c->targets, max, sum, target, 0, c->x.rows) == STERNA_OK);
    CHECK(sterna_cross_entropy_gradient(tier, &c->up, cols, c->targets, max, sum, c->factor, &c->y, 0, c->x.rows) == STERNA_OK);
    for (int64_t r = 0; r < c->x.rows; r++) {
        double denominator = 0;
        for (int64_t i = 0; i < cols; i++) denominator += exp(sterna_get(&c->x, r, i)) + exp(sterna_get(&c->up, r, i));
        int64_t t = c->targets[r];
        if (t >= 0) {
            near("log-sum-exp", max[r] + log(sum[r]), log(denominator), 1e-6, 1);
            near("target", target[r], t < cols ? sterna_get(&c->x, r, t) : t < 2 * cols ? sterna_get(&c->up, r, t - cols) : 0, 0, 0);
        }
        for (int64_t i = 0; i < cols; i++) {
            double p = exp(sterna_get(&c->up, r, i)) / denominator;
            near("dlogit", sterna_get(&c->y, r, i), t < 0 ? 0 : (p - (t == cols + i)) * c->factor, 2e-6, 0.01);
        }
    }
}

static void rows_in_and_out_in_f64(int32_t tier, const struct rows_case *c) {
    sterna_matrix before = c->z;
    sterna_copy(tier, &c->y, &before, 0, c->x.rows);
    CHECK(add(tier, c, 0, c->x.rows) == STERNA_OK);
    for (int64_t r = 0; r < c->x.rows; r++)
        for (int64_t i = 0; i < c->x.cols; i++)
            near("add", sterna_get(&c->y, r, i), (double)sterna_get(&before, r, i) + sterna_get(&c->x, r, i), 1e-7, 0);
    CHECK(gather(tier, c, 0, c->x.rows) == STERNA_OK);
    for (int64_t r = 0; r < c->x.rows; r++)
        for (int64_t i = 0; i < c->x.cols; i++) CHECK(sterna_get(&c->y, r, i) == sterna_get(&c->table, c->ids[r], i));
    for (int64_t id = 0; id < VOCAB; id++) memset((float *)c->dtable.data + id * c->dtable.stride, 0, (size_t)c->x.cols * 4);
    CHECK(sterna_scatter_add(tier, &c->dy, c->ids, 0, &c->dtable) == STERNA_OK);
    for (int64_t id = 0; id < VOCAB; id++)
        for (int64_t i = 0; i < c->x.cols; i++) {
            double sum = 0;
            for (int64_t r = 0; r < c->x.rows; r++) sum += c->ids[r] == id ? sterna_get(&c->dy, r, i) : 0;
            near("scatter_add", sterna_get(&c->dtable, id, i), sum, 1e-6, 1);
        }
}

static void check_in_f64(int32_t tier) {
    static const char *const NAMES[] = {"quantize", "rmsnorm", "rmsnorm_backward", "rope", "swiglu", "cross_entropy", "add, gather, scatter_add",
                                        "rmsnorm_quantize", "rmsnorm_quantize of large squares"};
    for (int i = 0; i < 9; i++) {
        check_case("%s against float64, tier %d", NAMES[i], tier);
        struct rows_case c = plain_case(5, 92, 46, STERNA_F32, STERNA_F32);
        if (i == 0) quantize_in_f64(tier, &c);
        if (i == 1) rmsnorm_in_f64(tier, &c);
        if (i == 2) rmsnorm_backward_in_f64(tier, &c);
        if (i == 3) rope_in_f64(tier, &c);
        if (i == 4) swiglu_in_f64(tier, &c);
        if (i == 5) cross_entropy_in_f64(tier, &c);
        if (i == 6) rows_in_and_out_in_f64(tier, &c);
        if (i == 7) rmsnorm_quantize_in_f64(tier, &c);
        if (i == 8) rmsnorm_quantize_beyond_squares(tier, &c);
        check_release();
    }
}

/* ---------------------------------------------------------------- append */

/* A cache: `tokens` new ones behind `first` of at most `capacity` of each head, whose rows may lie by column. */
struct cache {
    int64_t tokens, heads, head_dim, capacity, first;
    int32_t by_column;
};

/* Where column c of row r stands. */
static int64_t cache_index(struct cache s, int64_t r, int64_t c, int64_t stride) {
    return s.by_column ? sterna_key_index(r, c, stride) : r * stride + c;
}

/* x, and as y what a kernel may write to; every head's rows but the new ones must stay as they are. */
static sterna_matrix float_matrix(int64_t rows, int64_t cols, int32_t type, float value(void)) {
    sterna_matrix x = {0, rows, cols, cols + check_range(0, 3), type, 0};
    x.data = check_buffer(check_matrix_bytes(&x), AGAINST_END, 0);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) sterna_put(&x, r, c, value());
    return x;
}

static void append_floats(int32_t tier, struct cache s, int32_t type, int32_t type_of_cache) {
    sterna_matrix x = float_matrix(s.tokens, s.heads * s.head_dim, type, check_normal);
    sterna_matrix y = float_matrix(s.heads * s.capacity, s.head_dim, type_of_cache, check_normal), before = y;
    before.data = memcpy(check_buffer(check_matrix_bytes(&y), AGAINST_END, 0), y.data, check_matrix_bytes(&y));
    CHECK(sterna_append(tier, &x, &y, s.first, s.by_column) == STERNA_OK);
    for (int64_t r = 0; r < y.rows; r++)
        for (int64_t c = 0; c < y.cols; c++) {
            int64_t token = r % s.capacity - s.first, is_new = token >= 0 && token < s.tokens, at = cache_index(s, r, c, y.stride);
            if (is_new) sterna_put(&before, at / y.stride, at % y.stride, sterna_get(&x, token, r / s.capacity * s.head_dim + c));
        }
    check_equal("cache", y.data, before.data, check_matrix_bytes(&y), 1);
    check_release();
}

/* What a head's columns become when they are quantized as a matrix of their own. */
static void append_codes(int32_t tier, struct cache s, int32_t type) {
    int64_t rows = s.heads * s.capacity;
    sterna_matrix x = float_matrix(s.tokens, s.heads * s.head_dim, type, check_normal);
    sterna_matrix head = float_matrix(s.tokens, s.head_dim, STERNA_F32, check_normal);
    sterna_quantized q = {check_buffer((size_t)(rows * s.head_dim), AGAINST_END, 0), check_buffer((size_t)rows * 4, AGAINST_END, 0),
                          rows, s.head_dim, s.head_dim};
    sterna_quantized want = {check_buffer((size_t)(s.tokens * s.head_dim), AGAINST_END, 0),
                             check_buffer((size_t)s.tokens * 4, AGAINST_END, 0), s.tokens, s.head_dim, s.head_dim};
    memset(q.codes, 99, (size_t)(rows * s.head_dim));
    for (int64_t r = 0; r < rows; r++) q.scales[r] = 99;
    CHECK(sterna_append_quantized(tier, &x, &q, s.first, s.by_column) == STERNA_OK);
    for (int64_t h = 0; h < s.heads; h++) {
        for (int64_t r = 0; r < s.tokens; r++)
            for (int64_t c = 0; c < s.head_dim; c++) sterna_put(&head, r, c, sterna_get(&x, r, h * s.head_dim + c));
        CHECK(sterna_quantize(STERNA_REFERENCE, &head, &want, 0, s.tokens) == STERNA_OK);
        for (int64_t r = 0; r < s.capacity; r++) {
            int64_t at = h * s.capacity + r, token = r - s.first, is_new = token >= 0 && token < s.tokens;
            CHECK(q.scales[at] == (is_new ? want.scales[token] : 99));
            for (int64_t c = 0; c < s.head_dim; c++)
                CHECK(q.codes[cache_index(s, at, c, q.stride)] == (is_new ? want.codes[token * s.head_dim + c] : 99));
        }
    }
    check_release();
}

static void append_errors(int32_t tier) {
    check_case("append: errors, tier %d", tier);
    sterna_matrix x = float_matrix(2, 12, STERNA_F32, check_normal), y = float_matrix(9, 4, STERNA_F32, check_normal);
    sterna_quantized q = {check_buffer(36, AGAINST_END, 0), check_buffer(36, AGAINST_END, 0), 9, 4, 4};
    CHECK(sterna_append(99, &x, &y, 0, 0) == STERNA_STATUS(1, STERNA_BAD_TIER));
    CHECK(sterna_append(tier, NULL, &y, 0, 0) == STERNA_STATUS(2, STERNA_BAD_NULL));
    CHECK(sterna_append(tier, &x, NULL, 0, 0) == STERNA_STATUS(3, STERNA_BAD_NULL));
    CHECK(sterna_append_quantized(tier, &x, NULL, 0, 0) == STERNA_STATUS(3, STERNA_BAD_NULL));
    for (int64_t first = -1; first <= 2; first += first < 1 ? 2 : 1) { /* a head has room for three tokens */
        int32_t want = first == 1 ? STERNA_OK : STERNA_STATUS(4, STERNA_BAD_RANGE);
        CHECK(sterna_append(tier, &x, &y, first, 0) == want);
        CHECK(sterna_append_quantized(tier, &x, &q, first, 0) == want);
    }
    sterna_put(&x, 1, 11, INFINITY);
    CHECK(sterna_append_quantized(tier, &x, &q, 0, 0) == STERNA_STATUS(2, STERNA_NONFINITE));
    for (int32_t by_column = -1; by_column <= 2; by_column++) { /* nine rows are no blocks */
        if (by_column == 0) continue;
        int32_t want = by_column == 1 ? STERNA_STATUS(3, STERNA_BAD_SHAPE) : STERNA_STATUS(5, STERNA_BAD_RANGE);
        CHECK(sterna_append(tier, &x, &y, 0, by_column) == want);
        CHECK(sterna_append_quantized(tier, &x, &q, 0, by_column) == want);
    }
    for (int64_t head_dim = MAX_HEAD_DIM; head_dim <= MAX_HEAD_DIM + 1; head_dim++) { /* the widest, and one that is wider */
        int32_t want = head_dim == MAX_HEAD_DIM ? STERNA_OK : STERNA_STATUS(3, STERNA_BAD_SHAPE);
        sterna_matrix token = float_matrix(1, head_dim, STERNA_F32, check_normal), cache = float_matrix(64, head_dim, STERNA_F32, check_normal);
        sterna_quantized codes = {check_buffer((size_t)(64 * head_dim), AGAINST_END, 0), check_buffer(64 * 4, AGAINST_END, 0), 64, head_dim, head_dim};
        CHECK(sterna_append(tier, &token, &cache, 63, 1) == want);
        CHECK(sterna_append_quantized(tier, &token, &codes, 63, 1) == want);
        CHECK(sterna_append(tier, &token, &cache, 63, 0) == STERNA_OK);
    }
    y.rows = q.rows = 8; /* not as many for each of three heads */
    CHECK(sterna_append(tier, &x, &y, 0, 0) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    CHECK(sterna_append_quantized(tier, &x, &q, 0, 0) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    y.rows = q.rows = 9, x.cols = 11; /* no whole heads */
    CHECK(sterna_append(tier, &x, &y, 0, 0) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    CHECK(sterna_append_quantized(tier, &x, &q, 0, 0) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    check_release();
}

static void check_append(int32_t tier) {
    for (int i = 0; i < 60; i++) {
        struct cache s = {check_range(1, 5), check_range(1, 4), check_range(1, 80), 0, check_range(0, 3), i / 4 % 2};
        if (s.by_column) s.first += check_range(0, 80);
        s.capacity = s.by_column ? (s.first + s.tokens + STERNA_KEY_BLOCK - 1) / STERNA_KEY_BLOCK * STERNA_KEY_BLOCK : s.first + s.tokens + check_range(0, 2);
        check_case("append%s: %ld tokens, %ld heads of %ld, %ld behind %ld, tier %d", s.by_column ? " by column" : "", (long)s.tokens, (long)s.heads, (long)s.head_dim,
                   (long)s.capacity, (long)s.first, tier);
        append_floats(tier, s, i % 2 ? STERNA_F32 : STERNA_BF16, i / 2 % 2 ? STERNA_F32 : STERNA_BF16);
        append_codes(tier, s, i % 2 ? STERNA_F32 : STERNA_BF16);
    }
    append_errors(tier);
}

/* ---------------------------------------------------------------- conversion and exp */

/* Every bf16 becomes f32 and back unchanged (a NaN becomes quiet); f32 goes to the nearest, ties to even. */
static void check_conversion(int32_t tier) {
    check_case("bf16, tier %d", tier);
    enum { COUNT = 65536 };
    uint16_t *all = check_buffer(COUNT * 2, AGAINST_END, 0), *back = check_buffer(COUNT * 2, AGAINST_END, 0);
    float *wide = check_buffer(COUNT * 4, AGAINST_END, 0);
    for (int i = 0; i < COUNT; i++) all[i] = (uint16_t)i;
    sterna_matrix b = {all, 1, COUNT, COUNT, STERNA_BF16, 0}, f = {wide, 1, COUNT, COUNT, STERNA_F32, 0}, b2 = b;
    b2.data = back;
    CHECK(sterna_copy(tier, &b, &f, 0, 1) == STERNA_OK && sterna_copy(tier, &f, &b2, 0, 1) == STERNA_OK);
    for (int i = 0; i < COUNT; i++) {
        int nan = (i & 0x7fff) > 0x7f80;
        if (back[i] != (nan ? i | 0x40 : i)) check_fail("bf16 %04x comes back as %04x", i, back[i]);
    }
    for (int i = 0; i < COUNT; i++) wide[i] = check_normal() * (float)(i % 7 ? 1 : 0x1p-130);
    for (int i = 0; i < COUNT; i += 5) wide[i] = 1 + (float)check_range(-512, 512) * 0x1p-9f; /* many ties */
    CHECK(sterna_copy(tier, &f, &b2, 0, 1) == STERNA_OK);
    for (int i = 0; i < COUNT; i++) {
        double got = sterna_f32_of_bf16(back[i]), error = fabs(got - wide[i]);
        double below = fabs(sterna_f32_of_bf16((uint16_t)(back[i] - 1)) - (double)wide[i]);
        double above = fabs(sterna_f32_of_bf16((uint16_t)(back[i] + 1)) - (double)wide[i]);
        int zero = (back[i] & 0x7fff) == 0; /* its neighbour below is another sign */
        if (error > above || (!zero && error > below) || (error == above && back[i] & 1))
            check_fail("%.9g rounds to %.9g", wide[i], got);
    }
    check_release();
}

/* At most 2 ulp, and 2 units of the least subnormal below the normal numbers. */
static void check_exp(void) {
    check_case("exp");
    CHECK(sterna_exp(0) == 1 && sterna_exp(-INFINITY) == 0 && sterna_exp(INFINITY) == INFINITY && sterna_exp(NAN) != sterna_exp(NAN));
    CHECK(sterna_exp(88.8f) == INFINITY && sterna_exp(-104) == 0 && isfinite(sterna_exp(88.7f)));
    for (int i = 0; i < 400000; i++) {
        float x = i % 2 ? check_normal() : (float)check_range(-103000, 88700) * 1e-3f;
        double want = exp(x), ulp = fmax(ldexp(1, ilogb(want) - 23), 0x1p-149);
        if (!(fabs(sterna_exp(x) - want) <= 2 * ulp)) check_fail("exp(%.9g) = %.9g, want %.9g", x, sterna_exp(x), want);
    }
}

static void check(int32_t tier) {
    for (int place = AGAINST_END; place <= AGAINST_START; place++) {
        for (int64_t cols = 1; cols <= 200; cols++) check_shape(tier, check_range(1, 4), cols, place);
        for (int64_t i = 0; i < 10; i++) check_shape(tier, check_range(1, 4), check_range(201, 1500), place);
    }
    check_shape(tier, 600, 6, AGAINST_END); /* the longer slice has more rows than a kernel remembers something of */
    check_errors(tier);
    check_append(tier);
    check_in_f64(tier);
    check_conversion(tier);
    if (tier == STERNA_REFERENCE) check_exp();
}

/* ---------------------------------------------------------------- bench */

struct bench {
    const struct kernel *kernel;
    const struct rows_case *c;
    int32_t tier;
};

static void run_bench(void *argument) {
    struct bench *b = argument;
    if (b->kernel->run(b->tier, b->c, 0, slice_limit(b->kernel, b->c)) != STERNA_OK) {
        fprintf(stderr, "checkkern: %s failed in its bench\n", b->kernel->name);
        exit(3);
    }
}

/* Bytes read and written once, by kernel: what the memory must carry at least. */
static double moved_bytes(const struct kernel *k, const struct rows_case *c) {
    double elements = (double)(c->x.rows * c->x.cols), table = 4 * (double)(VOCAB * c->x.cols);
    double x = elements * (double)check_element_bytes(c->x.type), y = elements * (double)check_element_bytes(c->y.type);
    double f32 = 4 * elements;
    if (k->run == gather) return y + table;
    if (k->run == scatter_add) return f32 + 2 * table;
    if (k->run == quantize || k->run == rmsnorm_quantize) return x + elements;
    if (k->run == cross_entropy) return x;
    if (k->run == rope) return 2 * x;
    if (k->run == rmsnorm || k->run == copy || k->run == cross_entropy_gradient) return x + y;
    if (k->run == add) return x + 2 * y;
    if (k->run == swiglu_backward) return x + 2 * f32 + 2 * y;
    return x + f32 + y; /* two in, one out */
}

static void bench_case(int32_t tier, struct rows_case *c, const char *types) {
    char shape[32];
    snprintf(shape, sizeof shape, "%ldx%ld", (long)c->x.rows, (long)c->x.cols);
    for (size_t k = 0; k < KERNEL_COUNT; k++) {
        if (strstr(KERNELS[k].name, "in place")) continue;
        fill_case(c, check_normal);
        struct bench b = {&KERNELS[k], c, tier};
        double seconds = check_time(run_bench, &b, 0.05);
        check_row(KERNELS[k].name, types, shape, tier, moved_bytes(&KERNELS[k], c), seconds, "GB/s", 0);
    }
    check_release();
}

/* From the caches and from memory. The types are those of training: within a block, from it, and of what is kept. */
static void bench(int32_t tier) {
    static const int64_t SHAPES[][2] = {{64, 288}, {256, 768}, {1024, 2048}};
    static const struct { int32_t x, y; const char *name; } TYPES[] = {
        {STERNA_F32, STERNA_F32, "f32"}, {STERNA_F32, STERNA_BF16, "to bf16"}, {STERNA_BF16, STERNA_BF16, "bf16"}};
    for (int s = 0; s < 3; s++)
        for (int t = 0; t < 3; t++) {
            int64_t cols = SHAPES[s][1];
            struct rows_case c = plain_case(SHAPES[s][0], cols, cols % 48 ? 64 : 48, TYPES[t].x, TYPES[t].y);
            bench_case(tier, &c, TYPES[t].name);
        }
}

const check_family check_rows = {"rows", check, bench, 0};
