/*
 * check_gemm.c: float products against float64. An element of C = A B over K terms may differ by
 *
 *     (K + 8) 2^-24 S      f32: K products summed in any order, a scale folded in, C added
 *     (2^-7 + 2^-16) S     operands rounded to bf16 (2^-8 each), where the tier may
 *     2^-16 (1 + 2^-6) P   a gradient rounded to 16-bit fixed point, where it may: half of 1 / 32,767 of the largest
 *     2^-8 |C|             C rounded to bf16
 *
 * with S = |C before| + sum |a| |b|, P = max |a| sum |b|, where a has the scale that it meets; and the bytes may not depend on how rows are cut into slices.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dispatch/element.h"
#include "packed.h"
#include "tier_traits.h"

enum operation { GEMM, INPUT_GRADIENT, WEIGHT_GRADIENT };
static const char *const NAMES[] = {"gemm", "input_gradient", "weight_gradient"};

/* A product C (m, n) = A (m, k) B (k, n) and the operands its operation takes: gemm a, b; input_gradient
 * a = dy and w; weight_gradient a = dy and q. */
struct product {
    enum operation operation;
    int64_t m, n, k;
    int32_t flags;
    sterna_matrix a, b, c;
    sterna_packed w;
    sterna_quantized q;
};

static int32_t run(int32_t tier, struct product *p, int64_t row0, int64_t row1) {
    if (p->operation == GEMM) return sterna_gemm(tier, &p->a, &p->b, &p->c, p->flags, row0, row1, check_scratch());
    if (p->operation == INPUT_GRADIENT)
        return sterna_input_gradient(tier, &p->a, &p->w, &p->c, p->flags, row0, row1, check_scratch());
    sterna_matrix slice = p->c; /* dw's first row is row0 */
    slice.data = (float *)p->c.data + row0 * p->c.stride;
    slice.rows = row1 - row0;
    return sterna_weight_gradient(tier, &p->a, &p->q, &slice, p->flags, row0, row1, check_scratch());
}

/* ---------------------------------------------------------------- operands */

static enum check_place any_place(void) {
    return check_range(0, 1) ? AGAINST_END : AGAINST_START;
}

static sterna_matrix any_matrix(int64_t rows, int64_t cols, int32_t type) {
    size_t size = check_element_bytes(type);
    int64_t stride = cols + check_range(0, 3) * check_range(0, 5);
    sterna_matrix x = {0, rows, cols, stride, type, 0};
    x.data = check_buffer((size_t)(rows ? (rows - 1) * stride + cols : 0) * size, any_place(), size * (size_t)check_range(0, 3));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) sterna_put(&x, r, c, check_normal());
    return x;
}

static float *any_scales(int64_t count) {
    float *scales = check_buffer((size_t)count * 4, any_place(), 0);
    for (int64_t i = 0; i < count; i++) scales[i] = expf(check_normal());
    return scales;
}

static sterna_packed any_packed(int64_t rows, int64_t cols, int32_t grid, int32_t scaling) {
    int64_t group = scaling == STERNA_PER_GROUP ? STERNA_BLOCK * check_range(1, 4) : 0;
    sterna_packed w = {0, 0, rows, cols, grid, scaling, group};
    w.codes = check_buffer(packed_bytes(&w), any_place(), (size_t)check_range(0, 7));
    random_codes(&w);
    w.scales = any_scales(scale_count(&w));
    return w;
}

static sterna_quantized any_quantized(int64_t rows, int64_t cols) {
    int64_t stride = cols + check_range(0, 3) * check_range(0, 5);
    sterna_quantized q = {0, any_scales(rows), rows, cols, stride};
    q.codes = check_buffer((size_t)(rows ? (rows - 1) * stride + cols : 0), any_place(), (size_t)check_range(0, 7));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) q.codes[r * stride + c] = (int8_t)check_range(-127, 127);
    return q;
}

static int32_t any_type(void) {
    return check_range(0, 1) ? STERNA_F32 : STERNA_BF16;
}

static struct product any_gemm(int64_t m, int64_t n, int64_t k) {
    struct product p = {GEMM, m, n, k, (int32_t)check_range(0, 31), .w = {0}};
    p.a = p.flags & STERNA_TRANSPOSE_A ? any_matrix(k, m, any_type()) : any_matrix(m, k, any_type());
    p.b = p.flags & STERNA_TRANSPOSE_B ? any_matrix(n, k, any_type()) : any_matrix(k, n, any_type());
    p.c = any_matrix(m, n, any_type());
    return p;
}

