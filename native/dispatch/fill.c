/* fill.c: the families of each tier, one line a file. */
#include "families.h"

void sterna_fill_reference(sterna_table *t) {
    sterna_reference_probe(t);
    sterna_reference_rng(t);
    sterna_reference_grid(t);
    sterna_reference_update(t);
    sterna_reference_optimizer(t);
    sterna_reference_rows(t);
    sterna_reference_attention(t);
    sterna_reference_linear(t);
    sterna_reference_gemm(t);
    sterna_reference_gradient(t);
}

#if defined(__x86_64__)

void sterna_fill_avx2(sterna_table *t) {
    sterna_avx2_gemm(t);
    sterna_avx2_int16(t);
    sterna_avx2_gemm_int16(t);
    sterna_avx2_linear(t);
    sterna_avx2_gradient(t);
    sterna_avx2_rng(t);
    sterna_avx2_grid(t);
    sterna_avx2_update(t);
    sterna_avx2_optimizer(t);
    sterna_avx2_adamw_packed(t);
    sterna_avx2_rows(t);
    sterna_avx2_attention(t);
    sterna_avx2_probe(t);
}

void sterna_fill_avx512(sterna_table *t) {
    sterna_avx512_linear(t);
    sterna_avx512_gradient(t);
    sterna_avx512_gemm(t);
    sterna_avx512_rng(t);
    sterna_avx512_grid(t);
    sterna_avx512_update(t);
    sterna_avx512_optimizer(t);
    sterna_avx512_adamw_packed(t);
    sterna_avx512_rows(t);
    sterna_avx512_attention(t);
    sterna_avx512_probe(t);
}

void sterna_fill_avx512vnni(sterna_table *t) {
    sterna_avx512vnni_linear(t);
    sterna_avx512vnni_gradient(t);
    sterna_avx512vnni_int16(t);
    sterna_avx512vnni_gemm_int16(t);
    sterna_avx512vnni_probe(t);
}

void sterna_fill_amx(sterna_table *t) {
    sterna_amx_linear(t);
    sterna_amx_gradient(t);
    sterna_amx_gemm(t);
    sterna_amx_probe(t);
    sterna_amx_attention(t);
}

#endif
