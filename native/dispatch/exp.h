/*
 * exp.h: exp(x) in f32 by one fixed sequence of operations, so that every tier and compiler gives the
 * same bytes. Cody and Waite: x = n ln 2 + r, |r| <= ln 2 / 2; exp(r) by a polynomial of degree 7 with
 * the coefficients of Cephes' expf; times 2^n in two steps, so that neither overflows before the result
 * does. Every product that is added to is fused with the sum, and rounded once. Error at most 2 ulp, subnormal
 * results included; a NaN gives a NaN.
 * The same operations on vectors are in kernels/template/row.h.
 */
#ifndef STERNA_EXP_H
#define STERNA_EXP_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Adding 1.5 * 2^23 to |x| < 2^22 rounds to an integer, ties to even; its low bits then hold the integer. */
#define ROUND_TO_INTEGER 12582912.0f
#define ROUND_TO_INTEGER_BITS 0x4b400000

#define EXP_MAX 89.0f   /* exp(EXP_MAX) overflows to infinity by itself */
#define EXP_MIN -104.0f /* exp(EXP_MIN) underflows to 0 by itself */
#define EXP_LOG2E 1.44269504f
#define EXP_LN2_HIGH 0.693359375f /* 9 bits: n * EXP_LN2_HIGH is exact */
#define EXP_LN2_LOW -2.12194440e-4f
#define EXP_P0 1.9875691500e-4f
#define EXP_P1 1.3981999507e-3f
#define EXP_P2 8.3334519073e-3f
#define EXP_P3 4.1665795894e-2f
#define EXP_P4 1.6666665459e-1f
#define EXP_P5 5.0000001201e-1f

/* 2^n for -126 <= n <= 127; any other n (from a NaN) gives some float. */
static inline float sterna_power_of_two(int32_t n) {
    uint32_t bits = ((uint32_t)n + 127) << 23;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static inline float sterna_exp(float x) {
    x = x > EXP_MAX ? EXP_MAX : x;
    x = x < EXP_MIN ? EXP_MIN : x;
    float shifted = fmaf(x, EXP_LOG2E, ROUND_TO_INTEGER), n = shifted - ROUND_TO_INTEGER;
    int32_t bits;
    memcpy(&bits, &shifted, 4);
    int32_t exponent = bits - ROUND_TO_INTEGER_BITS, half = exponent >> 1;
    float r = fmaf(n, -EXP_LN2_LOW, fmaf(n, -EXP_LN2_HIGH, x));
    float p = fmaf(fmaf(fmaf(fmaf(fmaf(EXP_P0, r, EXP_P1), r, EXP_P2), r, EXP_P3), r, EXP_P4), r, EXP_P5);
    return (fmaf(p, r * r, r) + 1.0f) * sterna_power_of_two(half) * sterna_power_of_two(exponent - half);
}

#endif
