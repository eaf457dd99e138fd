/*
 * linear_large.h: products of 8-bit codes by the pairs of bytes (linear_pairs.h) for activations that are mostly
 * small. A pair u0 x0 + u1 x1 with u up to 255 stays within int16 unless x0 and x1 have one sign and |x0 + x1| is
 * above 128: activations scaled by their largest are seldom so. Of such a pair x0 gives up what is above 128; a word
 * with what its pairs gave up is multiplied apart. When there are too many of them, all take it back, and all words are
 * multiplied as codes with a sign. Included by linear.h.
 */
#ifndef STERNA_LINEAR_LARGE_H
#define STERNA_LINEAR_LARGE_H

/* One word of a token in so many may be large. */
#define LARGE_SHARE 8

/* What the pairs of a word gave up, in the lower byte of each. */
typedef struct large_word {
    int32_t step, x;
} large_word;

/* The large words of eight tokens, those of a token together and by step. */
typedef struct large_words {
    int64_t most; /* of a token */
    int64_t count[8];
    large_word of[];
} large_words;

static inline int64_t most_large(int64_t steps) {
    return steps / LARGE_SHARE;
}

static inline int64_t large_bytes(int64_t steps) {
    return (int64_t)sizeof(large_words) + 8 * (most_large(steps) + 1) * (int64_t)sizeof(large_word);
}

static inline large_word *large_of(large_words *large, int64_t t) {
    return large->of + t * (large->most + 1); /* and one with which it is full */
}

/* What the pairs of eight words give up. */
static inline __m256i above_128(__m256i words) {
    __m256i limit = _mm256_set1_epi16(128), sums = _mm256_maddubs_epi16(_mm256_set1_epi8(1), words);
    __m256i clipped = _mm256_max_epi16(_mm256_min_epi16(sums, limit), _mm256_sub_epi16(_mm256_setzero_si256(), limit));
    return _mm256_and_si256(_mm256_sub_epi16(sums, clipped), _mm256_set1_epi16(0xff));
}

/* A bit for each of the eight words that is not 0. */
static inline uint32_t nonzero_words(__m256i words) {
    __m256i zero = _mm256_cmpeq_epi32(words, _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(zero)) & 0xff;
}

/* All pairs take back what they gave up. */
static inline void put_back(large_words *large, int32_t (*tokens)[8]) {
    for (int64_t t = 0; t < 8; t++)
        for (const large_word *word = large_of(large, t); word < large_of(large, t) + large->count[t]; word++) {
            int8_t *x = (int8_t *)&tokens[word->step][t];
            for (int i = 0; i < 4; i += 2) x[i] = (int8_t)(x[i] + (int8_t)(word->x >> 8 * i));
        }
}

/* Takes from the pairs of eight tokens what is above 128; tells whether that was possible. */
static inline int take_large(large_words *large, int64_t steps, int32_t (*tokens)[8]) {
    int full = 0;
    *large = (large_words){.most = most_large(steps)};
    for (int64_t s = 0; s < steps; s++) {
        __m256i words = _mm256_load_si256((const __m256i *)tokens[s]), above = above_128(words);
        uint32_t found = nonzero_words(above);
        if (!found) continue;
        int32_t apart[8] __attribute__((aligned(32)));
        _mm256_store_si256((__m256i *)apart, above);
        _mm256_store_si256((__m256i *)tokens[s], _mm256_sub_epi8(words, above));
        for (; found; found &= found - 1) {
            int t = __builtin_ctz(found);
            large_of(large, t)[large->count[t]++] = (large_word){(int32_t)s, apart[t]};
            full |= large->count[t] > large->most;
        }
        if (full) {
            put_back(large, tokens);
            return 0;
        }
    }
    return 1;
}

/* The first word of token t in step `step` or later. */
static inline int64_t first_large(large_words *large, int64_t t, int64_t step) {
    int64_t low = 0, high = large->count[t];
    if (high == 0 || large_of(large, t)[0].step >= step) return 0; /* most rows are not cut */
    if (large_of(large, t)[high - 1].step < step) return high;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (large_of(large, t)[middle].step < step) low = middle + 1;
        else high = middle;
    }
    return low;
}

#endif
