/* grid.h: packed codes of a tier, from floats and back. Includer defines TIER(op), the tier's name of an operation. */
#include "dispatch/grid.h"

#include "dispatch/families.h"
#include "kernels/template/planes.h"
#include "kernels/template/tile.h"

/* Columns c...c + n - 1 of a row, then zeros. */
INLINE vfloat load_columns(const sterna_matrix *x, int64_t r, int64_t c, int n) {
    int64_t at = r * x->stride + c;
    if (x->type == STERNA_F32) return load_floats((const float *)x->data + at, n);
    return (vfloat)(load_shorts((const uint16_t *)x->data + at, n) << 16);
}

INLINE void store_columns(const sterna_matrix *x, int64_t r, int64_t c, vfloat value, int n) {
    int64_t at = r * x->stride + c;
    if (x->type == STERNA_F32) store_floats((float *)x->data + at, value, n);
    else store_shorts((uint16_t *)x->data + at, bf16_nearest(value), n);
}

INLINE int block_count(int64_t cols, int64_t c) {
    return cols - c < STERNA_BLOCK ? (int)(cols - c) : STERNA_BLOCK;
}

/* ---------------------------------------------------------------- statistics */

typedef struct run_sums {
    sum16 absolute, sum, squares;
    vdouble max;
} run_sums;

INLINE void add_half(run_sums *s, int at, vdouble x) {
    vdouble magnitude = (vdouble)((vlong)x & splat_long(0x7fffffffffffffff));
    s->absolute.lanes[at] += magnitude;
    s->sum.lanes[at] += x;
    s->squares.lanes[at] += x * x;
    s->max = max_double(magnitude, s->max);
}

static void run_statistics(const sterna_matrix *x, int64_t r, int64_t begin, int64_t end, double stats[4]) {
    run_sums s = {0};
    for (int64_t c = begin; c < end; c += 16)
#pragma GCC unroll 2
        for (int offset = 0; offset < 16; offset += LANES) {
            int n = lanes_left(end - c < 16 ? (int)(end - c) : 16, offset);
            vfloat values = load_columns(x, r, n ? c + offset : c, n);
            add_half(&s, offset / LANES * 2, double_of(values, 0));
            add_half(&s, offset / LANES * 2 + 1, double_of(values, 1));
        }
    double max[LANES / 2];
    memcpy(max, &s.max, sizeof max);
    for (int i = 1; i < LANES / 2; i++) max[0] = max[i] > max[0] ? max[i] : max[0];
    stats[0] = total(&s.absolute);
    stats[1] = max[0];
    stats[2] = total(&s.sum);
    stats[3] = total(&s.squares);
}

static int32_t TIER(statistics)(const sterna_matrix *x, int64_t group, double *stats, int64_t row0, int64_t row1) {
    if (group == 0) group = x->cols;
    int64_t groups = (x->cols + group - 1) / group;
    for (int64_t r = row0; r < row1; r++)
        for (int64_t g = 0; g < groups; g++) {
            int64_t end = (g + 1) * group < x->cols ? (g + 1) * group : x->cols;
            run_statistics(x, r, g * group, end, stats + (r * groups + g) * 4);
        }
    return STERNA_OK;
}

/* ---------------------------------------------------------------- codes */

static int rows_are_finite(const sterna_matrix *x, int64_t rows) {
    vint max = splat_int(0);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < x->cols; c += LANES)
            max = max_int(max, magnitude_bits(load_columns(x, r, c, lanes_left(block_count(x->cols, c), 0))));
    return largest_int(max) < 0x7f800000;
}

/* The bits of the codes nearest to z, ties to even; binary: the sign, 0 counts as +1. */
INLINE vint nearest_bits(int32_t grid, int bits, vfloat z) {
    if (bits == 1) return (z >= splat(0)) & splat_int(1);
    z = min_float(max_float(z, splat((float)sterna_qn(grid))), splat((float)sterna_qp(grid)));
    return nearest_int(z) & splat_int((1 << bits) - 1);
}

INLINE void encode_row(const sterna_matrix *x, int64_t r, const sterna_packed *w, int bits, int64_t row) {
    const float *scales = sterna_row_scales(w, row);
    uint8_t *block = (uint8_t *)sterna_packed_row(w, row);
    for (int64_t c = 0; c < w->cols; c += STERNA_BLOCK, block += 8 * bits) {
        vfloat inverse = splat(1 / scales[c / sterna_group_cols(w)]);
        packed_planes planes;
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
            int n = lanes_left(block_count(w->cols, c), v * LANES);
            vint code = nearest_bits(w->grid, bits, load_columns(x, r, n ? c + v * LANES : c, n) * inverse);
            add_bits(&planes, bits, v * LANES, code & lanes_before(n));
        }
        store_planes(block, bits, &planes);
    }
}

