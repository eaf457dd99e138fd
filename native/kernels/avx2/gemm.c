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
#include "kernels/template/lane_tiles.h"

void sterna_avx2_gemm(sterna_table *t) {
    t->input_gradient = input_gradient;
    t->weight_gradient = weight_gradient;
    t->gemm = gemm_or_gemv;
}
