/* check_linear.c: sterna_linear, every grid and scaling, against the reference, to the byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packed.h"

/* One product and everything it reads: shapes, then the descriptors filled from guarded buffers. */
struct linear_case {
    int64_t tokens, rows, cols, group; /* group 0: scale per row; -1: per tensor */
    int32_t grid, type;
    enum { NONE, IN_PLACE, F32, BF16 } residual; /* y itself, or another matrix */
    int64_t row0, row1;
    enum check_place place;
    int extremes; /* the largest activations, and the lowest codes (1) or the highest (2) */
    int tiny;     /* results lie on either side of the least normal number */
    int large;    /* of that many activations, one is not small; 0: all may be large */
    sterna_quantized q;
    sterna_packed w;
    sterna_matrix y;
};

static void fill_floats(float *x, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] = check_normal();
}

/* Any codes, or everywhere the extreme one that is asked for. */
static void fill_codes(const struct linear_case *c) {
    random_codes(&c->w);
    int code = c->extremes == 1 ? sterna_qn(c->grid) : sterna_qp(c->grid);
    for (int64_t r = 0; r < c->rows && c->extremes; r++)
        for (int64_t k = 0; k < c->cols; k++) set_code_at(&c->w, r, k, code);
}

static void make_packed(struct linear_case *c, size_t offset) {
    c->w = (sterna_packed){.rows = c->rows, .cols = c->cols, .grid = c->grid, .group = c->group > 0 ? c->group : 0,
                           .scaling = c->group > 0 ? STERNA_PER_GROUP : c->group ? STERNA_PER_TENSOR : STERNA_PER_ROW};
    c->w.codes = check_buffer(packed_bytes(&c->w), c->place, offset);
    c->w.scales = check_buffer(4 * (size_t)scale_count(&c->w), c->place, 0);
    fill_codes(c);
    fill_floats(c->w.scales, (size_t)scale_count(&c->w));
}

static int8_t some_activation(const struct linear_case *c, size_t token) {
    if (c->extremes) return token % 2 ? -127 : 127;
    int64_t limit = c->large && check_range(1, c->large) > 1 ? 64 : 127;
    return (int8_t)check_range(-limit, limit);
}

/* Activations whose stride leaves a gap, but not after the last row. */
static void make_quantized(struct linear_case *c, size_t offset, int64_t gap) {
    size_t bytes = (size_t)((c->tokens - 1) * (c->cols + gap) + c->cols);
    c->q = (sterna_quantized){.codes = check_buffer(bytes, c->place, offset),
                              .scales = check_buffer(4 * (size_t)c->tokens, c->place, 0),
                              .rows = c->tokens, .cols = c->cols, .stride = c->cols + gap};
    for (size_t i = 0; i < bytes; i++) c->q.codes[i] = some_activation(c, i / (size_t)c->q.stride);
    fill_floats(c->q.scales, (size_t)c->tokens);
    for (int64_t t = 0; t < c->tokens && c->tiny; t++) c->q.scales[t] *= 0x1p-137f;
}

/* Numbers (tokens, rows). */
static sterna_matrix make_numbers(const struct linear_case *c, int32_t type, int64_t gap) {
    int64_t stride = c->rows + gap;
    size_t count = (size_t)((c->tokens - 1) * stride + c->rows);
    sterna_matrix x = {.data = check_buffer(count * check_element_bytes(type), c->place, 0),
                       .rows = c->tokens, .cols = c->rows, .stride = stride, .type = type};
    for (size_t i = 0; i < count; i++) {
        float value = check_normal();
        uint32_t word;
        memcpy(&word, &value, 4);
        if (type == STERNA_F32) memcpy((float *)x.data + i, &value, 4);
        else ((uint16_t *)x.data)[i] = (uint16_t)(word >> 16);
    }
    return x;
}

static const sterna_matrix *residual_of(const struct linear_case *c, const sterna_matrix *y, const sterna_matrix *other) {
    return c->residual == NONE ? NULL : c->residual == IN_PLACE ? y : other;
}

