/*
 * tile.h: the AMX tile registers as the kernels use them: eight tiles of 16 rows of 64 bytes each.
 *
 *   tile_begin()                  configures all eight for the calling thread and zeroes them
 *   tile_zero(t)                  t = 0; tile_zero_sums(): tiles 0...3 = 0
 *   tile_load(t, base, stride)    row r of t is the 64 bytes at base + r * stride (stride in bytes)
 *   tile_store(t, base, stride)
 *   tile_dot_s8s8(c, a, b)        c[m][n] += sum over k < 64 of a[m][k] * b[k / 4][4 n + k % 4], a and b int8
 *   tile_dot_u8s8(c, a, b)        the same, a uint8
 *   tile_dot_bf16(c, a, b)        c[m][n] += sum over k < 32 of a[m][k] * b[k / 2][2 n + k % 2], c f32
 *   tile_end()                    gives the registers back: a kernel that leaves them in use makes every
 *                                 context switch save 8 KiB and keeps the core from its deeper sleep states;
 *                                 so begin and end come in pairs that do not nest
 *
 * c holds 16 x 16 of 32 bits. Tile numbers are literals 0...7, since they are part of the instruction; the
 * three of a dot differ. A tail is a full tile whose missing rows and columns were zeroed in memory: other
 * configurations cost another ldtilecfg, which empties all tiles.
 *
 * With STERNA_AMX_EMULATED the same names are plain C on memory, so that kernels can be tested where there
 * is no AMX; what real tiles refuse traps there too, and so does a kernel that left them in use.
 */
#ifndef STERNA_TILE_H
#define STERNA_TILE_H

#include <stdint.h>

/* The operand of ldtilecfg. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64)));

#define TILE_FULL_ROWS {16, 16, 16, 16, 16, 16, 16, 16}
#define TILE_FULL_ROW_BYTES {64, 64, 64, 64, 64, 64, 64, 64}

#if !defined(STERNA_AMX_EMULATED)

#include <immintrin.h>

/* gcc's intrinsics don't say that they read and write memory, so nothing may move across them; and some are macros that
 * cast their operand as it stands, without parentheses. */
#define TILE_BARRIER() __asm__ volatile("" ::: "memory")

static inline void tile_begin(void) {
    static const struct tile_config full = {
        .palette = 1, .row_bytes = TILE_FULL_ROW_BYTES, .rows = TILE_FULL_ROWS};
    _tile_loadconfig(&full);
}

static inline void tile_end(void) {
    _tile_release();
}

#define tile_zero(t) _tile_zero(t)
#define tile_load(t, base, stride)                                                                         \
    do {                                                                                                   \
        TILE_BARRIER();                                                                                    \
        _tile_loadd(t, (base), (stride));                                                                  \
        TILE_BARRIER();                                                                                    \
    } while (0)
#define tile_store(t, base, stride)                                                                        \
    do {                                                                                                   \
        TILE_BARRIER();                                                                                    \
        _tile_stored(t, (base), (stride));                                                                 \
        TILE_BARRIER();                                                                                    \
    } while (0)
#define tile_dot_s8s8(c, a, b) _tile_dpbssd(c, a, b)
#define tile_dot_u8s8(c, a, b) _tile_dpbusd(c, a, b)
#define tile_dot_bf16(c, a, b) _tile_dpbf16ps(c, a, b)

#else

#include <string.h>

#include "dispatch/bf16.h"

/* The tile registers of the calling thread. A tile is as large as its configuration says; 0: unusable. */
static _Thread_local struct {
    int configured;
    struct tile_config config;
    uint8_t bytes[8][16][64];
} tile_registers;

/* Where real tiles raise #UD or #GP, or a kernel breaks the rule of begin and end. */
static inline void tile_require(int condition) {
    if (!condition) __builtin_trap();
}

static inline void tile_load_config(const struct tile_config *config) {
    tile_require((uintptr_t)config % 64 == 0 && config->palette == 1 && config->start_row == 0);
    for (int i = 0; i < 14; i++) tile_require(config->reserved[i] == 0);
    for (int t = 0; t < 16; t++) {
        int rows = config->rows[t], row_bytes = config->row_bytes[t];
        tile_require(t < 8 ? rows <= 16 && row_bytes <= 64 : !rows && !row_bytes);
        tile_require(!rows == !row_bytes);
    }
    memset(&tile_registers, 0, sizeof tile_registers);
    tile_registers.configured = 1;
    tile_registers.config = *config;
}

static inline void tile_begin(void) {
    static const struct tile_config full = {
        .palette = 1, .row_bytes = TILE_FULL_ROW_BYTES, .rows = TILE_FULL_ROWS};
    tile_require(!tile_registers.configured);
    tile_load_config(&full);
}

