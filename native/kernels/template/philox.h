/*
 * philox.h: Philox 4x32-10 on vectors of 64-bit lanes, a counter a lane. A word lies in the low half of its
 * lane, where the multiply instruction reads it; the upper half may hold anything. Several vectors go
 * through the rounds together, because the rounds of one form a chain whose latency the others fill.
 */
#ifndef STERNA_TEMPLATE_PHILOX_H
#define STERNA_TEMPLATE_PHILOX_H

#include "dispatch/philox.h"
#include "kernels/template/lanes.h"

/* The key of every round, in 64 bits so that a load broadcasts it to the lanes. */
typedef struct round_keys {
    uint64_t first[STERNA_PHILOX_ROUNDS], second[STERNA_PHILOX_ROUNDS];
} round_keys;

INLINE round_keys expand_key(uint32_t key0, uint32_t key1) {
    round_keys keys;
    for (uint32_t i = 0; i < STERNA_PHILOX_ROUNDS; i++) {
        keys.first[i] = key0 + i * STERNA_PHILOX_W0;
        keys.second[i] = key1 + i * STERNA_PHILOX_W1;
    }
    return keys;
}

/* Words 0...3 of the counters in up to four vectors. */
typedef struct philox_state {
    vlong x0[4], x1[4], x2[4], x3[4];
} philox_state;

/* Rounds 1 and 2 of n vectors. Words 1...3 are the same for all counters, so half of the products are
 * scalar; the caller has counter word 0 times M0, which takes an addition from one vector to the next. */
INLINE philox_state first_rounds(const round_keys *keys, int n, const vlong *product0, uint32_t counter1,
                                 uint32_t counter2, uint32_t counter3) {
    uint64_t p1 = (uint64_t)STERNA_PHILOX_M1 * counter2;
    uint32_t x0 = (uint32_t)(p1 >> 32) ^ counter1 ^ (uint32_t)keys->first[0], x1 = (uint32_t)p1;
    uint64_t p0 = (uint64_t)STERNA_PHILOX_M0 * x0;
    vlong round1 = splat_long(counter3 ^ keys->second[0]);
    vlong round2_first = splat_long(x1 ^ keys->first[1]);
    vlong round2_second = splat_long((uint32_t)(p0 >> 32) ^ keys->second[1]);
    philox_state s;
#pragma GCC unroll 4
    for (int v = 0; v < n; v++) {
        vlong product = multiply_low(upper_half(product0[v]) ^ round1, splat_long(STERNA_PHILOX_M1));
        s.x0[v] = upper_half(product) ^ round2_first;
        s.x1[v] = product;
        s.x2[v] = product0[v] ^ round2_second;
        s.x3[v] = splat_long((uint32_t)p0);
    }
    return s;
}

/* All rounds but the last, which depends on the order the words are wanted in. */
INLINE philox_state nine_rounds(const round_keys *keys, int n, const vlong *product0, uint32_t counter1,
                                uint32_t counter2, uint32_t counter3) {
    philox_state s = first_rounds(keys, n, product0, counter1, counter2, counter3);
#pragma GCC unroll 8
    for (int round = 2; round < STERNA_PHILOX_ROUNDS - 1; round++) {
        vlong key0 = splat_long(keys->first[round]), key1 = splat_long(keys->second[round]);
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) {
            vlong p0 = multiply_low(s.x0[v], splat_long(STERNA_PHILOX_M0));
            vlong p1 = multiply_low(s.x2[v], splat_long(STERNA_PHILOX_M1));
            s.x0[v] = xor3(upper_half(p1), s.x1[v], key0);
            s.x1[v] = p1;
            s.x2[v] = xor3(upper_half(p0), s.x3[v], key1);
            s.x3[v] = p0;
        }
    }
    return s;
}

/* Half of the last round, x and then the other factor's words, for counters in the even lanes (a) and the
 * odd ones (b): words [0] (or [2]) from the upper halves, [1] (or [3]) from the lower halves of products. */
INLINE void last_round(const vlong multiplicand[2], uint32_t multiplier, const vlong partner[2], uint64_t key,
                       vuint *upper, vuint *lower) {
    vlong a = multiply_low(multiplicand[0], splat_long(multiplier));
    vlong b = multiply_low(multiplicand[1], splat_long(multiplier));
    vuint other = interleave(partner[0], partner[1]);
    *upper = (vuint)xor3((vlong)interleave_upper(a, b), (vlong)other, (vlong)splat_long(key << 32 | key));
    *lower = interleave(a, b);
}

/* The last round of two vectors, the even and the odd counters among LANES: word w of them is words[w * 16 / LANES]. */
INLINE void finish_words(const round_keys *keys, const philox_state *s, int v, vuint *words) {
    int last = STERNA_PHILOX_ROUNDS - 1;
    last_round(s->x2 + v, STERNA_PHILOX_M1, s->x1 + v, keys->first[last], words, words + 16 / LANES);
    last_round(s->x0 + v, STERNA_PHILOX_M0, s->x3 + v, keys->second[last], words + 32 / LANES, words + 48 / LANES);
}

/* The words of block `block` of 64 elements in a stream: words[v] belongs to elements v * LANES ... */
INLINE void block_words(const round_keys *keys, uint32_t stream, int64_t block, vuint words[VECTORS]) {
    for (int begin = 0; begin < 16; begin += LANES) {
        uint64_t index = (uint64_t)block * 16 + (uint64_t)begin; /* a multiple of LANES: adding lanes carries nothing */
        vlong even = splat_long((uint64_t)STERNA_PHILOX_M0 * (uint32_t)index) + even_multiples(STERNA_PHILOX_M0);
        vlong products[2] = {even, even + splat_long(STERNA_PHILOX_M0)};
        philox_state s = nine_rounds(keys, 2, products, (uint32_t)(index >> 32), stream, 0);
        finish_words(keys, &s, 0, words + begin / LANES);
    }
}

/* The words of blocks `block`, an even number, and `block` + 1: with 16 lanes the four chains of both run together. */
INLINE void block_pair_words(const round_keys *keys, uint32_t stream, int64_t block, vuint words[2][VECTORS]) {
#if LANES == 16
    uint64_t index = (uint64_t)block * 16; /* a multiple of 32: adding lanes and 16 carries nothing */
    vlong even = splat_long((uint64_t)STERNA_PHILOX_M0 * (uint32_t)index) + even_multiples(STERNA_PHILOX_M0);
    vlong odd = even + splat_long(STERNA_PHILOX_M0), next = splat_long(16 * (uint64_t)STERNA_PHILOX_M0);
    vlong products[4] = {even, odd, even + next, odd + next};
    philox_state s = nine_rounds(keys, 4, products, (uint32_t)(index >> 32), stream, 0);
    finish_words(keys, &s, 0, words[0]);
    finish_words(keys, &s, 2, words[1]);
#else
    block_words(keys, stream, block, words[0]);
    block_words(keys, stream, block + 1, words[1]);
#endif
}

#endif