/* Runs the case on a tier and on the reference from the same y; what lies outside the slice must stay too. */
static void run_case(int32_t tier, struct linear_case c) {
    size_t offset = (size_t)check_range(0, 1) * (size_t)check_range(1, 15);
    check_case("linear %s tokens %lld rows %lld (%lld...%lld) cols %lld group %lld type %d residual %d place %d",
               GRID_NAMES[c.grid], (long long)c.tokens, (long long)c.rows, (long long)c.row0, (long long)c.row1,
               (long long)c.cols, (long long)c.group, c.type, c.residual, c.place);
    make_packed(&c, offset);
    make_quantized(&c, offset, check_range(0, 5));
    c.y = make_numbers(&c, c.type, check_range(0, 3));
    sterna_matrix residual = make_numbers(&c, c.residual == BF16 ? STERNA_BF16 : STERNA_F32, check_range(0, 3));
    size_t count = (size_t)((c.tokens - 1) * c.y.stride + c.rows), element = check_element_bytes(c.type);
    void *want = malloc(count * element);
    memcpy(want, c.y.data, count * element);
    sterna_matrix expected = c.y;
    expected.data = want;
    CHECK(sterna_linear(STERNA_REFERENCE, &c.q, &c.w, &expected, residual_of(&c, &expected, &residual), c.row0, c.row1,
                        check_scratch()) == 0);
    CHECK(sterna_linear(tier, &c.q, &c.w, &c.y, residual_of(&c, &c.y, &residual), c.row0, c.row1, check_scratch()) == 0);
    check_equal("y", c.y.data, want, count, element);
    free(want);
    check_release();
}

static struct linear_case whole(int64_t tokens, int64_t rows, int64_t cols, int32_t grid) {
    return (struct linear_case){.tokens = tokens, .rows = rows, .cols = cols, .grid = grid, .row1 = rows,
                                .place = check_range(0, 1) ? AGAINST_END : AGAINST_START};
}

/* Every grid with every tail of cols, few and many tokens, odd rows. */
static void check_tails(int32_t tier) {
    for (int32_t grid = STERNA_BINARY; grid <= STERNA_LAST_GRID; grid++)
        for (int64_t cols = 1; cols <= 200; cols++)
            for (int many = 0; many < 2; many++) {
                int64_t tokens = many ? check_range(9, 40) : check_range(1, 8);
                struct linear_case c = whole(tokens, check_range(1, 70), cols, grid);
                int64_t kind = check_range(0, 3);
                c.group = kind == 0 ? -1 : kind == 1 ? 64 : kind == 2 ? 128 : 0;
                c.type = check_range(0, 1) ? STERNA_F32 : STERNA_BF16;
                c.residual = check_range(NONE, BF16);
                if (check_range(0, 1)) {
                    c.row0 = check_range(0, c.rows);
                    c.row1 = check_range(c.row0, c.rows);
                }
                run_case(tier, c);
            }
}

/* Every number of tokens and of rows around the tiles' edges. */
static void check_edges(int32_t tier) {
    for (int64_t tokens = 1; tokens <= 50; tokens++) run_case(tier, whole(tokens, 49, 130, STERNA_TERNARY));
    for (int64_t rows = 1; rows <= 100; rows++) run_case(tier, whole(17, rows, 70, STERNA_INT5));
}

/* Longer than a segment of the cache blocking, wider than its panels, and groups of every kind. */
static void check_blocks(int32_t tier) {
    for (int i = 0; i < 24; i++) {
        struct linear_case c = whole(check_range(1, 70), check_range(1, 200), check_range(1000, 4000),
                                     (int32_t)check_range(STERNA_BINARY, STERNA_LAST_GRID));
        c.group = i % 3 == 0 ? 0 : 64 * check_range(1, i % 3 == 1 ? 8 : 40);
        c.row0 = i % 2 * check_range(0, c.rows);
        run_case(tier, c);
    }
    run_case(tier, whole(33, 1200, 200, STERNA_INT4));
    run_case(tier, whole(6, 40, 16384, STERNA_INT8));
    struct linear_case fills = whole(32, 40, 16384, STERNA_INT8); /* the scratch of few tokens */
    fills.group = 64;
    for (fills.extremes = 1; fills.extremes <= 2; fills.extremes++) run_case(tier, fills);
}

