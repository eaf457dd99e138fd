/*
 * linear_large.h: products of 8-bit codes by the pairs of bytes (linear_pairs.h) for activations that are mostly
 * small. A pair u0 x0 + u1 x1 with u up to 255 stays within int16 unless x0 and x1 have one sign and |x0 + x1| is
 * above 128: activations scaled by their largest are seldom so. The words that hold such a pair leave the
 * interleaved tokens, where a 0 takes their place, and are multiplied apart, as codes with a sign. When there are
 * too many of them, all stay, and all words are multiplied as codes with a sign. Included by linear.h.
 */
#ifndef STERNA_LINEAR_LARGE_H
#define STERNA_LINEAR_LARGE_H

/* One word in so many may be large. */
#define LARGE_SHARE 8

/* A large word of token t. */
typedef struct large_word {
    int32_t step, t, x;
} large_word;

/* The large words of eight tokens by step. */
typedef struct large_words {
    int64_t count;
    large_word of[];
} large_words;

static inline int64_t large_bytes(int64_t steps) {
    return (int64_t)sizeof(large_words) + steps * 8 / LARGE_SHARE * (int64_t)sizeof(large_word);
}

/* A bit for each of the eight words that holds a pair whose sum is above 128. */
static inline uint32_t find_large(__m256i words) {
    __m256i sums = _mm256_abs_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), words));
    __m256i large = _mm256_cmpgt_epi16(sums, _mm256_set1_epi16(128));
    __m256i either = _mm256_or_si256(large, _mm256_slli_epi32(large, 16));
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(either));
}

/* Sum of the four bytes of a word. */
static inline int32_t sum_of_word(int32_t word) {
    return (int8_t)word + (int8_t)(word >> 8) + (int8_t)(word >> 16) + (word >> 24);
}

/* The words go back to the interleaved tokens, and into the sums of their groups. */
static inline void put_back(const large_words *large, int64_t group_steps, int32_t (*tokens)[8], int32_t (*sums)[8]) {
    for (int64_t i = 0; i < large->count; i++) {
        large_word word = large->of[i];
        tokens[word.step][word.t] = word.x;
        sums[word.step / group_steps][word.t] += sum_of_word(word.x);
    }
}

/* Takes the large words out of eight tokens; tells whether that was possible. */
static inline int take_large(large_words *large, int64_t steps, int64_t group_steps, int32_t (*tokens)[8],
                             int32_t (*sums)[8]) {
    large->count = 0;
    for (int64_t s = 0; s < steps; s++) {
        uint32_t found = find_large(_mm256_load_si256((const __m256i *)tokens[s]));
        for (; found; found &= found - 1) {
            int t = __builtin_ctz(found);
            if (large->count == steps * 8 / LARGE_SHARE) {
                put_back(large, group_steps, tokens, sums);
                return 0;
            }
            large->of[large->count++] = (large_word){(int32_t)s, t, tokens[s][t]};
            sums[s / group_steps][t] -= sum_of_word(tokens[s][t]);
            tokens[s][t] = 0;
        }
    }
    return 1;
}

/* The first word in step `step` or later. */
static inline int64_t first_large(const large_words *large, int64_t step) {
    int64_t low = 0, high = large->count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (large->of[middle].step < step) low = middle + 1;
        else high = middle;
    }
    return low;
}

#endif
