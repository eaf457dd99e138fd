/* probe.c: int8 products by vpdpbusd. */
#include <immintrin.h>
#include <stdint.h>

static double multiply_int8(int64_t rounds);

#include "kernels/template/probe.h"

#include "dispatch/families.h"

static double multiply_int8(int64_t rounds) {
    __m512i sums[SUMS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
    for (int i = 0; i < SUMS; i++) sums[i] = _mm512_setzero_si512();
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < SUMS; i++) sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
    for (int i = 0; i < SUMS; i++) CHANGED(sums[i]);
    return 2.0 * 64 * SUMS * (double)rounds;
}

void sterna_avx512vnni_probe(sterna_table *t) {
    fill_probe(t);
}
