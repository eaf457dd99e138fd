/* rng.h: Philox blocks and normal numbers of a tier. Includer defines TIER(op), the tier's name of an operation. */
#include "dispatch/bf16.h"
#include "dispatch/families.h"
#include "dispatch/grid.h"
#include "dispatch/normal.h"
#include "kernels/template/philox.h"

/* The first counters of four vectors, times M0, in the order in which store_blocks lays them down: it takes
 * the even lanes of a vector first. */
INLINE void ordered_products(vlong products[4]) {
    for (uint32_t v = 0; v < 4; v++)
        for (uint32_t j = 0; j < LANES / 2; j++)
            products[v][j] = (uint64_t)STERNA_PHILOX_M0 * (v * LANES / 2 + j % 2 * (LANES / 4) + j / 2);
}

/* The last round, and the four words of each of LANES / 2 counters. */
INLINE void store_blocks(uint32_t *out, const round_keys *keys, vlong x0, vlong x1, vlong x2, vlong x3) {
    int last = STERNA_PHILOX_ROUNDS - 1;
    vlong p0 = multiply_low(x0, splat_long(STERNA_PHILOX_M0)), p1 = multiply_low(x2, splat_long(STERNA_PHILOX_M1));
    vlong low = xor3_low(swap_halves(p1), x1, splat_long(keys->first[last]));
    vlong high = xor3_low(swap_halves(p0), x3, splat_long(keys->second[last]));
    vlong even = unpack_low(low, high), odd = unpack_high(low, high);
    memcpy(out, &even, sizeof even);
    memcpy(out + LANES, &odd, sizeof odd);
}

/* PHILOX_VECTORS vectors at once: as many as the tier's registers hold. */
#define PHILOX_VECTORS (LANES / 4)
#define PHILOX_BLOCKS (PHILOX_VECTORS * LANES / 2)

static void philox_lanes(round_keys keys, const uint32_t counter[4], uint32_t *out, int64_t runs) {
    const uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    vlong order[4];
    ordered_products(order);
    for (int64_t i = 0; i < runs; i++) {
        vlong base = splat_long((uint64_t)STERNA_PHILOX_M0 * (c0 + (uint32_t)i * PHILOX_BLOCKS));
        vlong products[4] = {base + order[0], base + order[1], base + order[2], base + order[3]};
        philox_state s = nine_rounds(&keys, PHILOX_VECTORS, products, c1, c2, c3);
#pragma GCC unroll 4
        for (int v = 0; v < PHILOX_VECTORS; v++)
            store_blocks(out + (i * PHILOX_VECTORS + v) * 2 * LANES, &keys, s.x0[v], s.x1[v], s.x2[v], s.x3[v]);
    }
}

/* counter += amount on 128 bits. */
static void advance(uint32_t counter[4], uint32_t amount) {
    uint64_t carry = amount;
    for (int w = 0; w < 4; w++) {
        carry += counter[w];
        counter[w] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* Whole runs as far as word 0 counts up without a carry; single blocks at the carry and at the end. */
static int32_t TIER(philox)(const uint32_t *counter, const uint32_t *key, uint32_t *out, int64_t blocks) {
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    round_keys keys = expand_key(key[0], key[1]);
    while (blocks > 0) {
        int64_t before_carry = ((int64_t)1 << 32) - c[0];
        int64_t runs = (blocks < before_carry ? blocks : before_carry - 1) / PHILOX_BLOCKS, done = runs * PHILOX_BLOCKS;
        philox_lanes(keys, c, out, runs);
        advance(c, (uint32_t)done);
        if (runs == 0) {
            sterna_philox_block(c, key, out);
            advance(c, 1);
            done = 1;
        }
        out += 4 * done;
        blocks -= done;
    }
    return STERNA_OK;
}

INLINE void store_row_part(const sterna_matrix *x, int64_t at, const float *values, int count) {
    if (x->type == STERNA_F32) memcpy((float *)x->data + at, values, 4 * (size_t)count);
    else
        for (int i = 0; i < count; i++) ((uint16_t *)x->data)[at + i] = sterna_bf16_of_f32(values[i]);
}

static int32_t TIER(normal)(uint64_t key, float deviation, const sterna_matrix *x, int64_t row0, int64_t row1) {
    int64_t blocks = sterna_blocks(x->cols);
    round_keys keys = expand_key((uint32_t)key, (uint32_t)(key >> 32));
    for (int64_t r = row0; r < row1; r++)
        for (int64_t b = 0; b < blocks; b++) {
            vuint words[VECTORS];
            float values[STERNA_BLOCK];
            block_words(&keys, STERNA_STREAM_NORMAL, r * blocks + b, words);
            sterna_normal_block((const uint32_t *)words, deviation, values);
            int64_t left = x->cols - b * STERNA_BLOCK;
            store_row_part(x, (r - row0) * x->stride + b * STERNA_BLOCK, values, left < 64 ? (int)left : 64);
        }
    return STERNA_OK;
}