/* Many tokens and whole panels of 16 rows, an even number of them or an odd one, cut into slices of whole panels too. */
static void check_panels(int32_t tier) {
    for (int i = 0; i < 160; i++) {
        int64_t tokens = check_range(0, 1) ? 32 * check_range(2, 4) : check_range(33, 140);
        struct linear_case c = whole(tokens, 16 * check_range(1, 8), check_range(1, 1000),
                                     (int32_t)check_range(STERNA_BINARY, STERNA_LAST_GRID));
        c.group = i % 4 == 0 ? 64 * check_range(1, 8) : i % 4 == 1 ? 0 : -1;
        c.type = i % 2 ? STERNA_F32 : STERNA_BF16;
        c.residual = check_range(NONE, BF16);
        c.tiny = check_range(0, 3) == 0;
        c.row0 = 16 * check_range(0, c.rows / 16);
        run_case(tier, c);
    }
}

/* Activations of which few are large. 8-bit codes: none, some, and about as many as may be taken apart; narrower ones:
 * runs in int16 of every length. */
static void check_few_large(int32_t tier) {
    for (int i = 0; i < 120; i++) {
        int32_t grid = i < 60 ? STERNA_INT8 : (int32_t)check_range(STERNA_BINARY, STERNA_LAST_GRID);
        struct linear_case c = whole(check_range(9, 40), check_range(1, 70), check_range(1, 1500), grid);
        c.large = i % 3 == 0 ? 1000000 : i % 3 == 1 ? 100 : (int)check_range(2, 30);
        c.group = i % 2 * 64 * check_range(1, 3);
        run_case(tier, c);
    }
}

/* So many tokens of short rows that not all fit in scratch, where what is kept beside a token is as large as it is. */
static void check_many_tokens(int32_t tier) {
    static const int64_t SHAPES[][3] = {{20485, 64, 0}, {16387, 64, 64}, {10245, 128, 64}, {10245, 128, 0}, {4101, 320, 64}};
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++)
        for (int wide = 0; wide < 2; wide++) {
            struct linear_case c = whole(SHAPES[i][0], 3, SHAPES[i][1], wide ? STERNA_INT8 : STERNA_TERNARY);
            c.group = SHAPES[i][2];
            run_case(tier, c);
        }
}

/* Numbers below the normal ones, which some instructions make 0. */
static void check_tiny(int32_t tier) {
    for (int64_t tokens = 1; tokens <= 40; tokens += 13) {
        struct linear_case c = whole(tokens, 70, 300, STERNA_TERNARY);
        c.tiny = 1;
        c.group = -1;
        c.type = STERNA_BF16;
        run_case(tier, c);
    }
}

/* Sums at the bound of int32, and rows that fill the scratch. */
static void check_extremes(int32_t tier) {
    static const int32_t GRIDS[] = {STERNA_BINARY, STERNA_TERNARY, STERNA_INT3, STERNA_INT4,
                                    STERNA_INT5,   STERNA_INT6,    STERNA_INT7, STERNA_INT8};
    for (size_t i = 0; i < sizeof GRIDS / sizeof *GRIDS; i++)
        for (int64_t tokens = 2; tokens <= 18; tokens += 16)
            for (int highest = 0; highest < 2; highest++) {
                struct linear_case c = whole(tokens, 18, STERNA_MAX_COLS, GRIDS[i]);
                c.extremes = 1 + highest;
                run_case(tier, c);
                c.group = 64;
                run_case(tier, c);
            }
}

/* One token, whose codes of 2 and 4 bits may be multiplied by lines: lines and runs of them, whole and not, groups that
 * begin with a line and groups that don't, and the largest sums. */
