/*
 * linear_runs.h: how many steps of pairs (linear_pairs.h) may be added in int16 before they are widened, for codes of
 * up to 6 bits. What eight tokens hold says it: as u >= 0, a lane's sum stays between -U times the sum of its negative
 * x and U times that of its positive x, U being the largest u. Activations scaled by their largest are mostly small,
 * so that runs are several times longer than with x = +-127 throughout. Included by linear_pairs.h.
 */
#ifndef STERNA_LINEAR_RUNS_H
#define STERNA_LINEAR_RUNS_H

#define RUN_STEPS 8 /* runs are multiples of it */

/* The sums of positive and of -negative x, by token and pair. */
typedef struct pair_sums {
    __m256i positive, negative;
} pair_sums;

static inline pair_sums sum_pairs(const int32_t (*tokens)[8], int64_t steps) {
    __m256i one = _mm256_set1_epi8(1), sum = _mm256_setzero_si256(), absolute = sum;
    for (int64_t s = 0; s < steps; s++) {
        __m256i x = _mm256_load_si256((const __m256i *)tokens[s]);
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(one, x));
        absolute = _mm256_add_epi16(absolute, _mm256_maddubs_epi16(_mm256_abs_epi8(x), one));
    }
    return (pair_sums){_mm256_srli_epi16(_mm256_add_epi16(absolute, sum), 1),
                       _mm256_srli_epi16(_mm256_sub_epi16(absolute, sum), 1)};
}

static inline int any_above(pair_sums a, int32_t limit) {
    __m256i most = _mm256_max_epi16(a.positive, a.negative);
    return !!_mm256_movemask_epi8(_mm256_cmpgt_epi16(most, _mm256_set1_epi16((int16_t)limit)));
}

static inline void fill_ends(int32_t *ends, int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; s += RUN_STEPS) ends[s / RUN_STEPS] = (int32_t)end;
}

/* ends[i] = the end of the run that holds step i * RUN_STEPS; tells whether runs of RUN_STEPS are short enough. */
static inline int find_runs(const int32_t (*tokens)[8], int64_t steps, int bits, int32_t *ends) {
    int32_t limit = 32767 / largest_u(bits);
    int64_t begin = 0;
    pair_sums run = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int64_t s = 0; s < steps; s += RUN_STEPS) {
        pair_sums some = sum_pairs(tokens + s, RUN_STEPS);
        if (any_above(some, limit)) return 0;
        run.positive = _mm256_add_epi16(run.positive, some.positive);
        run.negative = _mm256_add_epi16(run.negative, some.negative);
        if (any_above(run, limit)) {
            fill_ends(ends, begin, s);
            begin = s;
            run = some;
        }
    }
    fill_ends(ends, begin, steps);
    return 1;
}

#endif
