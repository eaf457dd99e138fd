/* linear.c: a tile of 4 tokens by 16 rows takes 8 of the 16 registers; two more hold codes, one x. */
#include "dispatch/families.h"

#define TILE_TOKENS 4
#define TILE_PANELS 1

#include "kernels/template/linear_pairs.h"

void sterna_avx2_linear(sterna_table *t) {
    t->linear = linear;
}
