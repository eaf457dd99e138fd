/*
 * int16.c: gradients of quantized layers in 16-bit fixed point, in 6 x 16 tiles of vpmaddwd: 12 sums, a panel's step,
 * a pair of A and its product in registers.
 */
#include "dispatch/families.h"
#include "kernels/template/lanes.h"

#define GEMM_DEPTH 2
#define GEMM_INT16 1
#define GEMM_ROWS 6
#define GEMM_COLS 16
#define GEMM_BLOCK_ROWS 240
#define GEMM_STEPS 256

#include "kernels/template/gemm.h"

/* The sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE __m256i add_pairs(__m256i sum, __m256i pairs) {
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(pairs));
    return sum;
}

static void multiply_lanes(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, const float *scales,
                           float *c, int64_t stride, int add) {
    __m256i sum[GEMM_ROWS][2];
    (void)panels; /* a call has one */
    for (int i = 0; i < GEMM_ROWS; i++) {
        sum[i][0] = sum[i][1] = _mm256_setzero_si256();
        _mm_prefetch(c + i * stride, _MM_HINT_T0); /* C comes from far away and is needed in the end */
    }
    for (int64_t step = 0; step < steps; step++) {
        const __m256i *row = (const __m256i *)(b + step * PANEL);
        __m256i low = _mm256_load_si256(row), high = _mm256_load_si256(row + 1);
        for (int i = 0; i < GEMM_ROWS; i++) {
            __m256i x = _mm256_set1_epi32((int32_t)a[i * STEPS + step]);
            sum[i][0] = add_pairs(sum[i][0], _mm256_madd_epi16(x, low));
            sum[i][1] = add_pairs(sum[i][1], _mm256_madd_epi16(x, high));
        }
    }
    for (int i = 0; i < GEMM_ROWS; i++)
        for (int h = 0; h < 2; h++) {
            float *at = c + i * stride + 8 * h;
            __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[i][h]), _mm256_set1_ps(scales[i]));
            _mm256_storeu_ps(at, add ? _mm256_add_ps(_mm256_loadu_ps(at), value) : value);
        }
}

void sterna_avx2_int16(sterna_table *t) {
    t->input_gradient_int16 = input_gradient;
    t->weight_gradient_int16 = weight_gradient;
}
