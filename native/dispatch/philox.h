/* philox.h: Philox 4x32-10, one block (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011), and which of its words an element of a tensor gets. */
#ifndef STERNA_PHILOX_H
#define STERNA_PHILOX_H

#include <stdint.h>

#define STERNA_PHILOX_ROUNDS 10
#define STERNA_PHILOX_M0 0xd2511f53u /* multipliers of words 0 and 2 */
#define STERNA_PHILOX_M1 0xcd9e8d57u
#define STERNA_PHILOX_W0 0x9e3779b9u /* what a round adds to the key */
#define STERNA_PHILOX_W1 0xbb67ae85u

static inline void sterna_philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < STERNA_PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)STERNA_PHILOX_M0 * x0, p1 = (uint64_t)STERNA_PHILOX_M1 * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)p0;
        k0 += STERNA_PHILOX_W0;
        k1 += STERNA_PHILOX_W1;
    }
    out[0] = x0, out[1] = x1, out[2] = x2, out[3] = x3;
}

/* The 64 words of a block of 64 elements in a stream: word w of counter block * 16 + i is element w * 16 + i. */
static inline void sterna_philox_words(uint64_t key, uint32_t stream, int64_t block, uint32_t words[64]) {
    const uint32_t halves[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    for (int i = 0; i < 16; i++) {
        uint64_t index = (uint64_t)block * 16 + (uint64_t)i;
        uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), stream, 0}, out[4];
        sterna_philox_block(counter, halves, out);
        for (int w = 0; w < 4; w++) words[w * 16 + i] = out[w];
    }
}

#endif
