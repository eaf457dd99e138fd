/* families.h: what each tier overrides. A family is a file of the tier's folder; its fill function
 * stands here and is called in dispatch/fill.c. */
#ifndef STERNA_FAMILIES_H
#define STERNA_FAMILIES_H

#include "table.h"

void sterna_fill_reference(sterna_table *t);
void sterna_fill_avx2(sterna_table *t);
void sterna_fill_avx512(sterna_table *t);
void sterna_fill_avx512vnni(sterna_table *t);
void sterna_fill_amx(sterna_table *t);

void sterna_reference_probe(sterna_table *t);
void sterna_avx2_probe(sterna_table *t);
void sterna_avx512_probe(sterna_table *t);
void sterna_avx512vnni_probe(sterna_table *t);
void sterna_amx_probe(sterna_table *t);
void sterna_reference_rng(sterna_table *t);
void sterna_avx2_rng(sterna_table *t);
void sterna_avx2_grid(sterna_table *t);
void sterna_avx2_update(sterna_table *t);
void sterna_avx2_optimizer(sterna_table *t);
void sterna_avx2_adamw_packed(sterna_table *t);
void sterna_avx512_rng(sterna_table *t);
void sterna_avx512_grid(sterna_table *t);
void sterna_avx512_update(sterna_table *t);
void sterna_avx512_optimizer(sterna_table *t);
void sterna_avx512_adamw_packed(sterna_table *t);
void sterna_reference_grid(sterna_table *t);
void sterna_reference_update(sterna_table *t);
void sterna_reference_optimizer(sterna_table *t);
void sterna_reference_rows(sterna_table *t);
void sterna_avx2_rows(sterna_table *t);
void sterna_avx512_rows(sterna_table *t);
void sterna_reference_attention(sterna_table *t);
void sterna_avx2_attention(sterna_table *t);
void sterna_avx512_attention(sterna_table *t);
void sterna_amx_attention(sterna_table *t);
void sterna_reference_gemm(sterna_table *t);
void sterna_avx2_gemm(sterna_table *t);
void sterna_avx512_gemm(sterna_table *t);
void sterna_avx2_int16(sterna_table *t);
void sterna_avx2_gemm_int16(sterna_table *t);
void sterna_avx512vnni_int16(sterna_table *t);
void sterna_avx512vnni_gemm_int16(sterna_table *t);
void sterna_amx_gemm(sterna_table *t);
void sterna_reference_gradient(sterna_table *t);
void sterna_reference_linear(sterna_table *t);
void sterna_avx2_linear(sterna_table *t);
void sterna_avx2_gradient(sterna_table *t);
void sterna_avx512_linear(sterna_table *t);
void sterna_avx512_gradient(sterna_table *t);
void sterna_avx512vnni_linear(sterna_table *t);
void sterna_avx512vnni_gradient(sterna_table *t);
void sterna_amx_linear(sterna_table *t);
void sterna_amx_gradient(sterna_table *t);

#endif
