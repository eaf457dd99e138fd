/*
 * normal.h: Box-Muller in float64, by our own log, sin and cos. Only IEEE additions, multiplications,
 * divisions and square roots in a fixed order, so every tier and machine makes the same bytes.
 * The loops run over 16 lanes for the compiler to vectorize; tiers compile this same source.
 */
#ifndef STERNA_NORMAL_H
#define STERNA_NORMAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* log(u) for a normal u in (0, 1], relative error below 1e-12: u = m 2^e with m in [sqrt(1/2), sqrt(2)),
 * log m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172. */
static inline double sterna_log(double u) {
    const double ln2 = 0x1.62e42fefa39efp-1;
    int64_t bits, one_half = 0x3fe6a09e667f3bcd; /* sqrt(1/2) */
    memcpy(&bits, &u, 8);
    int64_t steps = (bits - one_half) >> 52;
    bits -= steps * (INT64_C(1) << 52);
    double m, e = (double)(int32_t)steps;
    memcpy(&m, &bits, 8);
    double s = (m - 1) / (m + 1), q = s * s;
    double series = 1.0 / 15;
    series = series * q + 1.0 / 13;
    series = series * q + 1.0 / 11;
    series = series * q + 1.0 / 9;
    series = series * q + 1.0 / 7;
    series = series * q + 1.0 / 5;
    series = series * q + 1.0 / 3;
    series = series * q + 1.0;
    return e * ln2 + 2 * s * series;
}

/* cos and sin of 2 pi turn for turn in [0, 1), absolute error below 1e-11: the nearest quarter turn is
 * taken off, the rest, at most pi / 4, goes into Taylor series. */
static inline void sterna_cos_sin(double turn, double *cosine, double *sine) {
    const double half_pi = 0x1.921fb54442d18p0;
    int32_t quarter = (int32_t)(turn * 4 + 0.5);
    double x = (turn * 4 - quarter) * half_pi, q = x * x;
    double s = -1.0 / 39916800;
    s = s * q + 1.0 / 362880;
    s = s * q - 1.0 / 5040;
    s = s * q + 1.0 / 120;
    s = s * q - 1.0 / 6;
    s = (s * q + 1.0) * x;
    double c = 1.0 / 479001600;
    c = c * q - 1.0 / 3628800;
    c = c * q + 1.0 / 40320;
    c = c * q - 1.0 / 720;
    c = c * q + 1.0 / 24;
    c = c * q - 1.0 / 2;
    c = c * q + 1.0;
    int odd = quarter & 1;
    double a = odd ? s : c, b = odd ? c : s;
    *cosine = (quarter + 1) & 2 ? -a : a;
    *sine = quarter & 2 ? -b : b;
}

/* 16 pairs of words become 16 pairs of normal numbers: radius from the first word, angle from the second. */
static inline void sterna_normal_pairs(const uint32_t *words0, const uint32_t *words1, double deviation,
                                       float *x0, float *x1) {
    for (int i = 0; i < 16; i++) {
        double radius = deviation * sqrt(-2 * sterna_log(((double)words0[i] + 1) * 0x1p-32));
        double cosine, sine;
        sterna_cos_sin((double)words1[i] * 0x1p-32, &cosine, &sine);
        x0[i] = (float)(radius * cosine);
        x1[i] = (float)(radius * sine);
    }
}

/* The 64 normal numbers of a block, from its 64 words. */
static inline void sterna_normal_block(const uint32_t words[64], double deviation, float x[64]) {
    sterna_normal_pairs(words, words + 16, deviation, x, x + 16);
    sterna_normal_pairs(words + 32, words + 48, deviation, x + 32, x + 48);
}

#endif
