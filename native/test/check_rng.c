/* check_rng.c: Philox against the published answers, normal numbers by their moments and tails. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dispatch/bf16.h"

/* Known answers of Philox 4x32-10 (Salmon et al., SC 2011): counter, key, output. */
static const uint32_t ANSWERS[][10] = {
    {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
    {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
     0x6d5451fd},
    {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
     0x24126ea1},
};

/* An answer must come out at every place of a run of blocks: the run starts `before` counters earlier. */
static void check_answer(int32_t tier, const uint32_t answer[10], uint32_t before) {
    check_case("philox known answer %08x at block %u", answer[6], before);
    uint32_t counter[4], borrow = before;
    for (int w = 0; w < 4; w++) {
        counter[w] = answer[w] - borrow;
        borrow = answer[w] < borrow;
    }
    uint32_t *out = check_buffer(16 * (before + 40), AGAINST_END, 0);
    CHECK(sterna_philox(tier, counter, answer + 4, out, before + 40) == STERNA_OK);
    check_equal("philox", out + 4 * before, answer + 6, 4, 4);
    check_release();
}

static void check_blocks(int32_t tier, int64_t blocks, enum check_place place) {
    uint32_t counter[4], key[2];
    for (int w = 0; w < 4; w++) counter[w] = (uint32_t)check_random();
    for (int w = 0; w < 2; w++) key[w] = (uint32_t)check_random();
    if (blocks % 2) counter[0] = (uint32_t)-(blocks / 2), counter[1] = counter[2] = 0xffffffff; /* carries */
    check_case("philox %lld blocks", (long long)blocks);
    size_t bytes = 16 * (size_t)blocks;
    uint32_t *got = check_buffer(bytes, place, place == AGAINST_END ? 0 : 4), *want = malloc(bytes + 1);
    CHECK(sterna_philox(tier, counter, key, got, blocks) == STERNA_OK);
    CHECK(sterna_philox(STERNA_REFERENCE, counter, key, want, blocks) == STERNA_OK);
    check_equal("philox", got, want, 4 * (size_t)blocks, 4);
    free(want);
    check_release();
}

static void check_keys(void) {
    check_case("key");
    const uint32_t counter[4] = {7, 0x22222222, 0x11111111, 0x53544552}, seed[2] = {0x44444444, 0x33333333};
    uint32_t out[4];
    CHECK(sterna_philox(STERNA_REFERENCE, counter, seed, out, 1) == STERNA_OK);
    CHECK(sterna_key(0x3333333344444444, 7, 0x1111111122222222) == ((uint64_t)out[1] << 32 | out[0]));
}

/* Rows of a tensor, cut in two slices, in a buffer with a stride. */
static void check_normal_bytes(int32_t tier, int64_t rows, int64_t cols, int32_t type, enum check_place place) {
    check_case("normal %lldx%lld type %d", (long long)rows, (long long)cols, type);
    int64_t stride = cols + check_range(0, 3), row0 = check_range(0, 1000), cut = check_range(0, rows);
    size_t element = check_element_bytes(type), count = (size_t)((rows - 1) * stride + cols);
    uint64_t key = check_random();
    char *got = check_buffer(count * element, place, place == AGAINST_END ? 0 : element), *want = malloc(count * element);
    memcpy(want, got, count * element); /* what lies between rows stays */
    sterna_matrix a = {want, rows, cols, stride, type, 0}, low = {got, cut, cols, stride, type, 0};
    sterna_matrix high = {got + (size_t)(cut * stride) * element, rows - cut, cols, stride, type, 0};
    CHECK(sterna_normal(STERNA_REFERENCE, key, 0.02f, &a, row0, row0 + rows) == STERNA_OK);
    CHECK(sterna_normal(tier, key, 0.02f, &low, row0, row0 + cut) == STERNA_OK);
    CHECK(sterna_normal(tier, key, 0.02f, &high, row0 + cut, row0 + rows) == STERNA_OK);
    check_equal("normal", got, want, count, element);
    free(want);
    check_release();
}

/* Mean, variance, fourth moment and the share beyond 3 of 2^20 numbers, each within 6 standard errors:
 * a false alarm below 1e-8. */
static void check_distribution(int32_t tier) {
    check_case("normal distribution");
    enum { ROWS = 1024, COLS = 1024 };
    double n = (double)ROWS * COLS, sum = 0, squares = 0, fourth = 0, beyond = 0, largest = 0, neighbours = 0;
    float *x = malloc((size_t)n * 4);
    sterna_matrix matrix = {x, ROWS, COLS, COLS, STERNA_F32, 0};
    CHECK(sterna_normal(tier, 42, 1, &matrix, 0, ROWS) == STERNA_OK);
    for (size_t i = 0; i < (size_t)n; i++) {
        double v = x[i];
        sum += v, squares += v * v, fourth += v * v * v * v;
        beyond += fabs(v) > 3;
        largest = fmax(largest, fabs(v));
        neighbours += v * (double)x[i ^ 16]; /* the other half of a Box-Muller pair */
    }
    double share = 0.0026997960632601866; /* of |x| > 3 */
    CHECK(fabs(sum / n) < 6 / sqrt(n));
    CHECK(fabs(squares / n - 1) < 6 * sqrt(2 / n));
    CHECK(fabs(fourth / n - 3) < 6 * sqrt(96 / n));
    CHECK(fabs(beyond / n - share) < 6 * sqrt(share / n));
    CHECK(largest > 4 && largest < 7);
    CHECK(fabs(neighbours / n) < 6 * sqrt(2 / n));
    free(x);
}

/* Box-Muller in the C library's functions, from the words of the specification. */
static void check_formula(int32_t tier) {
    check_case("normal formula");
    enum { COLS = 200 };
    float x[COLS];
    sterna_matrix matrix = {x, 1, COLS, COLS, STERNA_F32, 0};
    const uint32_t key[2] = {5, 9};
    CHECK(sterna_normal(tier, (uint64_t)9 << 32 | 5, 1, &matrix, 3, 4) == STERNA_OK);
    for (int c = 0; c < COLS; c++) {
        int j = c % 64, even = j & ~16;
        uint32_t index = (uint32_t)(3 * 4 + c / 64) * 16 + (uint32_t)j % 16, words[4];
        const uint32_t counter[4] = {index, 0, STERNA_STREAM_NORMAL, 0};
        CHECK(sterna_philox(tier, counter, key, words, 1) == STERNA_OK);
        double radius = sqrt(-2 * log((words[even / 16] + 1.0) / 0x1p32));
        double angle = 2 * M_PI * (words[even / 16 + 1] / 0x1p32);
        double want = radius * (j & 16 ? sin(angle) : cos(angle)), bound = 1e-6;
        check_near("normal", x + c, &want, &bound, 0, 1);
    }
}

static void check_errors(int32_t tier) {
    check_case("rng argument errors");
    uint32_t words[8] = {0};
    float data[8];
    sterna_matrix x = {data, 2, 4, 4, STERNA_F32, 0}, bad = x;
    CHECK(sterna_philox(-1, words, words, words, 1) == STERNA_STATUS(1, STERNA_BAD_TIER));
    CHECK(sterna_philox(tier, NULL, words, words, 1) == STERNA_STATUS(2, STERNA_BAD_NULL));
    CHECK(sterna_philox(tier, words, (uint32_t *)((char *)words + 1), words, 1) == STERNA_STATUS(3, STERNA_BAD_ALIGNMENT));
    CHECK(sterna_philox(tier, words, words, NULL, 1) == STERNA_STATUS(4, STERNA_BAD_NULL));
    CHECK(sterna_philox(tier, words, words, words, -1) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    CHECK(sterna_normal(tier, 1, -1, &x, 0, 2) == STERNA_STATUS(3, STERNA_BAD_RANGE));
    CHECK(sterna_normal(tier, 1, NAN, &x, 0, 2) == STERNA_STATUS(3, STERNA_BAD_RANGE));
    CHECK(sterna_normal(tier, 1, 1, NULL, 0, 2) == STERNA_STATUS(4, STERNA_BAD_NULL));
    CHECK(sterna_normal(tier, 1, 1, &x, 0, 3) == STERNA_STATUS(4, STERNA_BAD_SHAPE));
    CHECK(sterna_normal(tier, 1, 1, &x, -1, 1) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    CHECK(sterna_normal(tier, 1, 1, &x, 1, 0) == STERNA_STATUS(6, STERNA_BAD_RANGE));
    bad.cols = bad.stride = (int64_t)1 << 40; /* of a tensor of 2^57 elements */
    CHECK(sterna_normal(tier, 1, 1, &bad, 1 << 17, 1 << 17) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    bad = x, bad.type = STERNA_I8;
    CHECK(sterna_normal(tier, 1, 1, &bad, 0, 2) == STERNA_STATUS(4, STERNA_BAD_TYPE));
    for (int i = 0; i < 8; i++) CHECK(words[i] == 0);
}

static void check(int32_t tier) {
    for (size_t i = 0; i < sizeof ANSWERS / sizeof *ANSWERS; i++)
        for (uint32_t before = 0; before < 40; before++) check_answer(tier, ANSWERS[i], before);
    for (int64_t blocks = 0; blocks < 100; blocks++)
        for (int place = AGAINST_END; place <= AGAINST_START; place++) check_blocks(tier, blocks, place);
    check_keys();
    for (int64_t cols = 1; cols <= 200; cols += cols < 70 ? 1 : 13)
        for (int place = AGAINST_END; place <= AGAINST_START; place++)
            check_normal_bytes(tier, check_range(1, 3), cols, (int32_t)check_range(STERNA_F32, STERNA_BF16), place);
    check_distribution(tier);
    check_formula(tier);
    check_errors(tier);
}

struct job {
    int32_t tier;
    void *out;
    int64_t count;
};

static void run_philox(void *argument) {
    const struct job *job = argument;
    const uint32_t counter[4] = {0, 1, 2, 3}, key[2] = {4, 5};
    sterna_philox(job->tier, counter, key, job->out, job->count);
}

static void run_normal(void *argument) {
    const struct job *job = argument;
    sterna_matrix x = {job->out, 1, job->count, job->count, STERNA_F32, 0};
    sterna_normal(job->tier, 1, 1, &x, 0, 1);
}

static void bench(int32_t tier) {
    enum { BYTES = 16384 }; /* stays in L1 */
    struct job job = {tier, check_buffer(BYTES, AGAINST_END, 0), BYTES / 16};
    check_row("philox", "", "16 KiB", tier, BYTES, check_time(run_philox, &job, 0.3), "GB/s", 0);
    job.count = BYTES / 4;
    check_row("normal", "", "16 KiB", tier, BYTES, check_time(run_normal, &job, 0.3), "GB/s", 0);
}

const check_family check_rng = {"rng", check, bench, 0};
