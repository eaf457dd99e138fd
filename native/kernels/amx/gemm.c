/*
 * gemm.c: float products in 32 x 32 tiles of bf16: four sums, two tiles of A and two of B. Products of f32
 * operands that may not be rounded stay with AVX-512.
 */
#include "dispatch/families.h"
#include "kernels/amx/join.h"
#include "kernels/amx/tile.h"
#include "kernels/avx512/gemm.h"

#define GEMM_DEPTH 2
#define GEMM_ROWS 32
#define GEMM_COLS 32
#define GEMM_BLOCK_ROWS 256
#define GEMM_SUM_ROWS 384 /* as many as a slice of the weight gradient mostly has: B is packed once for them */
#define GEMM_STEPS 144 /* 288 bf16: 32 rows of A, 32 columns of B and the sums fit in L1 together */

#include "kernels/template/gemm.h"
#include "kernels/template/gemv.h"

/* Four tiles of c, the right two only when there is a second panel. */
INLINE void load_sums(float *c, int64_t stride, int panels, int add) {
    if (!add) {
        tile_zero_sums();
        return;
    }
    tile_load(0, c, stride * 4);
    tile_load(1, c + 16 * stride, stride * 4);
    if (panels == 1) return;
    tile_load(2, c + PANEL, stride * 4);
    tile_load(3, c + 16 * stride + PANEL, stride * 4);
}

INLINE void store_sums(float *c, int64_t stride, int panels) {
    tile_store(0, c, stride * 4);
    tile_store(1, c + 16 * stride, stride * 4);
    if (panels == 1) return;
    tile_store(2, c + PANEL, stride * 4);
    tile_store(3, c + 16 * stride + PANEL, stride * 4);
}

static void multiply_lanes(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, struct scales scales,
                           float *c, int64_t stride, int add) {
    (void)scales; /* of int16 lanes */
    load_sums(c, stride, panels, add);
    for (int64_t step = 0; step < steps; step += 16) {
        tile_load(4, a + step, STEPS * 4);
        tile_load(6, b + step * PANEL, PANEL * 4);
        tile_dot_bf16(0, 4, 6);
        tile_load(5, a + 16 * STEPS + step, STEPS * 4);
        tile_dot_bf16(1, 5, 6);
        if (panels == 1) continue;
        tile_load(7, b + (STEPS + step) * PANEL, PANEL * 4);
        tile_dot_bf16(2, 4, 7);
        tile_dot_bf16(3, 5, 7);
    }
    store_sums(c, stride, panels);
}

static int32_t input_gradient_amx(const sterna_matrix *dy, const sterna_packed *w, const sterna_matrix *dx,
                                  int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    tile_begin();
    int32_t status = input_gradient(dy, w, dx, accumulate, row0, row1, scratch);
    tile_end();
    return status;
}

static int32_t weight_gradient_amx(const sterna_matrix *dy, const sterna_quantized *q, const sterna_matrix *dw,
                                   int32_t accumulate, int64_t row0, int64_t row1, void *scratch) {
    tile_begin();
    int32_t status = weight_gradient(dy, q, dw, accumulate, row0, row1, scratch);
    tile_end();
    return status;
}

static int32_t gemm_amx(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                        int64_t row0, int64_t row1, void *scratch) {
    if (!(flags & STERNA_ALLOW_BF16)) return gemm_avx512(a, b, c, flags, row0, row1, scratch);
    if (takes_gemv(a, c, flags)) return gemv(a, b, c, flags, row0, row1, scratch);
    tile_begin();
    int32_t status = gemm(a, b, c, flags, row0, row1, scratch);
    tile_end();
    return status;
}

void sterna_amx_gemm(sterna_table *t) {
    t->input_gradient = input_gradient_amx;
    t->weight_gradient = weight_gradient_amx;
    t->input_gradient_int16 = input_gradient_amx;
    t->weight_gradient_int16 = weight_gradient_amx;
    t->gemm = gemm_amx;
    t->gemm_int16 = gemm_amx;
}