static inline void tile_end(void) {
    tile_require(tile_registers.configured);
    memset(&tile_registers, 0, sizeof tile_registers);
}

static inline int tile_rows(int t) {
    tile_require(t >= 0 && t < 8 && tile_registers.configured && tile_registers.config.rows[t]);
    return tile_registers.config.rows[t];
}

static inline int tile_row_bytes(int t) {
    tile_require(tile_rows(t) > 0);
    return tile_registers.config.row_bytes[t];
}

static inline void tile_zero(int t) {
    tile_require(tile_rows(t) > 0);
    memset(tile_registers.bytes[t], 0, sizeof tile_registers.bytes[t]);
}

static inline void tile_load(int t, const void *base, int64_t stride) {
    tile_zero(t);
    for (int r = 0; r < tile_rows(t); r++)
        memcpy(tile_registers.bytes[t][r], (const uint8_t *)base + r * stride, (size_t)tile_row_bytes(t));
}

static inline void tile_store(int t, void *base, int64_t stride) {
    for (int r = 0; r < tile_rows(t); r++)
        memcpy((uint8_t *)base + r * stride, tile_registers.bytes[t][r], (size_t)tile_row_bytes(t));
}

/* c (rows of a, columns of b) += a b: the tiles differ and their shapes fit. */
static inline void tile_require_product(int c, int a, int b) {
    tile_require(c != a && c != b && a != b);
    tile_require(tile_rows(c) == tile_rows(a) && tile_row_bytes(c) == tile_row_bytes(b));
    tile_require(tile_row_bytes(a) == 4 * tile_rows(b) && tile_row_bytes(b) % 4 == 0);
}

static inline int tile_byte(uint8_t byte, int is_signed) {
    return is_signed ? (int8_t)byte : byte;
}

static inline void tile_dot_int8(int c, int a, int b, int a_signed, int b_signed) {
    tile_require_product(c, a, b);
    for (int m = 0; m < tile_rows(a); m++) {
        int32_t sums[16];
        memcpy(sums, tile_registers.bytes[c][m], sizeof sums);
        for (int k = 0; k < tile_row_bytes(a); k++) {
            int x = tile_byte(tile_registers.bytes[a][m][k], a_signed);
            const uint8_t *row = tile_registers.bytes[b][k / 4];
            for (int n = 0; n < tile_row_bytes(b) / 4; n++) /* wraps, as the tiles do */
                sums[n] = (int32_t)((uint32_t)sums[n] + (uint32_t)(x * tile_byte(row[4 * n + k % 4], b_signed)));
        }
        memcpy(tile_registers.bytes[c][m], sums, sizeof sums);
    }
}

static inline void tile_dot_s8s8(int c, int a, int b) {
    tile_dot_int8(c, a, b, 1, 1);
}

static inline void tile_dot_u8s8(int c, int a, int b) {
    tile_dot_int8(c, a, b, 0, 1);
}

/* Denormals are zero on the way in and on the way out, whatever MXCSR says. */
static inline float tile_flush(float x) {
    return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0, x) : x;
}

static inline float tile_bf16(const uint8_t *row, int i) {
    uint16_t bits;
    memcpy(&bits, row + 2 * i, 2);
    return tile_flush(sterna_f32_of_bf16(bits));
}

/* Even and odd k are summed apart by fused multiply-add, from zero; then added together, then to c. */
static inline void tile_dot_bf16(int c, int a, int b) {
    tile_require_product(c, a, b);
    for (int m = 0; m < tile_rows(a); m++) {
        float sums[2][16] = {{0}}, total[16];
        for (int k = 0; k < tile_row_bytes(a) / 2; k++) {
            float x = tile_bf16(tile_registers.bytes[a][m], k);
            const uint8_t *row = tile_registers.bytes[b][k / 2];
            for (int n = 0; n < tile_row_bytes(b) / 4; n++) {
                float *sum = &sums[k % 2][n];
                *sum = tile_flush(__builtin_fmaf(x, tile_bf16(row, 2 * n + k % 2), *sum));
            }
        }
        memcpy(total, tile_registers.bytes[c][m], sizeof total);
        for (int n = 0; n < tile_row_bytes(b) / 4; n++)
            total[n] = tile_flush(tile_flush(total[n]) + tile_flush(sums[0][n] + sums[1][n]));
        memcpy(tile_registers.bytes[c][m], total, sizeof total);
    }
}

#endif

/* Tiles 0...3, which are for sums wherever two tiles meet two. */
static inline void tile_zero_sums(void) {
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
}

#endif
