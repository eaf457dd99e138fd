/* rounding.h: stochastic rounding to integers as the reference defines it. */
#ifndef STERNA_REFERENCE_ROUNDING_H
#define STERNA_REFERENCE_ROUNDING_H

#include <math.h>
#include <stdint.h>

/* floor(z) or the integer above, with mean z over the words; the upper 24 bits of a word are exact in f32. */
static inline int round_stochastic(float z, uint32_t word) {
    float low = floorf(z), uniform = (float)(word >> 8) * 0x1p-24f;
    return (int)low + (uniform < z - low);
}

#endif
