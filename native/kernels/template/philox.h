/*
 * philox.h: Philox 4x32-10 on two vectors of 64-bit lanes, LANES counters at once. A word lies in the low
 * half of its lane, where the multiply instruction reads it; the upper half may hold anything.
 * Two vectors, because the rounds of one form a chain whose latency the other fills.
 */
#ifndef STERNA_TEMPLATE_PHILOX_H
#define STERNA_TEMPLATE_PHILOX_H

#include "dispatch/philox.h"
#include "kernels/template/lanes.h"

/* The key of every round. */
typedef struct round_keys {
    uint32_t first[STERNA_PHILOX_ROUNDS], second[STERNA_PHILOX_ROUNDS];
} round_keys;

INLINE round_keys expand_key(uint32_t key0, uint32_t key1) {
    round_keys keys;
    for (uint32_t i = 0; i < STERNA_PHILOX_ROUNDS; i++) {
        keys.first[i] = key0 + i * STERNA_PHILOX_W0;
        keys.second[i] = key1 + i * STERNA_PHILOX_W1;
    }
    return keys;
}

/* Words 0...3 of the counters in each of the two vectors. */
typedef struct philox_state {
    vlong x0[2], x1[2], x2[2], x3[2];
} philox_state;

/* Rounds 1 and 2. Words 1...3 are the same for all counters, so half of the products are scalar. */
INLINE philox_state first_rounds(const round_keys *keys, const vlong counter0[2], uint32_t counter1,
                                 uint32_t counter2, uint32_t counter3) {
    uint64_t p1 = (uint64_t)STERNA_PHILOX_M1 * counter2;
    uint32_t x0 = (uint32_t)(p1 >> 32) ^ counter1 ^ keys->first[0], x1 = (uint32_t)p1;
    uint64_t p0 = (uint64_t)STERNA_PHILOX_M0 * x0;
    vlong round1 = splat_long(counter3 ^ keys->second[0]);
    vlong round2_first = splat_long(x1 ^ keys->first[1]);
    vlong round2_second = splat_long((uint32_t)(p0 >> 32) ^ keys->second[1]);
    philox_state s;
    for (int v = 0; v < 2; v++) {
        vlong product = multiply_low(counter0[v], splat_long(STERNA_PHILOX_M0));
        vlong x2 = (product >> 32) ^ round1, x3 = product;
        product = multiply_low(x2, splat_long(STERNA_PHILOX_M1));
        s.x0[v] = (product >> 32) ^ round2_first;
        s.x1[v] = product;
        s.x2[v] = x3 ^ round2_second;
        s.x3[v] = splat_long((uint32_t)p0);
    }
    return s;
}

INLINE philox_state philox_rounds(const round_keys *keys, const vlong counter0[2], uint32_t counter1,
                                  uint32_t counter2, uint32_t counter3) {
    philox_state s = first_rounds(keys, counter0, counter1, counter2, counter3);
#pragma GCC unroll 8
    for (int round = 2; round < STERNA_PHILOX_ROUNDS; round++) {
        vlong key0 = splat_long(keys->first[round]), key1 = splat_long(keys->second[round]);
        for (int v = 0; v < 2; v++) {
            vlong p0 = multiply_low(s.x0[v], splat_long(STERNA_PHILOX_M0));
            vlong p1 = multiply_low(s.x2[v], splat_long(STERNA_PHILOX_M1));
            s.x0[v] = xor3(p1 >> 32, s.x1[v], key0);
            s.x1[v] = p1;
            s.x2[v] = xor3(p0 >> 32, s.x3[v], key1);
            s.x3[v] = p0;
        }
    }
    return s;
}

/* The words of block `block` of 64 elements in a stream: words[v] belongs to elements v * LANES ... */
INLINE void block_words(const round_keys *keys, uint32_t stream, int64_t block, vuint words[VECTORS]) {
    for (int begin = 0; begin < 16; begin += LANES) {
        uint64_t index = (uint64_t)block * 16 + (uint64_t)begin; /* a multiple of LANES: adding lanes carries nothing */
        vlong counters = (vlong)(splat_int((int32_t)index) + lane_numbers());
        vlong halves[2] = {counters, counters >> 32};
        philox_state s = philox_rounds(keys, halves, (uint32_t)(index >> 32), stream, 0);
        words[begin / LANES] = interleave(s.x0[0], s.x0[1]);
        words[(begin + 16) / LANES] = interleave(s.x1[0], s.x1[1]);
        words[(begin + 32) / LANES] = interleave(s.x2[0], s.x2[1]);
        words[(begin + 48) / LANES] = interleave(s.x3[0], s.x3[1]);
    }
}

#endif
