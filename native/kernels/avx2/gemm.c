/* gemm.c: float products in 6 x 16 tiles of f32 FMA: 12 sums, a panel's step and a number of A in registers. */
#include "dispatch/families.h"
#include "kernels/template/lanes.h"

#define GEMM_DEPTH 1
#define GEMM_ROWS 6
#define GEMM_COLS 16
#define GEMM_BLOCK_ROWS 240
#define GEMM_STEPS 256

#include "kernels/template/gemm.h"
#include "kernels/template/gemv.h"

static void multiply_lanes(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, const float *scales,
                           float *c, int64_t stride, int add) {
    (void)scales; /* of int16 lanes */
    __m256 sum[GEMM_ROWS][2];
    (void)panels; /* a call has one */
    for (int i = 0; i < GEMM_ROWS; i++) {
        sum[i][0] = sum[i][1] = _mm256_setzero_ps();
        _mm_prefetch(c + i * stride, _MM_HINT_T0); /* C comes from far away and is needed in the end */
    }
    for (int64_t step = 0; step < steps; step++) {
        const float *row = (const float *)b + step * PANEL;
        __m256 low = _mm256_load_ps(row), high = _mm256_load_ps(row + 8);
        for (int i = 0; i < GEMM_ROWS; i++) {
            __m256 x = _mm256_broadcast_ss((const float *)a + i * STEPS + step);
            sum[i][0] = _mm256_fmadd_ps(x, low, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(x, high, sum[i][1]);
        }
    }
    for (int i = 0; i < GEMM_ROWS; i++)
        for (int h = 0; h < 2; h++) {
            float *at = c + i * stride + 8 * h;
            _mm256_storeu_ps(at, add ? _mm256_add_ps(_mm256_loadu_ps(at), sum[i][h]) : sum[i][h]);
        }
}

static int32_t gemm_avx2(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                         int64_t row0, int64_t row1, void *scratch) {
    if (takes_gemv(a, c, flags)) return gemv(a, b, c, flags, row0, row1, scratch);
    return gemm(a, b, c, flags, row0, row1, scratch);
}

void sterna_avx2_gemm(sterna_table *t) {
    t->input_gradient = input_gradient;
    t->weight_gradient = weight_gradient;
    t->gemm = gemm_avx2;
}
