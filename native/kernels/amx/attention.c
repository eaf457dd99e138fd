/* attention.c: causal attention with its products in tiles of bf16; sums and the softmax are f32. */
#include "dispatch/families.h"
#include "kernels/amx/attention_backward.h"
#include "kernels/amx/attention_forward.h"

void sterna_amx_attention(sterna_table *t) {
    t->attention_forward = attention_forward;
    t->attention_backward = attention_backward;
}
