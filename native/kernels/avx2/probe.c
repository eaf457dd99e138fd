/* probe.c: int8 products in pairs of 16 bits, f32 FMA, 32 bytes a load. */
#include <immintrin.h>
#include <stdint.h>

static double multiply_int8(int64_t rounds);

#include "kernels/template/probe.h"

#include "dispatch/families.h"

static double multiply_int8(int64_t rounds) {
    enum { FEW = 8 }; /* more would not stay in registers */
    __m256i sums[FEW], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
    for (int i = 0; i < FEW; i++) sums[i] = _mm256_setzero_si256();
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < FEW; i++) {
            CHANGED(a);
            sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(a, b)); /* as codes of few bits allow */
        }
    for (int i = 0; i < FEW; i++) CHANGED(sums[i]);
    return 2.0 * 32 * FEW * (double)rounds;
}

void sterna_avx2_probe(sterna_table *t) {
    fill_probe(t);
}
