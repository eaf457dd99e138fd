/* probe.c: products of tiles that stay in their registers: four sums of two by two operands. */
#include "kernels/amx/tile.h"

#define PROBE_BF16

static double multiply_int8(int64_t rounds);
static double multiply_bf16(int64_t rounds);

#include "kernels/template/probe.h"

#include "dispatch/families.h"

#define TILE_PRODUCTS 4
#define TILE_SUMS (16 * 16)

/* Operands as full of ones and zeros as real ones: zeros take less power, and a core that is spared runs faster. */
static void load_operands(void) {
    uint8_t bytes[16 * 64];
    for (int i = 0; i < 16 * 64; i++) bytes[i] = (uint8_t)(0x3f - i % 2 * 0x10 + i * 37 % 8); /* bf16: 0.2...1.9 */
    tile_load(4, bytes, 64);
    tile_load(5, bytes, 64);
    tile_load(6, bytes, 64);
    tile_load(7, bytes, 64);
}

static double multiply_int8(int64_t rounds) {
    tile_begin();
    load_operands();
    for (int64_t r = 0; r < rounds; r++) {
        tile_dot_u8s8(0, 4, 6);
        tile_dot_u8s8(1, 4, 7);
        tile_dot_u8s8(2, 5, 6);
        tile_dot_u8s8(3, 5, 7);
    }
    tile_end();
    return 2.0 * 64 * TILE_SUMS * TILE_PRODUCTS * (double)rounds;
}

static double multiply_bf16(int64_t rounds) {
    tile_begin();
    load_operands();
    for (int64_t r = 0; r < rounds; r++) {
        tile_dot_bf16(0, 4, 6);
        tile_dot_bf16(1, 4, 7);
        tile_dot_bf16(2, 5, 6);
        tile_dot_bf16(3, 5, 7);
    }
    tile_end();
    return 2.0 * 32 * TILE_SUMS * TILE_PRODUCTS * (double)rounds;
}

void sterna_amx_probe(sterna_table *t) {
    fill_probe(t);
}
