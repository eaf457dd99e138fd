/* gemm_int16.c: products of floats in 16-bit fixed point, in 6 x 16 tiles of vpmaddwd: those of int16.c, with both operands rounded. */
#include "dispatch/families.h"
#include "kernels/template/lanes.h"

#define GEMM_DEPTH 2
#define GEMM_INT16 2
#define GEMM_RUN 64
#define GEMM_ROWS 6
#define GEMM_COLS 16
#define GEMM_BLOCK_ROWS 240
#define GEMM_STEPS 256

#include "kernels/template/gemm.h"
#include "kernels/template/gemv.h"

/* The sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE vint add_products(vint sum, vuint x, vuint column) {
    __m256i pairs = _mm256_madd_epi16((__m256i)x, (__m256i)column);
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(pairs));
    return sum;
}

#include "kernels/template/lane_tiles.h"

/* Few rows are bound by memory, and not rounded. */
static int32_t gemm_int16(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                          int64_t row0, int64_t row1, void *scratch) {
    if (takes_gemv(a, c, flags)) return gemv(a, b, c, flags, row0, row1, scratch);
    return gemm(a, b, c, flags, row0, row1, scratch);
}

void sterna_avx2_gemm_int16(sterna_table *t) {
    t->gemm_int16 = gemm_int16;
}
