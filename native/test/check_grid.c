/* check_grid.c: the packed layout against golden bytes, and what is done with it against the reference. */
#include <stdio.h>

#include "dispatch/element.h"
#include "packed.h"

#ifndef STERNA_TEST_DATA
#error "STERNA_TEST_DATA is the folder of the golden files"
#endif

/* ---------------------------------------------------------------- golden bytes */

enum { MAX_WEIGHTS = 256 };

static int32_t grid_named(const char *name) {
    for (int32_t grid = STERNA_BINARY; grid <= STERNA_LAST_GRID; grid++)
        if (!strcmp(name, GRID_NAMES[grid])) return grid;
    return 0;
}

static int parse_codes(const char *text, float *codes) {
    int count = 0, length;
    for (; count < MAX_WEIGHTS && sscanf(text, "%f%n", &codes[count], &length) == 1; count++) text += length;
    return count;
}

static int parse_hex(const char *text, uint8_t *bytes) {
    int count = 0;
    for (unsigned byte; count < MAX_WEIGHTS && sscanf(text, "%2x", &byte) == 1; text += 2) bytes[count++] = (uint8_t)byte;
    return count;
}

static void check_golden_grid(int32_t tier, int32_t grid, float *codes, int cols, const uint8_t *bytes, int count) {
    float one = 1, back[MAX_WEIGHTS];
    sterna_packed w = {check_buffer((size_t)count, AGAINST_END, 0), &one, 1, cols, grid, STERNA_PER_TENSOR, 0};
    sterna_matrix x = {codes, 1, cols, cols, STERNA_F32, 0}, y = {back, 1, cols, cols, STERNA_F32, 0};
    CHECK(sterna_row_bytes(grid, cols) == count);
    CHECK(sterna_encode(tier, &x, &w, 0, 1) == STERNA_OK);
    check_equal("packed bytes", w.codes, bytes, (size_t)count, 1);
    CHECK(sterna_decode(tier, &w, &y, 0, 1) == STERNA_OK);
    check_equal("codes", back, codes, (size_t)cols, 4);
}

static void check_golden_trits(float *codes, int cols, uint8_t *bytes, int count) {
    float one = 1;
    uint8_t *trits = check_buffer((size_t)count, AGAINST_END, 0);
    size_t row = (size_t)sterna_row_bytes(STERNA_TERNARY, cols);
    sterna_packed w = {check_buffer(row, AGAINST_END, 0), &one, 1, cols, STERNA_TERNARY, STERNA_PER_TENSOR, 0};
    sterna_packed back = w;
    back.codes = check_buffer(row, AGAINST_END, 0);
    sterna_matrix x = {codes, 1, cols, cols, STERNA_F32, 0};
    CHECK(sterna_encode(STERNA_REFERENCE, &x, &w, 0, 1) == STERNA_OK);
    CHECK(sterna_trits_pack(&w, trits, 0, 1) == STERNA_OK);
    check_equal("trits", trits, bytes, (size_t)count, 1);
    CHECK(sterna_trits_unpack(bytes, &back, 0, 1) == STERNA_OK);
    check_equal("codes of trits", back.codes, w.codes, row, 1);
}

static void check_golden(int32_t tier) {
    check_case("golden bytes");
    FILE *file = fopen(STERNA_TEST_DATA "/packed-layout.txt", "r");
    char line[4096], name[16];
    int lines = 0;
    CHECK(file);
    while (file && fgets(line, sizeof line, file)) {
        if (line[0] == '#') continue;
        check_case("golden bytes: %.40s", line);
        float codes[MAX_WEIGHTS];
        uint8_t bytes[MAX_WEIGHTS];
        char *first = strchr(line, '|'), *second = first ? strchr(first + 1, '|') : NULL;
        CHECK(second && sscanf(line, "%15s", name) == 1);
        if (!second) break;
        int cols = parse_codes(first + 1, codes), count = parse_hex(second + 2, bytes);
        if (!strcmp(name, "trits")) check_golden_trits(codes, cols, bytes, count);
        else check_golden_grid(tier, grid_named(name), codes, cols, bytes, count);
        check_release();
        lines++;
    }
    CHECK(lines == 50);
    if (file) fclose(file);
}

/* ---------------------------------------------------------------- floats for a matrix */

/* Values on both sides of the grid's ends, on ties and on zeros of either sign. */
static float sample(const sterna_packed *w, int64_t r, int64_t c) {
    float scale = sterna_row_scales(w, r)[c / sterna_group_cols(w)];
    switch (check_range(0, 5)) {
    case 0: return 0.0f * (float)check_range(-1, 1);
    case 1: return ((float)random_code(w->grid) + 0.5f) * scale;
    case 2: return 1e30f * check_normal();
    case 3: return 1e-41f * check_normal();
    default: return check_normal() * scale * (float)sterna_qp(w->grid);
    }
}

