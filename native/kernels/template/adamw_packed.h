/*
 * adamw_packed.h: AdamW and the rounding of packed weights in one pass, block by block, so that the divisions
 * and roots of a block run beside the random numbers of another. Includer defines TIER(op).
 */
#include "dispatch/families.h"
#include "kernels/template/adamw.h"
#include "kernels/template/rounding.h"
#include "kernels/template/squares.h"

/* A row of the tile: what gives deltas for its weights. The gradients of a block, once used, make room for
 * the codes as they were, which take a quarter of the bytes or less. */
typedef struct adamw_row {
    const adamw_rule *rule;
    float *g;
    const uint8_t *codes;
    int64_t block_bytes, r;
    sterna_moment m, v;
    vfloat finite; /* zeros while all deltas are finite */
} adamw_row;

INLINE void delta_of_adamw(void *context, int64_t b, int count, vfloat delta[VECTORS]) {
    adamw_row *row = context;
    moment_words none; /* state in f32 is not rounded */
    int64_t c = b * STERNA_BLOCK, bytes = row->block_bytes;
    adamw_block(row->rule, row->g + c, block_of(&row->m, row->r, c, count), block_of(&row->v, row->r, c, count), b == 0,
                &none, delta);
    memcpy((uint8_t *)row->g + b * bytes, row->codes + b * bytes, (size_t)bytes);
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++) row->finite = fused_add(delta[i], splat(0), row->finite);
}

/* Updates a row; adds the codes that changed, and tells whether all deltas were finite. */
static int update_row(const adamw_rule *rule, const update_rule *rounding, float *g, const sterna_moment *m,
                      const sterna_moment *v, const sterna_packed *w, int64_t r, int64_t *flips) {
    adamw_row row = {rule, g, sterna_packed_row(w, r), 8 * sterna_bits(w->grid), r, *m, *v, splat(0)};
    row.m.type = row.v.type = STERNA_F32; /* known, so that no other kind of state is compiled in */
    *flips += round_row_of_grid(rounding, w, r, delta_of_adamw, &row);
    return largest_int(magnitude_bits(row.finite)) == 0;
}

/* The codes as they were, from the tile. */
static void restore_codes(const sterna_packed *w, const sterna_matrix *g, int64_t row0, int64_t row1) {
    size_t bytes = (size_t)sterna_packed_row_bytes(w->grid, w->cols);
    for (int64_t r = row0; r < row1; r++) memcpy((uint8_t *)sterna_packed_row(w, r), tile_row(g, r - row0), bytes);
}

static int32_t TIER(adamw_packed)(const sterna_adamw_step *step, const sterna_matrix *g, const sterna_moment *m,
                                  const sterna_moment *v, double *squares, const sterna_packed *w, float keep,
                                  int32_t rounding, int64_t *flips, int64_t row0, int64_t row1) {
    int32_t status = scan_tile(g, step->factor, squares, row1 - row0);
    if (status) return status;
    adamw_rule rule = make_adamw_rule(step);
    update_rule update = make_rule(w->grid, keep, step->key, rounding);
    int64_t changed = 0;
    int finite = 1;
    for (int64_t r = row0; r < row1; r++)
        finite &= update_row(&rule, &update, tile_row(g, r - row0), m, v, w, r, &changed);
    if (!finite) {
        restore_codes(w, g, row0, row1);
        return STERNA_STATUS(3, STERNA_NONFINITE);
    }
    *flips += changed;
    return STERNA_OK;
}