static int32_t any_gradient_flags(void) {
    return (check_range(0, 1) ? STERNA_ACCUMULATE : 0) | (check_range(0, 1) ? STERNA_ALLOW_INT16 : 0);
}

static struct product any_input_gradient(int64_t m, int64_t n, int64_t k, int32_t grid) {
    struct product p = {INPUT_GRADIENT, m, n, k, any_gradient_flags(), .w = {0}};
    p.a = any_matrix(m, k, any_type());
    p.w = any_packed(k, n, grid, (int32_t)check_range(STERNA_PER_TENSOR, STERNA_PER_GROUP));
    p.c = any_matrix(m, n, any_type());
    return p;
}

static struct product any_weight_gradient(int64_t m, int64_t n, int64_t k) {
    struct product p = {WEIGHT_GRADIENT, m, n, k, any_gradient_flags(), .w = {0}};
    p.a = any_matrix(k, m, any_type());
    p.q = any_quantized(k, n);
    p.c = any_matrix(m, n, STERNA_F32);
    return p;
}

/* ---------------------------------------------------------------- float64 */

static double element_a(const struct product *p, int64_t i, int64_t r) {
    int across = p->operation == WEIGHT_GRADIENT || p->flags & STERNA_TRANSPOSE_A;
    return across ? sterna_get(&p->a, r, i) : sterna_get(&p->a, i, r);
}

static double element_b(const struct product *p, int64_t r, int64_t j) {
    if (p->operation == GEMM) return p->flags & STERNA_TRANSPOSE_B ? sterna_get(&p->b, j, r) : sterna_get(&p->b, r, j);
    if (p->operation == WEIGHT_GRADIENT) return (double)p->q.codes[r * p->q.stride + j] * p->q.scales[r];
    double scale = sterna_row_scales(&p->w, r)[j / sterna_group_cols(&p->w)];
    return scale * code_at(&p->w, r, j);
}

/* The scale in element (r, j) of B, which a meets before it is rounded. */
static double scale_in_b(const struct product *p, int64_t r, int64_t j) {
    if (p->operation == GEMM) return 1;
    if (p->operation == WEIGHT_GRADIENT) return p->q.scales[r];
    return sterna_row_scales(&p->w, r)[j / sterna_group_cols(&p->w)];
}

static void *allocate(size_t bytes) {
    void *p = calloc(1, bytes + 1);
    if (!p) abort();
    return p;
}

/* What rounding adds to the bound of an element, relative to its S, to the largest |a| times the sum of |b|, and to the
 * largest |b| times the sum of |a|. */
struct rounding {
    double of_s, of_a, of_b;
};

/* Few rows, which read B where it stands, are not rounded. */
static int takes_gemv(const struct product *p) {
    return p->operation == GEMM && p->m <= 8 && p->flags & STERNA_TRANSPOSE_B && !(p->flags & STERNA_TRANSPOSE_A)
        && p->k <= STERNA_MAX_COLS;
}

static int rounds_to_int16(int32_t tier, const struct product *p) {
    return TIER_TRAITS[tier].int16_products && !takes_gemv(p) && p->flags & STERNA_ALLOW_INT16;
}

static int rounds_to_bf16(int32_t tier, const struct product *p) {
    return TIER_TRAITS[tier].bf16_products && (p->operation != GEMM || p->flags & STERNA_ALLOW_BF16);
}

static struct rounding rounding_of(int32_t tier, const struct product *p) {
    int bf16 = rounds_to_bf16(tier, p);
    int int16 = rounds_to_int16(tier, p), both = int16 && p->operation == GEMM;
    return (struct rounding){(double)(p->k + 8) * 0x1p-24 + (bf16 ? 0x1p-7 + 0x1p-16 : 0),
                             (both ? 0x1p-14 : int16 ? 0x1p-16 : 0) * (1 + 0x1p-6), (both ? 0x1p-12 : 0) * (1 + 0x1p-6)};
}

