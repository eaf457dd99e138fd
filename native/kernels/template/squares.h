/* squares.h: sums of squares of a gradient tile, and whether it may enter an optimizer's state. */
#ifndef STERNA_SQUARES_H
#define STERNA_SQUARES_H

#include "kernels/template/tile.h"

/* The gradient scaled by a row's factor and, for Adafactor, by a factor a column (or null). */
INLINE vfloat scaled_gradient(const float *row, int64_t c, int n, float factor, const float *col_factor) {
    vfloat g = load_floats(row + c, n) * splat(factor);
    return col_factor ? g * load_floats(col_factor + c, n) : g;
}

/* Sum of squares of a row, in 16 lanes by column. */
INLINE double row_sum(const float *row, int64_t cols, float factor, const float *col_factor) {
    sum16 sum = {0};
    for (int64_t c = 0; c < cols; c += 16)
#pragma GCC unroll 2
        for (int offset = 0; offset < 16; offset += LANES) {
            int n = cols - c >= 16 ? LANES : lanes_left((int)(cols - c), offset);
            vfloat x = scaled_gradient(row, n ? c + offset : c, n, factor, col_factor);
            add_squares(&sum, offset, double_of(x, 0), double_of(x, 1));
        }
    return total(&sum);
}

/* The same without factors: whole runs of 16 are widened where they are loaded. */
INLINE double plain_row_sum(const float *row, int64_t cols) {
    sum16 sum = {0};
    int64_t c = 0;
    for (; c + 16 <= cols; c += 16)
#pragma GCC unroll 2
        for (int offset = 0; offset < 16; offset += LANES)
            add_squares(&sum, offset, load_doubles(row + c + offset, 0), load_doubles(row + c + offset, 1));
#pragma GCC unroll 2
    for (int offset = 0; offset < 16 && c < cols; offset += LANES) {
        int n = lanes_left((int)(cols - c), offset);
        vfloat x = load_floats(row + (n ? c + offset : c), n);
        add_squares(&sum, offset, double_of(x, 0), double_of(x, 1));
    }
    return total(&sum);
}

/* The largest magnitude's bits of a row, without its sum. */
INLINE vint row_max(const float *row, int64_t cols, float factor, const float *col_factor, vint max) {
    int64_t c = 0;
    for (; c + LANES <= cols; c += LANES)
        max = max_int(max, magnitude_bits(scaled_gradient(row, c, LANES, factor, col_factor)));
    if (c == cols) return max;
    return max_int(max, magnitude_bits(scaled_gradient(row, c, (int)(cols - c), factor, col_factor)));
}

/* A gradient enters a state only while its square is finite in f32; rounding is monotonic, so the largest
 * magnitude decides for all. */
INLINE int square_is_finite(vint max, float factor) {
    float largest = float_of_bits(largest_int(max)) * factor;
    return (magnitude_bits(splat(largest * largest))[0]) < 0x7f800000;
}

/* Writes the squares of a tile's rows (unless null); tells whether the scaled gradients may enter a state. No
 * square is larger than the sum of all, so a sum that is far from infinity spares the search for the largest. */
INLINE int32_t scan_tile(const sterna_matrix *g, float factor, double *squares, int64_t rows) {
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) {
        double row = plain_row_sum(tile_row(g, r), g->cols);
        if (squares) squares[r] = row;
        sum += row;
    }
    if (sum * factor * factor < 0x1p127) return STERNA_OK;
    vint max = splat_int(0);
    for (int64_t r = 0; r < rows; r++) max = row_max(tile_row(g, r), g->cols, 1, 0, max);
    return square_is_finite(max, factor) ? STERNA_OK : STERNA_STATUS(3, STERNA_NONFINITE);
}

#endif
