/*
 * lane_tiles.h: multiply_lanes of gemm.h in registers: GEMM_ROWS rows of sums by up to GEMM_COLS columns, one step of
 * these columns, and a lane of A. A tier's file includes it after gemm.h; where lanes hold int16 it defines before
 *
 *   vint add_products(vint sum, vuint x, vuint column)   sum += both products of every lane of x and column
 */
#ifndef STERNA_LANE_TILES_H
#define STERNA_LANE_TILES_H

#if GEMM_INT16

typedef vint lane_sums;

/* The sums of a row and LANES columns. */
INLINE vfloat values_of(lane_sums sum, const float *row_scale, const float *col_scales) {
    vfloat values = float_of(sum) * *row_scale;
    return GEMM_INT16 == 2 ? values * load_floats(col_scales, LANES) : values;
}

#else

typedef vfloat lane_sums;

INLINE lane_sums add_products(lane_sums sum, vuint x, vuint column) {
    return fused_add((vfloat)x, (vfloat)column, sum);
}

INLINE vfloat values_of(lane_sums sum, const float *row_scale, const float *col_scales) {
    (void)row_scale, (void)col_scales;
    return sum;
}

#endif

enum { PANEL_VECTORS = PANEL / LANES, MOST_VECTORS = GEMM_COLS / LANES };

/* `panels` is a constant where this is inlined, so that the sums stay in registers. */
INLINE void multiply_panels(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, struct scales scales,
                            float *c, int64_t stride, int add) {
    const int vectors = panels * PANEL_VECTORS;
    lane_sums sum[GEMM_ROWS][MOST_VECTORS];
    vuint column[MOST_VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < GEMM_ROWS; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) sum[i][v] = (lane_sums){0};
    for (int i = 0; i < GEMM_ROWS; i++) /* C comes from far away and is needed in the end */
        for (int p = 0; p < panels; p++) _mm_prefetch(c + i * stride + p * PANEL, _MM_HINT_T0);
    for (int64_t step = 0; step < steps; step++) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            memcpy(&column[v], b + lane_index(LAYOUT_PANELS, v * LANES, step), sizeof column[v]);
#pragma GCC unroll 8
        for (int i = 0; i < GEMM_ROWS; i++) {
            vuint x = (vuint)splat_int((int32_t)a[i * STEPS + step]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) sum[i][v] = add_products(sum[i][v], x, column[v]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < GEMM_ROWS; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            float *at = c + i * stride + v * LANES;
            vfloat value = values_of(sum[i][v], scales.rows + i, scales.cols + v * LANES);
            store_floats(at, add ? load_floats(at, LANES) + value : value, LANES);
        }
}

/* Runs one after the other; their sums meet in c, which is in L1 by then. */
INLINE void multiply_runs(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, struct scales scales, float *c,
                          int64_t stride, int add) {
    multiply_panels(a, b, least(steps, RUN), panels, scales, c, stride, add);
    for (int64_t step = RUN; step < steps; step += RUN) {
        scales.rows += ROW_SCALES, scales.cols += COL_SCALES;
        multiply_panels(a + step, b + step * PANEL, least(steps - step, RUN), panels, scales, c, stride, 1);
    }
}

static void multiply_lanes(const uint32_t *a, const uint32_t *b, int64_t steps, int panels, struct scales scales,
                           float *c, int64_t stride, int add) {
    const int most = GEMM_COLS / PANEL;
    if (panels == most) multiply_runs(a, b, steps, most, scales, c, stride, add);
    else if (most > 2 && panels == 2) multiply_runs(a, b, steps, 2, scales, c, stride, add);
    else multiply_runs(a, b, steps, 1, scales, c, stride, add);
}

#endif
