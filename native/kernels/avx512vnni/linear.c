/* linear.c: four byte products a lane in one instruction (vpdpbusd). */
#include "kernels/avx512vnni/byte_tile.h"

#define TILE_TOKENS BYTE_TILE_ROWS
#define TILE_PANELS BYTE_TILE_PANELS
#define TOKENS_BYTES 1277952
#define SEGMENT_BYTES 393216
#define GEMV_TOKENS 4
#define GEMV_MAX_TOKENS(bits) 16
#define TAKES_LINES(bits) ((bits) == 2 || (bits) == 4)
#define DOT_SIGNED_8 0

INLINE bytes dot(bytes sum, bytes u, bytes x, int bits) {
    (void)bits;
    return dot_bytes(sum, u, x);
}

#include "kernels/template/linear.h"

NEVER_INLINE void multiply_steps(const uint8_t *panel, int64_t panel_bytes, int64_t panels, const int8_t *x,
                                 int64_t steps, int resume, tile_sums *sums) {
    multiply_byte_tile(panel, panel_bytes, panels, x, steps, resume, sums->of);
}

static void multiply_tile(const linear_call *c, const tile *tile, int64_t step, int64_t end, int resume) {
    const segment *seg = &c->scratch->segment;
    multiply_steps(panel_of_step(seg, tile->panel, step), seg->panel_bytes, tile->panels,
                   tile->block->x + step * TOKENS * STEP, end - step, resume, tile->block->sums);
}

static int64_t kept_bytes(const linear_call *c) {
    (void)c;
    return 0;
}

static void prepare_tokens(const linear_call *c, token_block *b) {
    b->bias = c->bias;
}

void sterna_avx512vnni_linear(sterna_table *t) {
    t->linear = linear;
}
