/* gradient.h: rules of rounded gradients that the reference and the tiers share. */
#ifndef STERNA_GRADIENT_H
#define STERNA_GRADIENT_H

#include "sterna.h"

/* What shares a scale counts as zero when its largest magnitude is below this: every factor stays a normal number. */
#define GRADIENT_FLOOR 0x1p-100f

static inline float sterna_gradient_scale(float largest) {
    return largest < GRADIENT_FLOOR ? 0 : largest / 127;
}

/*
 * From a value to grid steps of 2^-16. Rounding the quotient and the product may lift the largest value by no
 * more than half a step above 127 * 65536, and ties go to even: no code is beyond 127, so none is clipped.
 */
static inline float sterna_gradient_factor(float largest) {
    return largest < GRADIENT_FLOOR ? 0 : 127 / largest * 65536;
}

static inline int64_t sterna_gradient_groups(int64_t tokens) {
    return (tokens + STERNA_GRADIENT_GROUP - 1) / STERNA_GRADIENT_GROUP;
}

#endif
