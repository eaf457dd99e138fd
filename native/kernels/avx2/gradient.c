/* gradient.c: int8 gradients; products by vpmaddwd, in tiles of 4 rows by a panel: 8 sums and 4 halves of the panel. */
#include "dispatch/families.h"

#define TILE_ROWS 4
#define TILE_PANELS 1

#include "kernels/template/gradient.h"
#include "kernels/template/product_pairs.h"

void sterna_avx2_gradient(sterna_table *t) {
    t->quantize_gradient = quantize_gradient;
    t->input_gradient_int8 = input_gradient_int8;
    t->weight_gradient_int8 = weight_gradient_int8;
}
