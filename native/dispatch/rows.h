/* rows.h: constants and rules of the row kernels that the reference and the tiers share. */
#ifndef STERNA_ROWS_H
#define STERNA_ROWS_H

#include <math.h>

/* Least absmax of a quantized row, so that a row of zeros has a scale. */
#define QUANTIZE_FLOOR 1e-5f

/* x whose squares do not overflow is below 2e19, so a gain up to this cannot make their product overflow. */
#define GAIN_MAX 1e18f

/* What is taken from the logits before exp: their maximum, or 0 when all of them are -infinity, so that
 * exp gives 0 and not NaN. */
static inline float softmax_shift(float max) {
    return max == -INFINITY ? 0.0f : max;
}

#endif
