/* linear.c: a tile of 4 tokens by 16 rows takes 8 of the 16 registers; two more hold codes, one x. */
#include "dispatch/families.h"

#define TILE_TOKENS 4
#define TILE_PANELS 1
#define SEGMENT_BYTES 65536
#define TOKENS_BYTES 1310720
#define GEMV_MAX_TOKENS(bits) ((bits) <= 3 ? 2 : (bits) < 8 ? 6 : 8)

#include "kernels/template/linear_pairs.h"

void sterna_avx2_linear(sterna_table *t) {
    t->linear = linear;
}