static void check_one_token(int32_t tier) {
    static const int32_t GRIDS[] = {STERNA_INT2, STERNA_TERNARY, STERNA_INT4, STERNA_INT3};
    static const int64_t COLS[] = {256, 257, 320, 640, 641, 1281, 1600, 5632, STERNA_MAX_COLS};
    static const int64_t GROUPS[] = {-1, 0, 64, 128, 256, 320, 512};
    for (size_t i = 0; i < sizeof GRIDS / sizeof *GRIDS; i++)
        for (size_t j = 0; j < sizeof COLS / sizeof *COLS; j++)
            for (size_t k = 0; k < sizeof GROUPS / sizeof *GROUPS; k++) {
                struct linear_case c = whole(1, check_range(1, COLS[j] > 2000 ? 6 : 33), COLS[j], GRIDS[i]);
                c.group = GROUPS[k];
                c.extremes = (int)check_range(0, 2);
                run_case(tier, c);
            }
}

/* One argument wrong at a time: the status names it, and y keeps its bytes. */
static void expect_with(int32_t tier, struct linear_case c, const sterna_matrix *residual, int32_t status, void *scratch) {
    check_case("linear, expecting status %d", status);
    size_t bytes = (size_t)(c.tokens * c.rows * 4);
    void *before = malloc(bytes);
    memcpy(before, c.y.data, bytes);
    int32_t got = sterna_linear(tier, &c.q, &c.w, &c.y, residual, c.row0, c.row1, scratch);
    if (got != status) check_fail("status %d", got);
    if (c.y.data) check_equal("y", c.y.data, before, bytes, 1);
    free(before);
}

static void expect(int32_t tier, struct linear_case c, int32_t status, void *scratch) {
    expect_with(tier, c, NULL, status, scratch);
}

static void check_arguments(int32_t tier) {
    struct linear_case good = whole(3, 5, 64, STERNA_INT3), c;
    make_packed(&good, 0);
    make_quantized(&good, 0, 0);
    good.y = make_numbers(&good, good.type, 0);
    void *scratch = check_scratch();
    CHECK(sterna_linear(tier, &good.q, &good.w, &good.y, NULL, 0, 5, scratch) == STERNA_OK);
    expect(-1, good, STERNA_STATUS(1, STERNA_BAD_TIER), scratch);
    expect(STERNA_TIERS, good, STERNA_STATUS(1, STERNA_BAD_TIER), scratch);
    CHECK(sterna_linear(tier, NULL, &good.w, &good.y, NULL, 0, 5, scratch) == STERNA_STATUS(2, STERNA_BAD_NULL));
    CHECK(sterna_linear(tier, &good.q, NULL, &good.y, NULL, 0, 5, scratch) == STERNA_STATUS(3, STERNA_BAD_NULL));
    CHECK(sterna_linear(tier, &good.q, &good.w, NULL, NULL, 0, 5, scratch) == STERNA_STATUS(4, STERNA_BAD_NULL));
    c = good; c.q.codes = NULL;
    expect(tier, c, STERNA_STATUS(2, STERNA_BAD_NULL), scratch);
    c = good; c.q.scales = (float *)((char *)c.q.scales + 1);
    expect(tier, c, STERNA_STATUS(2, STERNA_BAD_ALIGNMENT), scratch);
    c = good; c.q.stride = 63;
    expect(tier, c, STERNA_STATUS(2, STERNA_BAD_SHAPE), scratch);
    c = good; c.q.cols = STERNA_MAX_COLS + 1; c.q.stride = c.q.cols;
    expect(tier, c, STERNA_STATUS(2, STERNA_BAD_SHAPE), scratch);
    c = good; c.w.grid = STERNA_LAST_GRID + 1;
    expect(tier, c, STERNA_STATUS(3, STERNA_BAD_TYPE), scratch);
    c = good; c.w.scaling = 3;
    expect(tier, c, STERNA_STATUS(3, STERNA_BAD_TYPE), scratch);
    c = good; c.w.group = 64;
    expect(tier, c, STERNA_STATUS(3, STERNA_BAD_SHAPE), scratch);
    c = good; c.w.cols = 65;
    expect(tier, c, STERNA_STATUS(3, STERNA_BAD_SHAPE), scratch);
    c = good; c.w.scales = NULL;
    expect(tier, c, STERNA_STATUS(3, STERNA_BAD_NULL), scratch);
    c = good; c.w.scaling = STERNA_PER_GROUP; c.w.group = 63;
    expect(tier, c, STERNA_STATUS(3, STERNA_BAD_SHAPE), scratch);
    c = good; c.y.type = STERNA_I8;
    expect(tier, c, STERNA_STATUS(4, STERNA_BAD_TYPE), scratch);
    c = good; c.y.rows = 2;
    expect(tier, c, STERNA_STATUS(4, STERNA_BAD_SHAPE), scratch);
    c = good; c.y.cols = 4;
    expect(tier, c, STERNA_STATUS(4, STERNA_BAD_SHAPE), scratch);
    sterna_matrix residual = good.y;
    residual.type = STERNA_I8;
    expect_with(tier, good, &residual, STERNA_STATUS(5, STERNA_BAD_TYPE), scratch);
    residual = good.y;
    residual.rows = 2;
    expect_with(tier, good, &residual, STERNA_STATUS(5, STERNA_BAD_SHAPE), scratch);
    residual = good.y;
    residual.cols = 4;
    expect_with(tier, good, &residual, STERNA_STATUS(5, STERNA_BAD_SHAPE), scratch);
    residual = good.y;
    residual.data = NULL;
    expect_with(tier, good, &residual, STERNA_STATUS(5, STERNA_BAD_NULL), scratch);
    c = good; c.row0 = -1;
    expect(tier, c, STERNA_STATUS(6, STERNA_BAD_RANGE), scratch);
    c = good; c.row0 = 6;
    expect(tier, c, STERNA_STATUS(6, STERNA_BAD_RANGE), scratch);
    c = good; c.row1 = 6;
    expect(tier, c, STERNA_STATUS(7, STERNA_BAD_RANGE), scratch);
    c = good; c.row0 = 3; c.row1 = 2;
    expect(tier, c, STERNA_STATUS(7, STERNA_BAD_RANGE), scratch);
    expect(tier, good, STERNA_STATUS(8, STERNA_BAD_NULL), NULL);
    expect(tier, good, STERNA_STATUS(8, STERNA_BAD_ALIGNMENT), (char *)scratch + 32);
    check_release();
}

