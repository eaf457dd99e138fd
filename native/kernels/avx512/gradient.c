/* gradient.c: int8 gradients; products by vpmaddwd, in tiles of 4 rows by 3 panels: 12 sums and 6 halves of panels. */
#include "dispatch/families.h"

#define TILE_ROWS 4
#define TILE_PANELS 3

#include "kernels/template/gradient.h"
#include "kernels/template/product_pairs.h"

void sterna_avx512_gradient(sterna_table *t) {
    t->quantize_gradient = quantize_gradient;
    t->input_gradient_int8 = input_gradient_int8;
    t->weight_gradient_int8 = weight_gradient_int8;
}
