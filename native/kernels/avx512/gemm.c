/* gemm.c: float products in 8 x 48 tiles of f32 FMA: 24 sums, three columns of B and a number of A in registers. */
#include "dispatch/families.h"
#include "kernels/avx512/gemm.h"
#include "kernels/template/lanes.h"

#define GEMM_DEPTH 1
#define GEMM_ROWS 8
#define GEMM_COLS 48
#define GEMM_BLOCK_ROWS 256
#define GEMM_STEPS 256

#include "kernels/template/gemm.h"
#include "kernels/template/gemv.h"

/* `panels` is a constant where this is inlined, so that the sums stay in registers. */
INLINE void multiply_panels(const float *a, const float *b, int64_t steps, int panels, float *c,
                                   int64_t stride, int add) {
    __m512 sum[GEMM_ROWS][3], column[3];
    for (int i = 0; i < GEMM_ROWS; i++)
        for (int p = 0; p < panels; p++) sum[i][p] = _mm512_setzero_ps();
    for (int i = 0; i < GEMM_ROWS; i++) /* C comes from far away and is needed in the end */
        for (int p = 0; p < panels; p++) _mm_prefetch(c + i * stride + p * PANEL, _MM_HINT_T0);
    for (int64_t step = 0; step < steps; step++) {
        for (int p = 0; p < panels; p++) column[p] = _mm512_load_ps(b + (p * STEPS + step) * PANEL);
        for (int i = 0; i < GEMM_ROWS; i++) {
            __m512 x = _mm512_set1_ps(a[i * STEPS + step]);
            for (int p = 0; p < panels; p++) sum[i][p] = _mm512_fmadd_ps(x, column[p], sum[i][p]);
        }
    }
    for (int i = 0; i < GEMM_ROWS; i++)
        for (int p = 0; p < panels; p++) {
            float *at = c + i * stride + p * PANEL;
            _mm512_storeu_ps(at, add ? _mm512_add_ps(_mm512_loadu_ps(at), sum[i][p]) : sum[i][p]);
        }
}

static void multiply_lanes(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, const float *scales,
                           float *c, int64_t stride, int add) {
    (void)scales; /* of int16 lanes */
    const float *x = (const float *)a, *y = (const float *)b;
    if (panels == 3) multiply_panels(x, y, steps, 3, c, stride, add);
    else if (panels == 2) multiply_panels(x, y, steps, 2, c, stride, add);
    else multiply_panels(x, y, steps, 1, c, stride, add);
}

int32_t gemm_avx512(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                    int64_t row0, int64_t row1, void *scratch) {
    if (takes_gemv(a, c, flags)) return gemv(a, b, c, flags, row0, row1, scratch);
    return gemm(a, b, c, flags, row0, row1, scratch);
}

void sterna_avx512_gemm(sterna_table *t) {
    t->input_gradient = input_gradient;
    t->weight_gradient = weight_gradient;
    t->input_gradient_int16 = input_gradient; /* vpmaddwd and vpaddd are no faster than FMA here */
    t->weight_gradient_int16 = weight_gradient;
    t->gemm = gemm_avx512;
}
