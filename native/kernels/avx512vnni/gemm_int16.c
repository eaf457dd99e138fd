/* gemm_int16.c: products of floats in 16-bit fixed point. Few rows are bound by memory, and not rounded. */
#include "dispatch/families.h"
#include "kernels/avx512vnni/int16_tile.h"

#define GEMM_INT16 2
#define GEMM_RUN 64

#include "kernels/template/gemm.h"
#include "kernels/template/gemv.h"
#include "kernels/template/lane_tiles.h"

void sterna_avx512vnni_gemm_int16(sterna_table *t) {
    t->gemm_int16 = gemm_or_gemv;
}
