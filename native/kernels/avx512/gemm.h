/* gemm.h: the f32 product, for the tier above that has another one for bf16. */
#ifndef STERNA_AVX512_GEMM_H
#define STERNA_AVX512_GEMM_H

#include "sterna.h"

int32_t gemm_avx512(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags,
                    int64_t row0, int64_t row1, void *scratch);

#endif