/* Values (m, n) of C and how far each may be off; c (m, n) is C before. */
static void compute(int32_t tier, const struct product *p, const float *c, double *value, double *bound) {
    struct rounding rounding = rounding_of(tier, p);
    double *b = allocate((size_t)(p->k * p->n) * sizeof *b), *largest = allocate((size_t)p->n * sizeof *largest);
    double *codes = allocate((size_t)p->n * sizeof *codes); /* sum |b| without scales */
    double *largest_b = allocate((size_t)p->n * sizeof *largest_b);
    for (int64_t r = 0; r < p->k; r++)
        for (int64_t j = 0; j < p->n; j++) {
            b[r * p->n + j] = element_b(p, r, j);
            codes[j] += fabs(b[r * p->n + j]) / scale_in_b(p, r, j);
            largest_b[j] = fmax(largest_b[j], fabs(b[r * p->n + j]));
        }
    for (int64_t i = 0; i < p->m; i++) {
        double *sum = value + i * p->n, *mass = bound + i * p->n, sum_a = 0;
        for (int64_t j = 0; j < p->n; j++) {
            sum[j] = p->flags & STERNA_ACCUMULATE ? c[i * p->n + j] : 0;
            mass[j] = fabs(sum[j]);
            largest[j] = 0;
        }
        for (int64_t r = 0; r < p->k; r++) {
            double a = element_a(p, i, r);
            sum_a += fabs(a);
            for (int64_t j = 0; j < p->n; j++) {
                sum[j] += a * b[r * p->n + j];
                mass[j] += fabs(a * b[r * p->n + j]);
                if (rounding.of_a > 0) largest[j] = fmax(largest[j], fabs(a * scale_in_b(p, r, j)));
            }
        }
        for (int64_t j = 0; j < p->n; j++)
            mass[j] = mass[j] * rounding.of_s + largest[j] * codes[j] * rounding.of_a
                + largest_b[j] * (sum_a + largest[j] * rounding.of_a * (double)p->k) * rounding.of_b
                + (p->c.type == STERNA_BF16 ? 0x1p-8 * fabs(sum[j]) : 0) + 0x1p-120;
    }
    free(b), free(largest), free(codes), free(largest_b);
}

/* ---------------------------------------------------------------- one product */

static void read_c(const struct product *p, float *values) {
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) values[i * p->n + j] = sterna_get(&p->c, i, j);
}

static void write_c(const struct product *p, const float *values) {
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) sterna_put(&p->c, i, j, values[i * p->n + j]);
}

/* Rows in slices of random heights, the later ones first. */
static void run_in_slices(int32_t tier, struct product *p) {
    for (int64_t end = p->m; end > 0;) {
        int64_t begin = end - check_range(1, end);
        CHECK(run(tier, p, begin, end) == STERNA_OK);
        end = begin;
    }
}

/* One slice writes its own rows alone. */
static void run_one_slice(int32_t tier, struct product *p, const float *before, const float *after) {
    int64_t begin = check_range(0, p->m), end = check_range(begin, p->m);
    float *got = allocate((size_t)(p->m * p->n) * sizeof *got), *want = allocate((size_t)(p->m * p->n) * sizeof *want);
    write_c(p, before);
    CHECK(run(tier, p, begin, end) == STERNA_OK);
    read_c(p, got);
    memcpy(want, before, (size_t)(p->m * p->n) * sizeof *want);
    memcpy(want + begin * p->n, after + begin * p->n, (size_t)((end - begin) * p->n) * sizeof *want);
    check_equal("a slice", got, want, (size_t)(p->m * p->n), sizeof *got);
    free(got);
    free(want);
}

static void check_product(int32_t tier, struct product p) {
    check_case("%s m %lld n %lld k %lld flags %d types %d %d %d grid %d scaling %d group %lld", NAMES[p.operation],
               (long long)p.m, (long long)p.n, (long long)p.k, p.flags, p.a.type, p.b.type, p.c.type, p.w.grid,
               p.w.scaling, (long long)p.w.group);
    size_t count = (size_t)(p.m * p.n);
    float *before = allocate(count * sizeof(float)), *whole = allocate(count * sizeof(float));
    float *cut = allocate(count * sizeof(float));
    double *value = allocate(count * sizeof(double)), *bound = allocate(count * sizeof(double));
    read_c(&p, before);
    compute(tier, &p, before, value, bound);
    CHECK(run(tier, &p, 0, p.m) == STERNA_OK);
    read_c(&p, whole);
    check_near("c", whole, value, bound, 1, count);
    write_c(&p, before);
    run_in_slices(tier, &p);
    read_c(&p, cut);
    check_equal("c in slices", cut, whole, count, sizeof(float));
    run_one_slice(tier, &p, before, whole);
    if (takes_gemv(&p) && tier > STERNA_AVX2) {
        write_c(&p, before);
        CHECK(run(STERNA_AVX2, &p, 0, p.m) == STERNA_OK);
        read_c(&p, cut);
        check_equal("few rows, as on AVX2", cut, whole, count, sizeof(float));
    }
    free(before), free(whole), free(cut), free(value), free(bound);
    check_release();
}

/* ---------------------------------------------------------------- cases */

/* A size from 1 to about 200, one near where the blocking cuts, or a small one. */
static int64_t any_size(void) {
    static const int64_t CUTS[] = {8, 16, 48, 64, 96, 256, 512};
    switch (check_range(0, 3)) {
    case 0: return CUTS[check_range(0, 6)] + check_range(-1, 1);
    case 1: return check_range(1, 10);
    default: return check_range(1, 200);
    }
}

