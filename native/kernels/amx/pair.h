/*
 * pair.h: products of int8 in 32 x 32 tiles: four sums, in tiles 0...3, two tiles of left operand, two of right.
 */
#ifndef STERNA_AMX_PAIR_H
#define STERNA_AMX_PAIR_H

#include "kernels/amx/tile.h"
#include "kernels/template/bytes.h"

enum {
    TILE = 16,             /* rows, or columns, of a tile */
    PAIR = 2 * TILE,       /* that meet at a time */
    TILE_BYTES = TILE * 64 /* of 64 columns of 16 rows */
};

typedef int32_t pair_sums[PAIR][PAIR]; /* row of left, row of right */

/* Of 64 columns those that are left. */
INLINE __mmask64 columns_left(int64_t left) {
    return left >= 64 ? ~0ull : (1ull << left) - 1;
}

INLINE void load_pair(const pair_sums *sums) {
    tile_load(0, (*sums)[0], PAIR * 4);
    tile_load(1, (*sums)[0] + TILE, PAIR * 4);
    tile_load(2, (*sums)[TILE], PAIR * 4);
    tile_load(3, (*sums)[TILE] + TILE, PAIR * 4);
}

INLINE void store_pair(pair_sums *sums) {
    tile_store(0, (*sums)[0], PAIR * 4);
    tile_store(1, (*sums)[0] + TILE, PAIR * 4);
    tile_store(2, (*sums)[TILE], PAIR * 4);
    tile_store(3, (*sums)[TILE] + TILE, PAIR * 4);
}

/* How many of `count` rows of the pair before are finished at a step, so that all are after `blocks`. None at the first
 * step, if there are others: the sums that were just stored would be waited for. */
INLINE int64_t rows_of_step(int64_t count, int64_t blocks) {
    int64_t steps = blocks > 1 ? blocks - 1 : 1;
    return (count + steps - 1) / steps;
}

/* Adds the products of 64 columns: left's two tiles, whose rows are `stride` bytes apart and of which the second is left
 * out when `tiles` is 1, and a tile of each panel. */
INLINE void multiply_columns(const int8_t *left, int64_t stride, const uint8_t *panel0, const uint8_t *panel1, int tiles) {
    tile_load(4, left, stride);
    tile_load(6, panel0, 64);
    tile_dot_s8s8(0, 4, 6);
    tile_load(7, panel1, 64);
    tile_dot_s8s8(1, 4, 7);
    if (tiles == 1) return;
    tile_load(5, left + TILE * stride, stride);
    tile_dot_s8s8(2, 5, 6);
    tile_dot_s8s8(3, 5, 7);
}

#endif
