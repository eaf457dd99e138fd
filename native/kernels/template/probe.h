/*
 * probe.h: the ceilings of one thread. Included by the probe.c of a tier, which defines first
 *
 *   multiply_int8(rounds)   operations done
 *   multiply_bf16(rounds)   the same, and PROBE_BF16, where the tier has such a product
 *
 * and calls fill_probe. Enough sums run side by side to hide the latency of the multiply-add.
 */
#include "dispatch/table.h"
#include "kernels/template/lanes.h"

#define SUMS 12

/* Makes the compiler take a vector for changed, so that a product with it stays in its loop. */
#define CHANGED(vector) __asm__ volatile("" : "+v"(vector))

/* Pairs of int16 added to int32. */
static double multiply_int16(int64_t rounds) {
    vint sums[SUMS], a = splat_int(0x00030003), b = splat_int(0x00050005);
    for (int i = 0; i < SUMS; i++) sums[i] = splat_int(0);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < SUMS; i++) {
            CHANGED(a);
#if defined(__AVX512VNNI__)
            sums[i] = (vint)_mm512_dpwssd_epi32((__m512i)sums[i], (__m512i)a, (__m512i)b);
#elif LANES == 16
            sums[i] += (vint)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#else
            sums[i] += (vint)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#endif
        }
    for (int i = 0; i < SUMS; i++) CHANGED(sums[i]);
    return 4.0 * LANES * SUMS * (double)rounds;
}

static double multiply_f32(int64_t rounds) {
    vfloat sums[SUMS], a = splat(0.5f), b = splat(0.25f);
    for (int i = 0; i < SUMS; i++) sums[i] = splat(0);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < SUMS; i++) {
#if LANES == 16
            sums[i] = (vfloat)_mm512_fmadd_ps((__m512)sums[i], (__m512)a, (__m512)b);
#else
            sums[i] = (vfloat)_mm256_fmadd_ps((__m256)sums[i], (__m256)a, (__m256)b);
#endif
        }
    for (int i = 0; i < SUMS; i++) CHANGED(sums[i]);
    return 2.0 * LANES * SUMS * (double)rounds;
}

static double read_memory(const char *buffer, int64_t bytes, int64_t rounds) {
    enum { LINE = 64, VECTORS_A_LINE = LINE / sizeof(vint), LINES_AHEAD = 32 };
    vint seen[VECTORS_A_LINE] = {{0}};
    for (int64_t r = 0; r < rounds; r++)
        for (int64_t at = 0; at < bytes; at += LINE) {
            __builtin_prefetch(buffer + at + LINES_AHEAD * LINE);
            for (int i = 0; i < VECTORS_A_LINE; i++) {
                vint v;
                memcpy(&v, buffer + at + i * (int)sizeof v, sizeof v);
                seen[i] |= v;
            }
        }
    for (int i = 0; i < VECTORS_A_LINE; i++) CHANGED(seen[i]);
    return (double)bytes * (double)rounds;
}

static double update_memory(char *buffer, int64_t bytes, int64_t rounds) {
    for (int64_t r = 0; r < rounds; r++)
        for (int64_t at = 0; at < bytes; at += (int64_t)sizeof(vint)) {
            vint v;
            memcpy(&v, buffer + at, sizeof v);
            v += 1;
            memcpy(buffer + at, &v, sizeof v);
        }
    return 2.0 * (double)bytes * (double)rounds;
}

static int32_t probe(int32_t kind, void *buffer, int64_t bytes, int64_t rounds, double *work) {
    double done = 0;
    switch (kind) {
    case STERNA_PROBE_INT8: done = multiply_int8(rounds); break;
    case STERNA_PROBE_INT16: done = multiply_int16(rounds); break;
#ifdef PROBE_BF16
    case STERNA_PROBE_BF16: done = multiply_bf16(rounds); break;
#endif
    case STERNA_PROBE_F32: done = multiply_f32(rounds); break;
    case STERNA_PROBE_READ: done = read_memory(buffer, bytes, rounds); break;
    case STERNA_PROBE_UPDATE: done = update_memory(buffer, bytes, rounds); break;
    }
    if (done == 0) return STERNA_STATUS(2, STERNA_BAD_TYPE);
    *work = done;
    return STERNA_OK;
}

static void fill_probe(sterna_table *t) {
    t->probe = probe;
}