static void check_sizes(int32_t tier) {
    int rounds = tier == STERNA_REFERENCE ? 20 : 80;
    for (int i = 0; i < rounds; i++) {
        int64_t m = any_size(), n = any_size(), k = any_size();
        if (m * n * k > 4000000) m = check_range(1, 20);
        check_product(tier, any_gemm(m, n, k));
        check_product(tier, any_input_gradient(m, n, k, (int32_t)check_range(STERNA_BINARY, STERNA_LAST_GRID)));
        check_product(tier, any_weight_gradient(m, n, k));
    }
    for (int32_t grid = STERNA_BINARY; grid <= STERNA_LAST_GRID; grid++)
        check_product(tier, any_input_gradient(check_range(1, 20), check_range(65, 300), check_range(1, 300), grid));
}

/* Few rows of A, whose product reads B where it stands. */
static void check_few_rows(int32_t tier) {
    for (int64_t m = 1; m <= 9; m++)
        for (int i = 0; i < 4; i++) {
            int64_t n = any_size(), k = any_size();
            int32_t flags = STERNA_TRANSPOSE_B | (int32_t)check_range(0, 1) | (i & 1 ? STERNA_ALLOW_INT16 : 0);
            struct product p = {GEMM, m, n, k, flags, .w = {0}};
            p.a = any_matrix(m, k, any_type()), p.b = any_matrix(n, k, any_type()), p.c = any_matrix(m, n, any_type());
            check_product(tier, p);
        }
    for (int64_t m = 1; m <= 8; m++) { /* about as long as a block of terms, and several */
        int64_t block = 4096 / (m > 4 ? 8 : m > 2 ? 4 : m), depths[] = {block - 1, block + 1, 3 * block + 17, m == 8 ? STERNA_MAX_COLS : block};
        for (int i = 0; i < 4; i++) {
            struct product p = {GEMM, m, 25, depths[i], STERNA_TRANSPOSE_B | (int32_t)check_range(0, 1), .w = {0}};
            p.a = any_matrix(m, p.k, any_type()), p.b = any_matrix(25, p.k, i % 2 ? STERNA_F32 : STERNA_BF16), p.c = any_matrix(m, 25, any_type());
            check_product(tier, p);
        }
    }
    for (int64_t k = STERNA_MAX_COLS; k <= STERNA_MAX_COLS + 1; k++) { /* the most terms, and one more */
        struct product p = {GEMM, 2, 5, k, STERNA_TRANSPOSE_B | STERNA_ALLOW_BF16 | STERNA_ALLOW_INT16, .w = {0}};
        p.a = any_matrix(2, k, any_type()), p.b = any_matrix(5, k, any_type()), p.c = any_matrix(2, 5, STERNA_F32);
        check_product(tier, p);
    }
}

/* More rows, columns and depth than one block takes. */
static void check_large(int32_t tier) {
    if (tier == STERNA_REFERENCE) return;
    for (int i = 0; i < 6; i++) check_product(tier, any_gemm(270, 800, 530));
    check_product(tier, any_gemm(3, 900, 1100));
    check_product(tier, any_input_gradient(265, 835, 300, STERNA_TERNARY));
    check_product(tier, any_weight_gradient(300, 781, 270));
    for (int32_t flags = 0; flags <= STERNA_ALLOW_INT16; flags += STERNA_ALLOW_INT16) { /* several blocks deep */
        struct product p = any_input_gradient(30, 70, 1300, STERNA_INT8);
        p.flags |= flags;
        check_product(tier, p);
        p = any_weight_gradient(30, 70, 1100);
        p.flags |= flags;
        check_product(tier, p);
    }
}

/* C whose rows lie 2 KiB apart. */
static void check_crowded(int32_t tier, struct product p, int32_t accumulate) {
    while (p.c.stride != 512) p.c = any_matrix(p.m, 512, STERNA_F32);
    p.flags = (p.flags & ~STERNA_ACCUMULATE) | accumulate;
    if (p.operation == GEMM) p.flags |= STERNA_ALLOW_BF16;
    check_product(tier, p);
}

static void check_with_int16(int32_t tier, struct product p, int32_t int16) {
    p.flags = (p.flags & ~STERNA_ALLOW_INT16) | int16;
    check_product(tier, p);
}