static void check(int32_t tier) {
    check_arguments(tier);
    check_tails(tier);
    check_edges(tier);
    if (tier == STERNA_REFERENCE) return;
    check_blocks(tier);
    check_panels(tier);
    check_one_token(tier);
    check_few_large(tier);
    check_many_tokens(tier);
    check_tiny(tier);
    check_extremes(tier);
}

/* ---------------------------------------------------------------- bench */

struct bench_call {
    int32_t tier;
    sterna_quantized q;
    sterna_packed w;
    sterna_matrix y;
    void *scratch;
    int64_t copies, copy, bytes; /* several weights in turn, so that they come from memory */
};

static void run_bench(void *argument) {
    struct bench_call *b = argument;
    sterna_packed w = b->w;
    w.codes += b->copy * b->bytes;
    b->copy = (b->copy + 1) % b->copies;
    if (sterna_linear(b->tier, &b->q, &w, &b->y, NULL, 0, w.rows, b->scratch) != STERNA_OK) abort();
}

/* `copies` weights of one shape; a call takes the next. */
static struct bench_call make_bench(int32_t tier, int32_t grid, int64_t tokens, int64_t rows, int64_t cols,
                                    int64_t copies) {
    struct bench_call b = {.tier = tier, .copies = copies, .scratch = check_scratch()};
    b.bytes = rows * sterna_packed_row_bytes(grid, cols);
    b.q = (sterna_quantized){malloc((size_t)(tokens * cols)), malloc(4 * (size_t)tokens), tokens, cols, cols};
    b.w = (sterna_packed){malloc((size_t)(copies * b.bytes)), malloc(4 * (size_t)rows), rows, cols, grid,
                          STERNA_PER_ROW, 0};
    b.y = (sterna_matrix){malloc(4 * (size_t)(tokens * rows)), tokens, rows, rows, STERNA_F32, 0};
    memset(b.y.data, 0, 4 * (size_t)(tokens * rows));
    for (int64_t i = 0; i < tokens * cols; i++) b.q.codes[i] = (int8_t)check_range(-127, 127);
    for (int64_t i = 0; i < copies * b.bytes; i++) b.w.codes[i] = (uint8_t)(i * 37 % 251 & 0x55);
    fill_floats(b.q.scales, (size_t)tokens);
    fill_floats(b.w.scales, (size_t)rows);
    return b;
}

