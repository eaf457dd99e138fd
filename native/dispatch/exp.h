/*
 * exp.h: exp(x) in f32 by one fixed sequence of operations, so that every tier and compiler gives the
 * same bytes. Cody and Waite: x = n ln 2 + r, |r| <= ln 2 / 2; exp(r) by a polynomial of degree 6
 * (Cephes, expf); times 2^n in two steps, so that n = 128 does not overflow early. No fused
 * multiply-add. Error at most 2 ulp; above EXP_MAX infinity, below EXP_MIN (exp(x) is not normal) 0,
 * and a NaN stays a NaN. The vector form is in kernels/template/lanes.h.
 */
#ifndef STERNA_EXP_H
#define STERNA_EXP_H

#include <stdint.h>
#include <string.h>

/* Adding 1.5 * 2^23 to |x| < 2^22 and taking it away again rounds to an integer, ties to even. */
#define ROUND_TO_INTEGER 12582912.0f

#define EXP_MAX 88.7228394f  /* largest x with a finite exp(x) */
#define EXP_MIN -87.3365402f /* smallest x with a normal exp(x) */
#define EXP_LOG2E 1.44269504f
#define EXP_LN2_HIGH 0.693359375f /* 9 bits: n * EXP_LN2_HIGH is exact */
#define EXP_LN2_LOW -2.12194440e-4f
#define EXP_P0 1.9875691500e-4f
#define EXP_P1 1.3981999507e-3f
#define EXP_P2 8.3334519073e-3f
#define EXP_P3 4.1665795894e-2f
#define EXP_P4 1.6666665459e-1f
#define EXP_P5 5.0000001201e-1f

/* 2^n for -126 <= n <= 127. */
static inline float sterna_power_of_two(int32_t n) {
    uint32_t bits = (uint32_t)(n + 127) << 23;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static inline float sterna_exp(float x) {
    if (x != x) return x;
    if (x > EXP_MAX) return __builtin_inff();
    if (x < EXP_MIN) return 0.0f;
    float n = x * EXP_LOG2E + ROUND_TO_INTEGER - ROUND_TO_INTEGER;
    float r = x - n * EXP_LN2_HIGH - n * EXP_LN2_LOW;
    float p = ((((EXP_P0 * r + EXP_P1) * r + EXP_P2) * r + EXP_P3) * r + EXP_P4) * r + EXP_P5;
    int32_t half = (int32_t)n >> 1;
    return (p * (r * r) + r + 1.0f) * sterna_power_of_two(half) * sterna_power_of_two((int32_t)n - half);
}

#endif
