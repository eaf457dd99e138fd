/* rng.h: Philox blocks and normal numbers of a tier. Includer defines TIER(op), the tier's name of an operation. */
#include "dispatch/bf16.h"
#include "dispatch/families.h"
#include "dispatch/grid.h"
#include "dispatch/normal.h"
#include "kernels/template/philox.h"

/* Counters whose outputs store_blocks lays down in order: it takes the even lanes of a vector first. */
INLINE vlong counters_in_order(uint32_t first) {
    vlong counters;
    for (uint32_t j = 0; j < LANES / 2; j++) counters[j] = first + j % 2 * (LANES / 4) + j / 2;
    return counters;
}

/* Four words of each of LANES / 2 counters. */
INLINE void store_blocks(uint32_t *out, vlong x0, vlong x1, vlong x2, vlong x3) {
    vlong low = (vlong)interleave(x0, x1), high = (vlong)interleave(x2, x3);
    vlong even = unpack_low(low, high), odd = unpack_high(low, high);
    memcpy(out, &even, sizeof even);
    memcpy(out + LANES, &odd, sizeof odd);
}

static void philox_lanes(const round_keys *keys, const uint32_t counter[4], uint32_t *out, int64_t vectors) {
    vlong order[2] = {counters_in_order(0), counters_in_order(LANES / 2)};
    for (int64_t i = 0; i < vectors; i++) {
        vlong base = splat_long(counter[0] + (uint32_t)i * LANES);
        vlong counters[2] = {base + order[0], base + order[1]};
        philox_state s = philox_rounds(keys, counters, counter[1], counter[2], counter[3]);
        for (int v = 0; v < 2; v++)
            store_blocks(out + i * 4 * LANES + v * 2 * LANES, s.x0[v], s.x1[v], s.x2[v], s.x3[v]);
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

/* Whole vectors as far as word 0 counts up without a carry; single blocks at the carry and at the end. */
static int32_t TIER(philox)(const uint32_t *counter, const uint32_t *key, uint32_t *out, int64_t blocks) {
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    round_keys keys = expand_key(key[0], key[1]);
    while (blocks > 0) {
        int64_t before_carry = ((int64_t)1 << 32) - c[0];
        int64_t vectors = (blocks < before_carry ? blocks : before_carry - 1) / LANES;
        philox_lanes(&keys, c, out, vectors);
        advance(c, (uint32_t)(vectors * LANES));
        int64_t done = vectors * LANES;
        if (vectors == 0) {
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
