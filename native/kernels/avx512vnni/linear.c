/* linear.c: four byte products a lane in one instruction (vpdpbusd). */
#define TILE_TOKENS 8
#define TILE_PANELS 3
#define TOKENS_BYTES 786432
#define SEGMENT_BYTES 1032192
#define GEMV_TOKENS 4
#define GEMV_MAX_TOKENS(bits) 16
#define DOT_SIGNED_8 0

#include "kernels/template/bytes.h"

/* As _mm512_dpbusd_epi32, but the sum stays in its register: gcc 12 copies and spills a tile of the intrinsic's. */
ALWAYS_INLINE bytes dot(bytes sum, bytes u, bytes x, int bits) {
    (void)bits;
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(x));
    return sum;
}

#include "kernels/template/linear.h"

#define PREFETCH 1024 /* bytes of a panel ahead: it comes from L2 */

/* 24 sums, 3 panels and a word of x take 28 of 32 registers; 11 loads feed 24 products. */
ALWAYS_INLINE void multiply_panels(const uint8_t *panel, int64_t panel_bytes, int panels, const int8_t *x,
                                   int64_t steps, int resume, tile_sums *sums) {
    bytes sum[TILE_TOKENS][TILE_PANELS], u[TILE_PANELS];
    for (int t = 0; t < TILE_TOKENS; t++)
        for (int p = 0; p < panels; p++) sum[t][p] = resume ? load_vector(sums->of[t][p]) : zero_bytes();
    for (int64_t s = 0; s < steps; s++, panel += PANEL * STEP, x += TOKENS * STEP) {
#pragma GCC unroll 3
        for (int p = 0; p < panels; p++) {
            u[p] = load_vector(panel + p * panel_bytes);
            __builtin_prefetch(panel + p * panel_bytes + PREFETCH);
        }
#pragma GCC unroll 8
        for (int t = 0; t < TILE_TOKENS; t++) {
            bytes word = broadcast_word(x + t * STEP);
#pragma GCC unroll 3
            for (int p = 0; p < panels; p++) sum[t][p] = dot(sum[t][p], u[p], word, 0);
        }
    }
    for (int t = 0; t < TILE_TOKENS; t++)
        for (int p = 0; p < panels; p++) memcpy(sums->of[t][p], &sum[t][p], sizeof(bytes));
}

NEVER_INLINE void multiply_steps(const uint8_t *panel, int64_t panel_bytes, int64_t panels, const int8_t *x,
                                 int64_t steps, int resume, tile_sums *sums) {
    if (panels == 1) multiply_panels(panel, panel_bytes, 1, x, steps, resume, sums);
    else if (panels == 2) multiply_panels(panel, panel_bytes, 2, x, steps, resume, sums);
    else multiply_panels(panel, panel_bytes, 3, x, steps, resume, sums);
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
