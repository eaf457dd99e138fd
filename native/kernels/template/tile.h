/* tile.h: f32 tiles as the updates and optimizers read them, and the rounding of vectors to bf16. */
#ifndef STERNA_TILE_H
#define STERNA_TILE_H

#include "kernels/template/lanes.h"
#include "sterna.h"

INLINE float *tile_row(const sterna_matrix *x, int64_t r) {
    return (float *)x->data + r * x->stride;
}

/* The largest magnitude in bits: from 0x7f800000 on, the tile holds an infinity or a NaN. */
INLINE int tile_is_finite(const sterna_matrix *x, int64_t rows) {
    vint max = splat_int(0);
    for (int64_t r = 0; r < rows; r++) {
        const float *row = tile_row(x, r);
        int64_t c = 0;
        for (; c + LANES <= x->cols; c += LANES) max = max_int(max, magnitude_bits(load_floats(row + c, LANES)));
        if (c < x->cols) max = max_int(max, magnitude_bits(load_floats(row + c, (int)(x->cols - c))));
    }
    return largest_int(max) < 0x7f800000;
}

/* Nearest even; a NaN stays a (quiet) NaN. */
INLINE vint bf16_nearest(vfloat x) {
    vint bits = (vint)x, nan = magnitude_bits(x) > splat_int(0x7f800000);
    vint rounded = (vint)((vuint)(bits + splat_int(0x7fff) + (bits >> 16 & splat_int(1))) >> 16);
    return choose(nan, (vint)((vuint)bits >> 16) | splat_int(0x40), rounded);
}

/* Up with the probability of the bits cut off; a finite number stays finite, an infinity or a NaN what it is. */
INLINE vint bf16_stochastic(vfloat x, vuint words) {
    vint magnitude = magnitude_bits(x), nan = magnitude > splat_int(0x7f800000);
    vint rounded = (vint)(((vuint)x + (words >> 16)) >> 16);
    rounded += (rounded & splat_int(0x7fff)) == splat_int(0x7f80);
    vint kept = (vint)((vuint)x >> 16) | (nan & splat_int(0x40));
    return choose(magnitude < splat_int(0x7f800000), rounded, kept);
}

#endif