static sterna_matrix random_matrix(int64_t rows, int64_t cols, enum check_place place) {
    int32_t type = (int32_t)check_range(STERNA_F32, STERNA_BF16);
    int64_t stride = cols + check_range(0, 5);
    size_t element = check_element_bytes(type), count = (size_t)((rows - 1) * stride + cols);
    void *data = check_buffer(count * element, place, element * (size_t)check_range(0, 3));
    return (sterna_matrix){data, rows, cols, stride, type, 0};
}

static sterna_matrix rows_of(const sterna_matrix *x, int64_t begin, int64_t end) {
    sterna_matrix part = *x;
    part.data = (char *)x->data + begin * x->stride * check_element_bytes(x->type);
    part.rows = end - begin;
    return part;
}

/* ---------------------------------------------------------------- against the reference */

static void check_encode(int32_t tier, int32_t grid, int64_t rows, int64_t cols, enum check_place place) {
    check_case("encode %s %lldx%lld", GRID_NAMES[grid], (long long)rows, (long long)cols);
    sterna_packed w = random_packed(grid, rows, cols, place), want = copy_of_packed(&w);
    sterna_matrix x = random_matrix(rows, cols, place);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) sterna_put(&x, r, c, sample(&w, r, c));
    int64_t cut = check_range(0, rows);
    sterna_matrix low = rows_of(&x, 0, cut), high = rows_of(&x, cut, rows);
    memset(w.codes, 0xff, packed_bytes(&w)); /* padding becomes zero whatever was there */
    CHECK(sterna_encode(STERNA_REFERENCE, &x, &want, 0, rows) == STERNA_OK);
    CHECK(sterna_encode(tier, &low, &w, 0, cut) == STERNA_OK);
    CHECK(sterna_encode(tier, &high, &w, cut, rows) == STERNA_OK);
    check_equal("codes", w.codes, want.codes, packed_bytes(&w), 1);

    float bad[] = {NAN, INFINITY, -INFINITY};
    sterna_put(&x, check_range(0, rows - 1), check_range(0, cols - 1), bad[check_range(0, 2)]);
    CHECK(sterna_encode(tier, &x, &w, 0, rows) == STERNA_STATUS(2, STERNA_NONFINITE));
    check_equal("codes after NONFINITE", w.codes, want.codes, packed_bytes(&w), 1);
    free(want.codes);
    check_release();
}

static void check_decode(int32_t tier, int32_t grid, int64_t rows, int64_t cols, enum check_place place) {
    check_case("decode %s %lldx%lld", GRID_NAMES[grid], (long long)rows, (long long)cols);
    sterna_packed w = random_packed(grid, rows, cols, place);
    sterna_matrix x = random_matrix(rows, cols, place), want = x;
    want.data = malloc(check_matrix_bytes(&x));
    memcpy(want.data, x.data, check_matrix_bytes(&x)); /* what lies between rows stays */
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            sterna_put(&want, r, c, (float)code_at(&w, r, c) * sterna_row_scales(&w, r)[c / sterna_group_cols(&w)]);
    int64_t cut = check_range(0, rows);
    sterna_matrix low = rows_of(&x, 0, cut), high = rows_of(&x, cut, rows);
    CHECK(sterna_decode(tier, &w, &low, 0, cut) == STERNA_OK);
    CHECK(sterna_decode(tier, &w, &high, cut, rows) == STERNA_OK);
    check_equal("values", x.data, want.data, check_matrix_bytes(&x), 1);
    free(want.data);
    check_release();
}

static void check_histogram(int32_t tier, int32_t grid, int64_t rows, int64_t cols, enum check_place place) {
    check_case("histogram %s %lldx%lld", GRID_NAMES[grid], (long long)rows, (long long)cols);
    sterna_packed w = random_packed(grid, rows, cols, place);
    int64_t *counts = check_buffer(256 * 8, place, 0), want[256];
    int64_t row0 = check_range(0, rows), row1 = check_range(row0, rows);
    for (int i = 0; i < 256; i++) counts[i] = want[i] = i;
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < cols; c++) want[code_at(&w, r, c) - sterna_qn(grid)]++;
    CHECK(sterna_histogram(tier, &w, counts, row0, row1) == STERNA_OK);
    check_equal("counts", counts, want, 256, 8);
    if (grid == STERNA_TERNARY) {
        sterna_set_code(w.codes, STERNA_INT2, 0, -2);
        CHECK(sterna_histogram(tier, &w, counts, 0, rows) == STERNA_STATUS(2, STERNA_BAD_VALUE));
        check_equal("counts after BAD_VALUE", counts, want, 256, 8);
    }
    check_release();
}

