/* update.c: a delta tile changes weights, packed ones by stochastic rounding. */
#include <math.h>

#include "dispatch/bf16.h"
#include "dispatch/families.h"
#include "dispatch/grid.h"
#include "dispatch/philox.h"

/* floor(z) or the integer above, with mean z over the words; the upper 24 bits of a word are exact in f32. */
static int round_stochastic(float z, uint32_t word) {
    float low = floorf(z), uniform = (float)(word >> 8) * 0x1p-24f;
    return (int)low + (uniform < z - low);
}

static int new_code(int32_t grid, float z, int32_t rounding, uint32_t word) {
    float low = (float)sterna_qn(grid), high = (float)sterna_qp(grid);
    z = z > low ? z : low;
    z = z < high ? z : high;
    if (grid == STERNA_BINARY && rounding == STERNA_NEAREST) return z >= 0 ? 1 : -1;
    if (rounding == STERNA_NEAREST) return (int)rintf(z);
    if (grid == STERNA_BINARY) return 2 * round_stochastic((z + 1) * 0.5f, word) - 1;
    return round_stochastic(z, word);
}

static int all_finite(const sterna_matrix *delta, int64_t rows) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < delta->cols; c++)
            if (!isfinite(((const float *)delta->data)[r * delta->stride + c])) return 0;
    return 1;
}

/* Up to 64 weights of a block; returns how many codes changed. */
static int update_block(uint8_t *block, int32_t grid, const float *delta, int count, float inverse, float keep,
                        int32_t rounding, const uint32_t words[64]) {
    int flips = 0;
    for (int i = 0; i < count; i++) {
        int old = sterna_get_code(block, grid, i);
        float z = (float)old * keep - delta[i] * inverse;
        int code = new_code(grid, z, rounding, words[i]);
        sterna_set_code(block, grid, i, code);
        flips += code != old;
    }
    return flips;
}

static int32_t update_packed(const sterna_packed *w, const sterna_matrix *delta, float keep, uint64_t key,
                             int32_t rounding, int64_t *flips, int64_t row0, int64_t row1) {
    if (!all_finite(delta, row1 - row0)) return STERNA_STATUS(3, STERNA_NONFINITE);
    int64_t blocks = sterna_blocks(w->cols);
    for (int64_t r = row0; r < row1; r++) {
        const float *row = (const float *)delta->data + (r - row0) * delta->stride;
        const float *scales = sterna_row_scales(w, r);
        uint8_t *codes = (uint8_t *)sterna_packed_row(w, r);
        for (int64_t b = 0; b < blocks; b++) {
            uint32_t words[64];
            sterna_philox_words(key, STERNA_STREAM_WEIGHT, r * blocks + b, words);
            int64_t c = b * STERNA_BLOCK, count = w->cols - c < STERNA_BLOCK ? w->cols - c : STERNA_BLOCK;
            *flips += update_block(codes + b * 8 * sterna_bits(w->grid), w->grid, row + c, (int)count,
                                   1 / scales[c / sterna_group_cols(w)], keep, rounding, words);
        }
    }
    return STERNA_OK;
}

static uint16_t round_bf16(float value, int32_t rounding, uint32_t word) {
    return rounding == STERNA_NEAREST ? sterna_bf16_of_f32(value) : sterna_bf16_stochastic(value, word);
}

static int32_t update_float(const sterna_matrix *w, const sterna_matrix *delta, float keep, uint64_t key,
                            int32_t rounding, int64_t row0, int64_t row1) {
    if (!all_finite(delta, row1 - row0)) return STERNA_STATUS(3, STERNA_NONFINITE);
    int64_t blocks = sterna_blocks(w->cols);
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < w->cols; c++) {
            float change = ((const float *)delta->data)[(r - row0) * delta->stride + c];
            if (w->type == STERNA_F32) {
                float *weight = (float *)w->data + r * w->stride + c;
                *weight = *weight * keep - change;
                continue;
            }
            uint32_t words[64];
            sterna_philox_words(key, STERNA_STREAM_WEIGHT, r * blocks + c / STERNA_BLOCK, words);
            uint16_t *weight = (uint16_t *)w->data + r * w->stride + c;
            *weight = round_bf16(sterna_f32_of_bf16(*weight) * keep - change, rounding, words[c % STERNA_BLOCK]);
        }
    return STERNA_OK;
}

void sterna_reference_update(sterna_table *t) {
    t->update_packed = update_packed;
    t->update_float = update_float;
}