/* Many blocks deep; few rows and columns, for time. */
static void check_deep(int32_t tier) {
    for (int32_t int16 = 0; int16 <= STERNA_ALLOW_INT16; int16 += STERNA_ALLOW_INT16) {
        check_with_int16(tier, any_gemm(11, 19, 2304), int16);
        check_with_int16(tier, any_input_gradient(11, 19, 2304, STERNA_INT8), int16);
        check_with_int16(tier, any_weight_gradient(11, 19, 2304), int16);
    }
}

/* Several blocks deep; the last has more rows than are summed at once. */
static void check_crowds(int32_t tier) {
    for (int32_t accumulate = 0; accumulate <= STERNA_ACCUMULATE; accumulate += STERNA_ACCUMULATE) {
        check_crowded(tier, any_gemm(20, 512, 330), accumulate);
        check_crowded(tier, any_input_gradient(33, 512, 300, STERNA_TERNARY), accumulate);
        check_crowded(tier, any_weight_gradient(390, 512, 320), accumulate);
    }
}

/* No terms at all: C becomes zero, or stays. */
static void check_empty(int32_t tier) {
    for (int i = 0; i < 8; i++) {
        struct product p = {GEMM, 5, 7, 0, STERNA_TRANSPOSE_A | (i & STERNA_ACCUMULATE), .w = {0}};
        p.a = any_matrix(0, 5, any_type());
        p.b = any_matrix(0, 7, any_type());
        p.c = any_matrix(5, 7, any_type());
        check_product(tier, p);
        check_product(tier, any_weight_gradient(5, 7, 0));
    }
}

/* What is not finite at r along the sum, in row i of A or in column j of B (-1: in none), makes the results that sum it
 * not finite, and no others. */
static void check_reach(int32_t tier, struct product *p, int64_t i, int64_t j, int64_t r) {
    CHECK(run(tier, p, 0, p->m) == STERNA_OK);
    for (int64_t m = 0; m < p->m; m++)
        for (int64_t n = 0; n < p->n; n++) {
            int finite = isfinite(sterna_get(&p->c, m, n));
            double factor = m == i ? element_b(p, r, n) : n == j ? element_a(p, m, r) : 0;
            if (m == i || n == j ? factor != 0 && finite : !finite) check_fail("row %lld column %lld", (long long)m, (long long)n);
        }
    check_release();
}

static void check_nonfinite_gradient(int32_t tier, struct product p, float value) {
    check_case("%s of %g flags %d", NAMES[p.operation], (double)value, p.flags);
    int64_t i = check_range(0, p.m - 1), r = check_range(0, p.k - 1);
    if (p.operation == WEIGHT_GRADIENT) sterna_put(&p.a, r, i, value);
    else sterna_put(&p.a, i, r, value);
    check_reach(tier, &p, i, -1, r);
}

static void check_nonfinite_factor(int32_t tier, int32_t flags, float value) {
    struct product p = any_gemm(12, 33, 300);
    p.flags = (p.flags & ~STERNA_ALLOW_INT16) | flags;
    check_case("b of %g flags %d", (double)value, p.flags);
    int64_t r = check_range(0, p.k - 1), j = check_range(0, p.n - 1);
    if (p.flags & STERNA_TRANSPOSE_B) sterna_put(&p.b, j, r, value);
    else sterna_put(&p.b, r, j, value);
    check_reach(tier, &p, -1, j, r);
}

static void check_nonfinite(int32_t tier) {
    static const float VALUES[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 12; i++) {
        struct product p = any_input_gradient(7, 30, 40, STERNA_TERNARY);
        p.flags = i & 1 ? STERNA_ALLOW_INT16 : 0;
        check_nonfinite_gradient(tier, p, VALUES[i / 2 % 3]);
        p = any_weight_gradient(9, 33, 600);
        p.flags = i & 1 ? STERNA_ALLOW_INT16 : 0;
        check_nonfinite_gradient(tier, p, VALUES[i / 2 % 3]);
        check_nonfinite_factor(tier, i & 1 ? STERNA_ALLOW_INT16 : 0, VALUES[i / 2 % 3]);
    }
}

/* ---------------------------------------------------------------- refusals */

static void expect(int32_t got, int32_t argument, int32_t reason) {
    if (got != STERNA_STATUS(argument, reason))
        check_fail("status %d, want argument %d reason %d", got, argument, reason);
}

static void *copy_of(const sterna_matrix *x) {
    return memcpy(allocate(check_matrix_bytes(x)), x->data, check_matrix_bytes(x));
}

/* No refused call wrote. */
static void check_untouched(const sterna_matrix *x, void *copy) {
    check_equal("a refused output", x->data, copy, check_matrix_bytes(x), 1);
    free(copy);
}

