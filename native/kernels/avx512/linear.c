/* linear.c: a tile of 8 tokens by 32 rows takes 16 of the 32 registers. */
#include "dispatch/families.h"

#define TILE_TOKENS 8
#define TILE_PANELS 2
#define SEGMENT_BYTES 262144
#define TOKENS_BYTES 1310720
#define GEMV_MAX_TOKENS(bits) ((bits) <= 3 ? 4 : 8)

#include "kernels/template/linear_pairs.h"

void sterna_avx512_linear(sterna_table *t) {
    t->linear = linear;
}