static void check_statistics(int32_t tier, int64_t rows, int64_t cols, enum check_place place) {
    int64_t group = 64 * check_range(0, 3), groups = group ? (cols + group - 1) / group : 1;
    check_case("statistics %lldx%lld by %lld", (long long)rows, (long long)cols, (long long)group);
    sterna_matrix x = random_matrix(rows, cols, place);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) sterna_put(&x, r, c, check_normal() * expf(9 * check_normal()));
    size_t count = (size_t)(rows * groups * 4);
    double *got = check_buffer(count * 8, place, 0), *want = malloc(count * 8);
    int64_t cut = check_range(0, rows);
    CHECK(sterna_statistics(STERNA_REFERENCE, &x, group, want, 0, rows) == STERNA_OK);
    CHECK(sterna_statistics(tier, &x, group, got, 0, cut) == STERNA_OK);
    CHECK(sterna_statistics(tier, &x, group, got, cut, rows) == STERNA_OK);
    check_equal("statistics", got, want, count, 8);
    free(want);
    check_release();
}

static void check_statistics_sums(int32_t tier) {
    check_case("statistics of known numbers");
    enum { COLS = 100 };
    float x[COLS];
    for (int c = 0; c < COLS; c++) x[c] = c % 2 ? -(float)c : (float)c;
    sterna_matrix matrix = {x, 1, COLS, COLS, STERNA_F32, 0};
    double stats[8], want[8] = {2016, 63, -32, 85344, 2934, 99, -18, 243006};
    CHECK(sterna_statistics(tier, &matrix, 64, stats, 0, 1) == STERNA_OK);
    check_equal("statistics", stats, want, 8, 8);
}

/* Ties go to the even code, ends saturate; for every grid at a scale of 2. */
static void check_nearest(int32_t tier, int32_t grid) {
    check_case("nearest %s", GRID_NAMES[grid]);
    int low = sterna_qn(grid), high = sterna_qp(grid), count = 0;
    float x[1100], scale = 2;
    for (float z = (float)low - 2; z <= (float)high + 2; z += 0.25f) x[count++] = z * scale;
    sterna_matrix matrix = {x, 1, count, count, STERNA_F32, 0};
    sterna_packed w = {NULL, &scale, 1, count, grid, STERNA_PER_ROW, 0};
    w.codes = check_buffer(packed_bytes(&w), AGAINST_END, 0);
    CHECK(sterna_encode(tier, &matrix, &w, 0, 1) == STERNA_OK);
    for (int c = 0; c < count; c++) {
        double z = x[c] / scale, even = 2 * round(z / 2);
        int want = (int)(fabs(z - even) <= 0.5 ? even : z > even ? even + 1 : even - 1);
        want = want < low ? low : want > high ? high : want;
        if (grid == STERNA_BINARY) want = z >= 0 ? 1 : -1;
        if (code_at(&w, 0, c) != want) check_fail("code of %g is %d, want %d", z, code_at(&w, 0, c), want);
    }
    check_release();
}

/* ---------------------------------------------------------------- trits and errors */

static void check_trits(int64_t rows, int64_t cols) {
    check_case("trits %lldx%lld", (long long)rows, (long long)cols);
    sterna_packed w = random_packed(STERNA_TERNARY, rows, cols, AGAINST_END), back = copy_of_packed(&w);
    size_t row = (size_t)((cols + 4) / 5), bytes = row * (size_t)rows;
    uint8_t *trits = check_buffer(bytes, AGAINST_END, 0);
    int64_t cut = check_range(0, rows);
    CHECK(sterna_trits_pack(&w, trits, 0, cut) == STERNA_OK);
    CHECK(sterna_trits_pack(&w, trits, cut, rows) == STERNA_OK);
    memset(back.codes, 0xff, packed_bytes(&w));
    CHECK(sterna_trits_unpack(trits, &back, cut, rows) == STERNA_OK);
    CHECK(sterna_trits_unpack(trits, &back, 0, cut) == STERNA_OK);
    check_equal("codes", back.codes, w.codes, packed_bytes(&w), 1);

    uint8_t *byte = &trits[check_range(0, (int64_t)bytes - 1)], kept = *byte;
    *byte = (uint8_t)check_range(243, 255);
    CHECK(sterna_trits_unpack(trits, &back, 0, rows) == STERNA_STATUS(1, STERNA_BAD_VALUE));
    *byte = kept;
    if (cols % 5 != 0) {
        trits[row - 1] = (uint8_t)(trits[row - 1] + 81); /* the last place becomes 2 */
        CHECK(sterna_trits_unpack(trits, &back, 0, rows) == STERNA_STATUS(1, STERNA_BAD_VALUE));
        trits[row - 1] = (uint8_t)(trits[row - 1] - 81);
    }
    check_equal("codes after BAD_VALUE", back.codes, w.codes, packed_bytes(&w), 1);
    uint8_t *first = malloc(bytes);
    memcpy(first, trits, bytes);
    sterna_set_code(w.codes, STERNA_INT2, 0, -2);
    CHECK(sterna_trits_pack(&w, trits, 0, rows) == STERNA_STATUS(1, STERNA_BAD_VALUE));
    check_equal("trits after BAD_VALUE", trits, first, bytes, 1);
    free(first);
    free(back.codes);
    check_release();
}