static void check_gemm_refusals(int32_t tier) {
    struct product p = {GEMM, 4, 5, 6, 0, .w = {0}};
    p.a = any_matrix(4, 6, STERNA_F32), p.b = any_matrix(6, 5, STERNA_F32), p.c = any_matrix(4, 5, STERNA_F32);
    void *s = check_scratch(), *copy = copy_of(&p.c);
    sterna_matrix bad;
    check_case("gemm refuses");
    expect(sterna_gemm(STERNA_TIERS, &p.a, &p.b, &p.c, 0, 0, 4, s), 1, STERNA_BAD_TIER);
    expect(sterna_gemm(tier, NULL, &p.b, &p.c, 0, 0, 4, s), 2, STERNA_BAD_NULL);
    bad = p.a, bad.type = STERNA_I8;
    expect(sterna_gemm(tier, &bad, &p.b, &p.c, 0, 0, 4, s), 2, STERNA_BAD_TYPE);
    bad = p.a, bad.stride = 5;
    expect(sterna_gemm(tier, &bad, &p.b, &p.c, 0, 0, 4, s), 2, STERNA_BAD_SHAPE);
    bad = p.b, bad.data = (char *)bad.data + 2;
    expect(sterna_gemm(tier, &p.a, &bad, &p.c, 0, 0, 4, s), 3, STERNA_BAD_ALIGNMENT);
    bad = p.b, bad.rows = 5;
    expect(sterna_gemm(tier, &p.a, &bad, &p.c, 0, 0, 4, s), 3, STERNA_BAD_SHAPE);
    expect(sterna_gemm(tier, &p.a, &p.b, &p.c, STERNA_TRANSPOSE_A, 0, 4, s), 3, STERNA_BAD_SHAPE);
    expect(sterna_gemm(tier, &p.a, &p.b, &p.c, STERNA_TRANSPOSE_B, 0, 4, s), 3, STERNA_BAD_SHAPE);
    bad = p.c, bad.cols = 4;
    expect(sterna_gemm(tier, &p.a, &p.b, &bad, 0, 0, 4, s), 4, STERNA_BAD_SHAPE);
    bad = p.c, bad.rows = 3;
    expect(sterna_gemm(tier, &p.a, &p.b, &bad, 0, 0, 3, s), 4, STERNA_BAD_SHAPE);
    expect(sterna_gemm(tier, &p.a, &p.b, &p.c, 32, 0, 4, s), 5, STERNA_BAD_RANGE);
    expect(sterna_gemm(tier, &p.a, &p.b, &p.c, 0, -1, 4, s), 6, STERNA_BAD_RANGE);
    expect(sterna_gemm(tier, &p.a, &p.b, &p.c, 0, 3, 2, s), 7, STERNA_BAD_RANGE);
    expect(sterna_gemm(tier, &p.a, &p.b, &p.c, 0, 0, 5, s), 7, STERNA_BAD_RANGE);
    expect(sterna_gemm(tier, &p.a, &p.b, &p.c, 0, 0, 4, NULL), 8, STERNA_BAD_NULL);
    expect(sterna_gemm(tier, &p.a, &p.b, &p.c, 0, 0, 4, (char *)s + 4), 8, STERNA_BAD_ALIGNMENT);
    check_untouched(&p.c, copy);
}

static void check_input_gradient_refusals(int32_t tier) {
    sterna_matrix dy = any_matrix(4, 6, STERNA_F32), dx = any_matrix(4, 70, STERNA_BF16), bad;
    sterna_packed w = any_packed(6, 70, STERNA_TERNARY, STERNA_PER_ROW), bad_w;
    void *s = check_scratch(), *copy = copy_of(&dx);
    check_case("input_gradient refuses");
    expect(sterna_input_gradient(-1, &dy, &w, &dx, 0, 0, 4, s), 1, STERNA_BAD_TIER);
    expect(sterna_input_gradient(tier, NULL, &w, &dx, 0, 0, 4, s), 2, STERNA_BAD_NULL);
    expect(sterna_input_gradient(tier, &dy, NULL, &dx, 0, 0, 4, s), 3, STERNA_BAD_NULL);
    bad_w = w, bad_w.rows = 5;
    expect(sterna_input_gradient(tier, &dy, &bad_w, &dx, 0, 0, 4, s), 3, STERNA_BAD_SHAPE);
    bad_w = w, bad_w.grid = STERNA_LAST_GRID + 1;
    expect(sterna_input_gradient(tier, &dy, &bad_w, &dx, 0, 0, 4, s), 3, STERNA_BAD_TYPE);
    bad_w = w, bad_w.scaling = STERNA_PER_GROUP, bad_w.group = 32;
    expect(sterna_input_gradient(tier, &dy, &bad_w, &dx, 0, 0, 4, s), 3, STERNA_BAD_SHAPE);
    bad_w = w, bad_w.scales = NULL;
    expect(sterna_input_gradient(tier, &dy, &bad_w, &dx, 0, 0, 4, s), 3, STERNA_BAD_NULL);
    bad = dx, bad.rows = 3;
    expect(sterna_input_gradient(tier, &dy, &w, &bad, 0, 0, 3, s), 4, STERNA_BAD_SHAPE);
    bad = dx, bad.cols = 69;
    expect(sterna_input_gradient(tier, &dy, &w, &bad, 0, 0, 4, s), 4, STERNA_BAD_SHAPE);
    expect(sterna_input_gradient(tier, &dy, &w, &dx, 2, 0, 4, s), 5, STERNA_BAD_RANGE);
    expect(sterna_input_gradient(tier, &dy, &w, &dx, 0, 5, 5, s), 6, STERNA_BAD_RANGE);
    expect(sterna_input_gradient(tier, &dy, &w, &dx, 0, 0, 5, s), 7, STERNA_BAD_RANGE);
    expect(sterna_input_gradient(tier, &dy, &w, &dx, 0, 0, 4, NULL), 8, STERNA_BAD_NULL);
    check_untouched(&dx, copy);
}