INLINE void decode_row(const sterna_packed *w, int bits, int64_t row, const sterna_matrix *x, int64_t r) {
    const float *scales = sterna_row_scales(w, row);
    const uint8_t *block = sterna_packed_row(w, row);
    for (int64_t c = 0; c < w->cols; c += STERNA_BLOCK, block += 8 * bits) {
        vfloat scale = splat(scales[c / sterna_group_cols(w)]);
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
            int n = lanes_left(block_count(w->cols, c), v * LANES);
            vint code = codes_of_bits(unpack_bits(block, bits, v * LANES), bits);
            store_columns(x, r, n ? c + v * LANES : c, float_of(code) * scale, n);
        }
    }
}

/* Counts by bits, in four tables so that equal neighbours do not wait for each other. */
INLINE void count_row(const sterna_packed *w, int bits, int64_t row, int64_t counts[4][256]) {
    const uint8_t *block = sterna_packed_row(w, row);
    for (int64_t c = 0; c < w->cols; c += STERNA_BLOCK, block += 8 * bits) {
        uint8_t codes[STERNA_BLOCK];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) store_bytes(codes + v * LANES, unpack_bits(block, bits, v * LANES), LANES);
        for (int i = 0; i < block_count(w->cols, c); i++) counts[i % 4][codes[i]]++;
    }
}

/* One copy of each operation for each number of bits: `bits` is a constant inside. */
enum row_operation { ENCODE, DECODE, COUNT };

typedef struct row_job {
    enum row_operation operation;
    const sterna_packed *w;
    const sterna_matrix *x;
    int64_t (*counts)[256];
} row_job;

INLINE void run_row(const row_job *job, int bits, int64_t row, int64_t r) {
    if (job->operation == ENCODE) encode_row(job->x, r, job->w, bits, row);
    else if (job->operation == DECODE) decode_row(job->w, bits, row, job->x, r);
    else count_row(job->w, bits, row, job->counts);
}

static void run_rows(const row_job *job, int64_t row0, int64_t row1) {
    for (int64_t row = row0; row < row1; row++)
        switch (sterna_bits(job->w->grid)) {
        case 1: run_row(job, 1, row, row - row0); break;
        case 2: run_row(job, 2, row, row - row0); break;
        case 3: run_row(job, 3, row, row - row0); break;
        case 4: run_row(job, 4, row, row - row0); break;
        case 5: run_row(job, 5, row, row - row0); break;
        case 6: run_row(job, 6, row, row - row0); break;
        case 7: run_row(job, 7, row, row - row0); break;
        default: run_row(job, 8, row, row - row0);
        }
}

static int32_t TIER(encode)(const sterna_matrix *x, const sterna_packed *w, int64_t row0, int64_t row1) {
    if (!rows_are_finite(x, row1 - row0)) return STERNA_STATUS(2, STERNA_NONFINITE);
    run_rows(&(row_job){ENCODE, w, x, 0}, row0, row1);
    return STERNA_OK;
}

static int32_t TIER(decode)(const sterna_packed *w, const sterna_matrix *x, int64_t row0, int64_t row1) {
    run_rows(&(row_job){DECODE, w, x, 0}, row0, row1);
    return STERNA_OK;
}

static int32_t TIER(histogram)(const sterna_packed *w, int64_t *counts, int64_t row0, int64_t row1) {
    int64_t by_bits[4][256] = {{0}}, found[256] = {0};
    run_rows(&(row_job){COUNT, w, 0, by_bits}, row0, row1);
    int bits = sterna_bits(w->grid);
    for (int i = 0; i < 1 << bits; i++) {
        int code = bits == 1 ? 2 * i - 1 : i - (i >> (bits - 1) << bits), place = code - sterna_qn(w->grid);
        int64_t count = by_bits[0][i] + by_bits[1][i] + by_bits[2][i] + by_bits[3][i];
        if (place < 0 && count) return STERNA_STATUS(2, STERNA_BAD_VALUE);
        if (count) found[place] = count;
    }
    for (int i = 0; i < 256; i++) counts[i] += found[i];
    return STERNA_OK;
}
