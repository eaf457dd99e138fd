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
#include "kernels/template/lane_tiles.h"

int32_t gemm_avx512(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                    int64_t row0, int64_t row1, void *scratch) {
    return gemm_or_gemv(a, b, c, flags, row0, row1, scratch);
}

void sterna_avx512_gemm(sterna_table *t) {
    t->input_gradient = input_gradient;
    t->weight_gradient = weight_gradient;
    t->input_gradient_int16 = input_gradient; /* vpmaddwd and vpaddd are no faster than FMA here */
    t->weight_gradient_int16 = weight_gradient;
    t->gemm = gemm_avx512;
    t->gemm_int16 = gemm_avx512;
}