static void check_weight_gradient_refusals(int32_t tier) {
    sterna_matrix dy = any_matrix(4, 6, STERNA_F32), dw = any_matrix(3, 9, STERNA_F32), bad;
    sterna_quantized q = any_quantized(4, 9), bad_q;
    void *s = check_scratch(), *copy = copy_of(&dw);
    check_case("weight_gradient refuses");
    expect(sterna_weight_gradient(99, &dy, &q, &dw, 0, 0, 3, s), 1, STERNA_BAD_TIER);
    expect(sterna_weight_gradient(tier, NULL, &q, &dw, 0, 0, 3, s), 2, STERNA_BAD_NULL);
    expect(sterna_weight_gradient(tier, &dy, NULL, &dw, 0, 0, 3, s), 3, STERNA_BAD_NULL);
    bad_q = q, bad_q.rows = 3;
    expect(sterna_weight_gradient(tier, &dy, &bad_q, &dw, 0, 0, 3, s), 3, STERNA_BAD_SHAPE);
    bad_q = q, bad_q.stride = 8;
    expect(sterna_weight_gradient(tier, &dy, &bad_q, &dw, 0, 0, 3, s), 3, STERNA_BAD_SHAPE);
    bad = dw, bad.type = STERNA_BF16;
    expect(sterna_weight_gradient(tier, &dy, &q, &bad, 0, 0, 3, s), 4, STERNA_BAD_TYPE);
    bad = dw, bad.cols = 8;
    expect(sterna_weight_gradient(tier, &dy, &q, &bad, 0, 0, 3, s), 4, STERNA_BAD_SHAPE);
    expect(sterna_weight_gradient(tier, &dy, &q, &dw, 0, 0, 4, s), 4, STERNA_BAD_SHAPE);
    expect(sterna_weight_gradient(tier, &dy, &q, &dw, -1, 0, 3, s), 5, STERNA_BAD_RANGE);
    expect(sterna_weight_gradient(tier, &dy, &q, &dw, 0, 7, 7, s), 6, STERNA_BAD_RANGE);
    expect(sterna_weight_gradient(tier, &dy, &q, &dw, 0, 4, 7, s), 7, STERNA_BAD_RANGE);
    expect(sterna_weight_gradient(tier, &dy, &q, &dw, 0, 0, 3, (char *)s + 32), 8, STERNA_BAD_ALIGNMENT);
    check_untouched(&dw, copy);
}

static void check_refusals(int32_t tier) {
    check_gemm_refusals(tier);
    check_input_gradient_refusals(tier);
    check_weight_gradient_refusals(tier);
    check_release();
}

static void check(int32_t tier) {
    check_refusals(tier);
    check_empty(tier);
    check_sizes(tier);
    check_few_rows(tier);
    check_large(tier);
    check_deep(tier);
    check_crowds(tier);
    check_nonfinite(tier);
}

/* ---------------------------------------------------------------- bench */

struct timed {
    int32_t tier;
    struct product p;
    int64_t rows; /* rows a call, one call after the other */
};

static void run_timed(void *argument) {
    struct timed *t = argument;
    for (int64_t row = 0; row < t->p.m; row += t->rows)
        if (run(t->tier, &t->p, row, row + t->rows < t->p.m ? row + t->rows : t->p.m) != STERNA_OK) abort();
}