static void check_errors(int32_t tier) {
    check_case("grid argument errors");
    CHECK(sterna_row_bytes(STERNA_INT7, 65) == 112);
    CHECK(sterna_row_bytes(0, 64) == STERNA_STATUS(1, STERNA_BAD_TYPE));
    CHECK(sterna_row_bytes(STERNA_LAST_GRID + 1, 64) == STERNA_STATUS(1, STERNA_BAD_TYPE));
    CHECK(sterna_row_bytes(1, 0) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    CHECK(sterna_row_bytes(1, STERNA_MAX_COLS + 1) == STERNA_STATUS(2, STERNA_BAD_SHAPE));

    enum { COLS = 70 };
    float data[2 * COLS] = {0}, scales[4] = {1, 1, 1, 1};
    uint8_t codes[64] = {0}, trits[32] = {0}, zeros[64] = {0};
    double stats[8];
    int64_t counts[256] = {0};
    sterna_matrix x = {data, 2, COLS, COLS, STERNA_F32, 0}, narrow = x, tall = x;
    narrow.cols = COLS - 1, tall.rows = 1;
    sterna_packed w = {codes, scales, 2, COLS, STERNA_TERNARY, STERNA_PER_ROW, 0}, bad = w, int4 = w;
    int4.grid = STERNA_INT4;
    CHECK(sterna_statistics(99, &x, 0, stats, 0, 2) == STERNA_STATUS(1, STERNA_BAD_TIER));
    CHECK(sterna_statistics(tier, NULL, 0, stats, 0, 2) == STERNA_STATUS(2, STERNA_BAD_NULL));
    CHECK(sterna_statistics(tier, &x, 32, stats, 0, 2) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    CHECK(sterna_statistics(tier, &x, 0, NULL, 0, 2) == STERNA_STATUS(4, STERNA_BAD_NULL));
    CHECK(sterna_statistics(tier, &x, 0, stats, -1, 2) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    CHECK(sterna_statistics(tier, &x, 0, stats, 3, 3) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    CHECK(sterna_statistics(tier, &x, 0, stats, 0, 3) == STERNA_STATUS(6, STERNA_BAD_RANGE));
    CHECK(sterna_encode(tier, &narrow, &w, 0, 2) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    CHECK(sterna_encode(tier, &tall, &w, 0, 2) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    CHECK(sterna_encode(tier, &x, NULL, 0, 2) == STERNA_STATUS(3, STERNA_BAD_NULL));
    CHECK(sterna_encode(tier, &x, &w, 3, 3) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    CHECK(sterna_encode(tier, &x, &w, 2, 1) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    CHECK(sterna_decode(tier, &w, &narrow, 0, 2) == STERNA_STATUS(3, STERNA_BAD_SHAPE));
    CHECK(sterna_decode(tier, &w, &x, 3, 3) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    CHECK(sterna_decode(tier, &w, &x, 0, 3) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    CHECK(sterna_histogram(tier, &w, NULL, 0, 2) == STERNA_STATUS(3, STERNA_BAD_NULL));
    CHECK(sterna_histogram(tier, &w, counts, 3, 3) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    CHECK(sterna_histogram(tier, &w, counts, 0, 3) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    CHECK(sterna_trits_pack(&int4, trits, 0, 2) == STERNA_STATUS(1, STERNA_BAD_TYPE));
    CHECK(sterna_trits_pack(&w, NULL, 0, 2) == STERNA_STATUS(2, STERNA_BAD_NULL));
    CHECK(sterna_trits_pack(&w, trits, 3, 3) == STERNA_STATUS(3, STERNA_BAD_RANGE));
    CHECK(sterna_trits_pack(&w, trits, 0, 3) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    CHECK(sterna_trits_unpack(trits, &w, 3, 3) == STERNA_STATUS(3, STERNA_BAD_RANGE));
    CHECK(sterna_trits_unpack(trits, &w, 0, 3) == STERNA_STATUS(4, STERNA_BAD_RANGE));
    bad.scaling = STERNA_PER_GROUP, bad.group = 96;
    CHECK(sterna_decode(tier, &bad, &x, 0, 2) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    bad.group = INT64_MAX - 63; /* cols + group would overflow */
    CHECK(sterna_decode(tier, &bad, &x, 0, 2) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    bad = w, bad.rows = ((int64_t)1 << 40) + 1;
    CHECK(sterna_decode(tier, &bad, &x, 0, 2) == STERNA_STATUS(2, STERNA_BAD_SHAPE));
    bad = w, bad.scales = (float *)((char *)scales + 2);
    CHECK(sterna_decode(tier, &bad, &x, 0, 2) == STERNA_STATUS(2, STERNA_BAD_ALIGNMENT));
    float wrong[] = {0, -1, NAN, INFINITY, 1e-45f};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        scales[1] = wrong[i];
        CHECK(sterna_encode(tier, &x, &w, 0, 2) == STERNA_STATUS(3, STERNA_BAD_VALUE));
    }
    check_equal("codes", codes, zeros, sizeof codes, 1);
    for (int i = 0; i < 256; i++) CHECK(counts[i] == 0);
}

static void check(int32_t tier) {
    check_golden(tier);
    for (int32_t grid = STERNA_BINARY; grid <= STERNA_LAST_GRID; grid++) {
        check_nearest(tier, grid);
        for (int64_t cols = 1; cols <= 330; cols = next_cols(cols))
            for (int place = AGAINST_END; place <= AGAINST_START; place++) {
                int64_t rows = check_range(1, 3);
                check_encode(tier, grid, rows, cols, place);
                check_decode(tier, grid, rows, cols, place);
                check_histogram(tier, grid, rows, cols, place);
            }
    }
    for (int64_t cols = 1; cols <= 330; cols = next_cols(cols))
        for (int place = AGAINST_END; place <= AGAINST_START; place++) check_statistics(tier, check_range(1, 3), cols, place);
    check_statistics_sums(tier);
    for (int64_t cols = 1; cols < 140 && tier == STERNA_REFERENCE; cols++) check_trits(check_range(1, 3), cols);
    check_errors(tier);
}

/* ---------------------------------------------------------------- bench */

struct job {
    int32_t tier;
    sterna_packed w;
    sterna_matrix x;
    double *stats;
};

static void run_encode(void *argument) {
    const struct job *job = argument;
    sterna_encode(job->tier, &job->x, &job->w, 0, job->w.rows);
}

static void run_decode(void *argument) {
    const struct job *job = argument;
    sterna_decode(job->tier, &job->w, &job->x, 0, job->w.rows);
}

static void run_statistics(void *argument) {
    const struct job *job = argument;
    sterna_statistics(job->tier, &job->x, 0, job->stats, 0, job->x.rows);
}

static void bench(int32_t tier) {
    enum { ROWS = 64, COLS = 2048 };
    float scale = 0.02f;
    double bytes = 4.0 * ROWS * COLS;
    const int32_t grids[] = {STERNA_TERNARY, STERNA_INT4, STERNA_INT8};
    struct job job = {tier, {NULL, &scale, ROWS, COLS, 0, STERNA_PER_TENSOR, 0}, {NULL, ROWS, COLS, COLS, STERNA_F32, 0}, NULL};
    job.x.data = check_buffer((size_t)bytes, AGAINST_END, 0);
    job.stats = check_buffer(ROWS * 32, AGAINST_END, 0);
    for (int i = 0; i < ROWS * COLS; i++) ((float *)job.x.data)[i] = 0.02f * check_normal();
    check_row("statistics", "", "64x2048", tier, bytes, check_time(run_statistics, &job, 0.2), "GB/s", 0);
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        job.w.grid = grids[i];
        job.w.codes = check_buffer(packed_bytes(&job.w), AGAINST_END, 0);
        const char *name = GRID_NAMES[grids[i]];
        check_row("encode", name, "64x2048", tier, bytes, check_time(run_encode, &job, 0.2), "GB/s", 0);
        check_row("decode", name, "64x2048", tier, bytes, check_time(run_decode, &job, 0.2), "GB/s", 0);
    }
}

const check_family check_grid = {"grid", check, bench, 0};
