/* gemm_int16.c: products of floats in 16-bit fixed point, in 8 x 48 tiles of vpdpwssd: those of int16.c, with both operands rounded. */
#include "dispatch/families.h"
#include "kernels/template/lanes.h"

#define GEMM_DEPTH 2
#define GEMM_INT16 2
#define GEMM_RUN 64
#define GEMM_ROWS 8
#define GEMM_COLS 48
#define GEMM_BLOCK_ROWS 256
#define GEMM_STEPS 256

#include "kernels/template/gemm.h"
#include "kernels/template/gemv.h"

/* As _mm512_dpwssd_epi32, but the sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
INLINE vint add_products(vint sum, vuint x, vuint column) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(column));
    return sum;
}

#include "kernels/template/lane_tiles.h"

/* Few rows are bound by memory, and not rounded. */
static int32_t gemm_int16(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                          int64_t row0, int64_t row1, void *scratch) {
    if (takes_gemv(a, c, flags)) return gemv(a, b, c, flags, row0, row1, scratch);
    return gemm(a, b, c, flags, row0, row1, scratch);
}

void sterna_avx512vnni_gemm_int16(sterna_table *t) {
    t->gemm_int16 = gemm_int16;
}