static void bench_product(int32_t tier, const char *kernel, const char *format, struct product p, int64_t rows) {
    struct timed t = {tier, p, rows};
    char shape[64];
    int32_t probe = STERNA_PROBE_F32;
    if (rounds_to_bf16(tier, &p)) probe = STERNA_PROBE_BF16;
    else if (rounds_to_int16(tier, &p)) probe = STERNA_PROBE_INT16;
    snprintf(shape, sizeof shape, "%lldx%lldx%lld", (long long)p.m, (long long)p.n, (long long)p.k);
    double work = 2.0 * (double)p.m * (double)p.n * (double)p.k, seconds = check_time(run_timed, &t, 0.3);
    check_row(kernel, format, shape, tier, work, seconds, "GOP/s",
              check_ceiling(tier, probe));
    check_release();
}

static sterna_matrix matrix_of(int64_t rows, int64_t cols, int32_t type) {
    size_t bytes = (size_t)(rows * cols) * check_element_bytes(type);
    sterna_matrix x = {check_buffer(bytes, AGAINST_START, 0), rows, cols, cols, type, 0};
    memset(x.data, 0, bytes);
    return x;
}

static void bench_linear(int32_t tier, int64_t tokens, int64_t outputs, int64_t inputs) {
    for (int32_t flags = 0; flags <= STERNA_ALLOW_INT16; flags += STERNA_ALLOW_INT16) {
        struct product p = {GEMM, tokens, outputs, inputs, flags | STERNA_TRANSPOSE_B | STERNA_ALLOW_BF16, .w = {0}};
        p.a = matrix_of(tokens, inputs, STERNA_F32), p.b = matrix_of(outputs, inputs, STERNA_F32);
        p.c = matrix_of(tokens, outputs, STERNA_F32);
        bench_product(tier, "gemm", flags ? "int16" : "f32", p, tokens);

        p = (struct product){INPUT_GRADIENT, tokens, inputs, outputs, flags, .w = {0}};
        p.a = matrix_of(tokens, outputs, STERNA_F32), p.c = matrix_of(tokens, inputs, STERNA_F32);
        p.w = any_packed(outputs, inputs, STERNA_TERNARY, STERNA_PER_ROW);
        bench_product(tier, "input_gradient", flags ? "ternary int16" : "ternary", p, tokens);

        p = (struct product){WEIGHT_GRADIENT, outputs, inputs, tokens, flags, .w = {0}};
        p.a = matrix_of(tokens, outputs, STERNA_F32), p.c = matrix_of(outputs, inputs, STERNA_F32);
        p.q = any_quantized(tokens, inputs);
        bench_product(tier, "weight_gradient", flags ? "int16" : "f32", p, 256);
    }
}

/* Few tokens: as fast as the weights can be read. */
static void bench_decode(int32_t tier, int64_t tokens, int64_t outputs, int64_t inputs, int32_t type) {
    struct product p = {GEMM, tokens, outputs, inputs, STERNA_TRANSPOSE_B, .w = {0}};
    p.a = matrix_of(tokens, inputs, STERNA_F32), p.b = matrix_of(outputs, inputs, type);
    p.c = matrix_of(tokens, outputs, STERNA_F32);
    struct timed t = {tier, p, tokens};
    char shape[64];
    snprintf(shape, sizeof shape, "%lldx%lldx%lld", (long long)tokens, (long long)outputs, (long long)inputs);
    double bytes = (double)outputs * (double)inputs * check_element_bytes(type);
    check_row("gemm", type == STERNA_F32 ? "f32" : "bf16", shape, tier, bytes, check_time(run_timed, &t, 0.3), "GB/s",
              check_ceiling(tier, STERNA_PROBE_READ));
    check_release();
}

static void bench(int32_t tier) {
    static const int64_t LAYERS[][2] = {{768, 768}, {2048, 768}, {2048, 2048}, {5632, 2048}};
    if (tier == STERNA_REFERENCE) return; /* it defines results, not speed */
    for (int i = 0; i < 4; i++)
        for (int64_t tokens = 512; tokens <= 2048; tokens *= 4) bench_linear(tier, tokens, LAYERS[i][0], LAYERS[i][1]);
    bench_linear(tier, 4096, 288, 288);
    bench_linear(tier, 4096, 768, 288);
    bench_linear(tier, 4096, 288, 768);
    bench_linear(tier, 4096, 4096, 288);
    for (int64_t tokens = 1; tokens <= 8; tokens *= 2)
        for (int32_t type = STERNA_F32; type <= STERNA_BF16; type++) bench_decode(tier, tokens, 32000, 2048, type);
}

const check_family check_gemm = {"gemm", check, bench, 0};
