/* bf16.h: scalar conversions between bf16 and f32. */
#ifndef STERNA_BF16_H
#define STERNA_BF16_H

#include <stdint.h>
#include <string.h>

static inline float sterna_f32_of_bf16(uint16_t b) {
    uint32_t bits = (uint32_t)b << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* Nearest even; a NaN stays a (quiet) NaN. */
static inline uint16_t sterna_bf16_of_f32(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Stochastic rounding: up with the probability of the bits cut off, by the high half of a random word.
 * A finite number stays finite: what would round up to infinity takes the largest bf16. */
static inline uint16_t sterna_bf16_stochastic(float f, uint32_t word) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if ((bits & 0x7f800000u) == 0x7f800000u) return sterna_bf16_of_f32(f);
    uint32_t rounded = (bits + (word >> 16)) >> 16;
    return (uint16_t)((rounded & 0x7fff) == 0x7f80 ? rounded - 1 : rounded);
}

#endif
