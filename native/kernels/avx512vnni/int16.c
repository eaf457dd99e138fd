/* int16.c: gradients of quantized layers in 16-bit fixed point, in 8 x 48 tiles of vpdpwssd, as those of f32 FMA. */
#include "dispatch/families.h"
#include "kernels/template/lanes.h"

#define GEMM_DEPTH 2
#define GEMM_INT16 1
#define GEMM_ROWS 8
#define GEMM_COLS 48
#define GEMM_BLOCK_ROWS 256
#define GEMM_STEPS 256

#include "kernels/template/gemm.h"

/* As _mm512_dpwssd_epi32, but the sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE __m512i add_products(__m512i sum, __m512i x, __m512i y) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y));
    return sum;
}

/* `panels` is a constant where this is inlined, so that the sums stay in registers. */
INLINE void multiply_panels(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, const float *scales,
                            float *c, int64_t stride, int add) {
    __m512i sum[GEMM_ROWS][3], column[3];
    for (int i = 0; i < GEMM_ROWS; i++)
        for (int p = 0; p < panels; p++) sum[i][p] = _mm512_setzero_si512();
    for (int i = 0; i < GEMM_ROWS; i++) /* C comes from far away and is needed in the end */
        for (int p = 0; p < panels; p++) _mm_prefetch(c + i * stride + p * PANEL, _MM_HINT_T0);
    for (int64_t step = 0; step < steps; step++) {
        for (int p = 0; p < panels; p++) column[p] = _mm512_load_si512(b + (p * STEPS + step) * PANEL);
        for (int i = 0; i < GEMM_ROWS; i++) {
            __m512i x = _mm512_set1_epi32((int32_t)a[i * STEPS + step]);
            for (int p = 0; p < panels; p++) sum[i][p] = add_products(sum[i][p], x, column[p]);
        }
    }
    for (int i = 0; i < GEMM_ROWS; i++)
        for (int p = 0; p < panels; p++) {
            float *at = c + i * stride + p * PANEL;
            __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[i][p]), _mm512_set1_ps(scales[i]));
            _mm512_storeu_ps(at, add ? _mm512_add_ps(_mm512_loadu_ps(at), value) : value);
        }
}

static void multiply_lanes(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, const float *scales,
                           float *c, int64_t stride, int add) {
    if (panels == 3) multiply_panels(a, b, steps, 3, scales, c, stride, add);
    else if (panels == 2) multiply_panels(a, b, steps, 2, scales, c, stride, add);
    else multiply_panels(a, b, steps, 1, scales, c, stride, add);
}

void sterna_avx512vnni_int16(sterna_table *t) {
    t->input_gradient_int16 = input_gradient;
    t->weight_gradient_int16 = weight_gradient;
}
