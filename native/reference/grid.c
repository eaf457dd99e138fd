/* grid.c: packed codes from floats and back, and what is counted over either. */
#include "dispatch/grid.h"

#include <math.h>
#include <string.h>

#include "dispatch/element.h"
#include "dispatch/families.h"

/* Lanes i and i + 8, then + 4, + 2, + 1. */
static double sum_lanes(double lanes[16]) {
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

/* Column c of the run adds to lane c % 16. */
static void run_statistics(const sterna_matrix *x, int64_t r, int64_t begin, int64_t end, double stats[4]) {
    double absolute[16] = {0}, sum[16] = {0}, squares[16] = {0}, max = 0;
    for (int64_t c = begin; c < end; c++) {
        double value = sterna_get(x, r, c);
        int64_t lane = (c - begin) % 16;
        absolute[lane] += fabs(value);
        sum[lane] += value;
        squares[lane] += value * value;
        if (fabs(value) > max) max = fabs(value);
    }
    stats[0] = sum_lanes(absolute);
    stats[1] = max;
    stats[2] = sum_lanes(sum);
    stats[3] = sum_lanes(squares);
}

static int32_t statistics(const sterna_matrix *x, int64_t group, double *stats, int64_t row0, int64_t row1) {
    if (group == 0) group = x->cols;
    int64_t groups = (x->cols + group - 1) / group;
    for (int64_t r = row0; r < row1; r++)
        for (int64_t g = 0; g < groups; g++) {
            int64_t end = (g + 1) * group < x->cols ? (g + 1) * group : x->cols;
            run_statistics(x, r, g * group, end, stats + (r * groups + g) * 4);
        }
    return STERNA_OK;
}

/* Ties to even; a binary weight takes the sign, 0 counts as +1. */
static int nearest_code(int32_t grid, float z) {
    if (grid == STERNA_BINARY) return z >= 0 ? 1 : -1;
    float low = (float)sterna_qn(grid), high = (float)sterna_qp(grid);
    return (int)rintf(z < low ? low : z > high ? high : z);
}

static int32_t encode(const sterna_matrix *x, const sterna_packed *w, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < w->cols; c++)
            if (!isfinite(sterna_get(x, r - row0, c))) return STERNA_STATUS(2, STERNA_NONFINITE);
    for (int64_t r = row0; r < row1; r++) {
        uint8_t *row = (uint8_t *)sterna_packed_row(w, r);
        const float *scales = sterna_row_scales(w, r);
        memset(row, 0, (size_t)sterna_packed_row_bytes(w->grid, w->cols));
        for (int64_t c = 0; c < w->cols; c++) {
            float inverse = 1 / scales[c / sterna_group_cols(w)];
            uint8_t *block = row + c / STERNA_BLOCK * 8 * sterna_bits(w->grid);
            sterna_set_code(block, w->grid, c % STERNA_BLOCK, nearest_code(w->grid, sterna_get(x, r - row0, c) * inverse));
        }
    }
    return STERNA_OK;
}

static int32_t decode(const sterna_packed *w, const sterna_matrix *x, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++) {
        const uint8_t *row = sterna_packed_row(w, r);
        const float *scales = sterna_row_scales(w, r);
        for (int64_t c = 0; c < w->cols; c++) {
            const uint8_t *block = row + c / STERNA_BLOCK * 8 * sterna_bits(w->grid);
            float code = (float)sterna_get_code(block, w->grid, c % STERNA_BLOCK);
            sterna_put(x, r - row0, c, code * scales[c / sterna_group_cols(w)]);
        }
    }
    return STERNA_OK;
}

static int32_t histogram(const sterna_packed *w, int64_t *counts, int64_t row0, int64_t row1) {
    int64_t found[257] = {0}; /* from one below Qn: a ternary -2 */
    for (int64_t r = row0; r < row1; r++) {
        const uint8_t *row = sterna_packed_row(w, r);
        for (int64_t c = 0; c < w->cols; c++) {
            const uint8_t *block = row + c / STERNA_BLOCK * 8 * sterna_bits(w->grid);
            found[sterna_get_code(block, w->grid, c % STERNA_BLOCK) - sterna_qn(w->grid) + 1]++;
        }
    }
    if (found[0]) return STERNA_STATUS(2, STERNA_BAD_VALUE);
    for (int i = 0; i < 256; i++) counts[i] += found[i + 1];
    return STERNA_OK;
}

void sterna_reference_grid(sterna_table *t) {
    t->statistics = statistics;
    t->encode = encode;
    t->decode = decode;
    t->histogram = histogram;
}
