/* rng.c: Philox blocks and normal numbers. */
#include "dispatch/bf16.h"
#include "dispatch/families.h"
#include "dispatch/grid.h"
#include "dispatch/normal.h"
#include "dispatch/philox.h"

static int32_t philox(const uint32_t *counter, const uint32_t *key, uint32_t *out, int64_t blocks) {
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    for (int64_t i = 0; i < blocks; i++) {
        sterna_philox_block(c, key, out + 4 * i);
        for (int w = 0; w < 4 && ++c[w] == 0; w++) continue; /* the carry runs through 128 bits */
    }
    return STERNA_OK;
}

static int32_t normal(uint64_t key, float deviation, const sterna_matrix *x, int64_t row0, int64_t row1) {
    int64_t blocks = sterna_blocks(x->cols);
    for (int64_t r = row0; r < row1; r++) {
        for (int64_t c = 0; c < x->cols; c += STERNA_BLOCK) {
            uint32_t words[STERNA_BLOCK];
            float values[STERNA_BLOCK];
            sterna_philox_words(key, STERNA_STREAM_NORMAL, r * blocks + c / STERNA_BLOCK, words);
            sterna_normal_block(words, deviation, values);
            for (int64_t j = 0; j < STERNA_BLOCK && c + j < x->cols; j++) {
                int64_t at = (r - row0) * x->stride + c + j;
                if (x->type == STERNA_F32) ((float *)x->data)[at] = values[j];
                else ((uint16_t *)x->data)[at] = sterna_bf16_of_f32(values[j]);
            }
        }
    }
    return STERNA_OK;
}

void sterna_reference_rng(sterna_table *t) {
    t->philox = philox;
    t->normal = normal;
}