static void free_bench(struct bench_call *b) {
    free(b->q.codes), free(b->q.scales), free(b->w.codes), free(b->w.scales), free(b->y.data);
}

static void bench_gemm(int32_t tier, int32_t grid, int64_t tokens, int64_t rows, int64_t cols) {
    char shape[32];
    snprintf(shape, sizeof shape, "%lldx%lldx%lld", (long long)tokens, (long long)rows, (long long)cols);
    struct bench_call b = make_bench(tier, grid, tokens, rows, cols, 1);
    check_row("linear", GRID_NAMES[grid], shape, tier, 2.0 * (double)tokens * (double)rows * (double)cols,
              check_time(run_bench, &b, 0.3), "GOP/s", check_ceiling(tier, STERNA_PROBE_INT8));
    free_bench(&b);
}

/* The weights' bytes a second, from weights that together are far larger than the L2. */
static void bench_gemv(int32_t tier, int32_t grid, int64_t tokens, int64_t rows, int64_t cols) {
    char shape[32];
    snprintf(shape, sizeof shape, "%lldx%lldx%lld", (long long)tokens, (long long)rows, (long long)cols);
    int64_t bytes = rows * cols / 8 * sterna_bits(grid);
    struct bench_call b = make_bench(tier, grid, tokens, rows, cols, ((int64_t)1 << 29) / bytes);
    check_row("linear", GRID_NAMES[grid], shape, tier, (double)bytes, check_time(run_bench, &b, 0.3), "GB/s",
              check_ceiling(tier, STERNA_PROBE_READ));
    free_bench(&b);
}

static void bench(int32_t tier) {
    static const int64_t SHAPES[][2] = {{768, 768}, {2048, 768}, {2048, 2048}, {5632, 2048}};
    static const int64_t CHUNKS[][2] = {{288, 288}, {768, 288}, {288, 768}, {768, 768}}; /* as training calls it */
    static const int64_t GEMV[][2] = {{2048, 2048}, {5632, 2048}, {2048, 5632}, {4096, 4096}};
    static const int32_t GRIDS[] = {STERNA_BINARY, STERNA_INT2, STERNA_INT3, STERNA_INT4, STERNA_INT5, STERNA_INT6,
                                    STERNA_INT7, STERNA_INT8};
    if (tier == STERNA_REFERENCE) {
        bench_gemm(tier, STERNA_TERNARY, 16, 768, 768);
        bench_gemv(tier, STERNA_TERNARY, 1, 2048, 2048);
        return;
    }
    for (int s = 0; s < 4; s++)
        for (int64_t tokens = 512; tokens <= 2048; tokens *= 4) {
            bench_gemm(tier, STERNA_TERNARY, tokens, SHAPES[s][0], SHAPES[s][1]);
            bench_gemm(tier, STERNA_INT8, tokens, SHAPES[s][0], SHAPES[s][1]);
        }
    for (int s = 0; s < 4; s++) bench_gemm(tier, STERNA_TERNARY, 256, CHUNKS[s][0], CHUNKS[s][1]);
    for (int g = 0; g < 8; g++) bench_gemm(tier, GRIDS[g], 512, 2048, 2048);
    for (int s = 0; s < 4; s++) bench_gemv(tier, STERNA_TERNARY, 1, GEMV[s][0], GEMV[s][1]);
    for (int s = 0; s < 3; s++)
        for (int64_t tokens = 2; tokens <= 16; tokens *= 2)
            bench_gemv(tier, STERNA_TERNARY, tokens, GEMV[s][0], GEMV[s][1]);
    for (int g = 0; g < 8; g++) bench_gemv(tier, GRIDS[g], 8, 2048, 2048);
    for (int g = 0; g < 8; g++) bench_gemv(tier, GRIDS[g], 1, 2048, 2048);
}

const check_family check_linear = {"linear", check, bench, 1};
