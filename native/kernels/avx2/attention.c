/* attention.c: causal attention in f32, vectors of 8 floats. */
#include "kernels/template/attention_f32.h"
#include "kernels/template/attention.h"

#include "dispatch/families.h"

void sterna_avx2_attention(sterna_table *t) {
    fill_attention(t);
}
