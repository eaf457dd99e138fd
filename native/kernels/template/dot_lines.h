/*
 * dot_lines.h: one token times rows of codes of one plane, a line at a time: as many bytes as a register holds. Included
 * by linear.h, whose row_codes and fetch_next it takes, and the tier's `dot`.
 *
 * A field is multiplied where it stands in its byte, and its sum, too large by a power of two, is divided when the row is
 * done, where no bit is lost. That is about half of what unpacking the codes and multiplying them takes.
 *
 *   x[line][field][block of the line][8 * bits columns]   meets the bytes of a line as they come
 *
 * With products of four bytes in int32 lanes, codes of 2 or 4 bits: every field has its own sums, up to 64 times too
 * large; a lane adds up at most K / 128 times four products of 240 and 127. With products of pairs in int16
 * (linear_pairs.h), codes of 2 bits: the upper two fields go to the place of the lower ones, so that what is multiplied
 * is at most 12, and a lane is widened after every LINE_RUN lines.
 */
#ifndef STERNA_DOT_LINES_H
#define STERNA_DOT_LINES_H

#define LINE ((int)sizeof(bytes))
#define LINE_BLOCKS(bits) (LINE / (8 * (bits)))
#define FIELDS(bits) (8 / (bits)) /* of a byte */

/* The first `cols` columns of a token, then zeros up to `length`, in lines; `bits` is a constant. */
INLINE void arrange_lines(const int8_t *columns, int64_t cols, int64_t length, int bits, int8_t *x) {
    enum { MOST = 4 * LINE };
    const int64_t width = 8 * bits, line = LINE_BLOCKS(bits) * STERNA_BLOCK;
    for (int64_t k = 0; k < length; k += line) {
        int8_t some[MOST] = {0};
        const int8_t *from = columns + k;
        if (k + line > cols) from = memcpy(some, from, (size_t)(cols - k));
        for (int64_t field = 0; field < FIELDS(bits); field++)
            for (int64_t block = 0; block < LINE_BLOCKS(bits); block++, x += width)
                memcpy(x, from + block * STERNA_BLOCK + field * width, (size_t)width);
    }
}

/* `there` bytes of a line, then zeros, which meet an x of 0; the sign of every field turned. */
INLINE bytes load_codes_line(const uint8_t *from, int64_t there, int bits) {
    uint8_t tail[LINE] = {0};
    if (there < LINE) from = memcpy(tail, from, (size_t)there);
    return load_vector(from) ^ (bytes)every_byte(255 / ((1 << bits) - 1) << (bits - 1));
}

/* Field f where it stands. */
INLINE bytes field_in_place(bytes u, int f, int bits) {
    return u & (bytes)every_byte(((1 << bits) - 1) << f * bits);
}

INLINE bytes shifted_lanes(bytes sum, int right) {
    return (bytes)((ints)sum >> right);
}

INLINE bytes added_lanes(bytes a, bytes b) {
    return (bytes)((ints)a + (ints)b);
}

#if defined(NARROW_BLOCKS)

#define LINE_RUN 5 /* 5 lines * 2 fields * 2 bytes * 12 * 127 < 2^15 */

/* Fields 0 and 2 in int16 lanes, and 1 and 3. */
typedef bytes line_sums[GEMV_ROWS][2];

INLINE void dot_line(const row_codes *w, int64_t at, int64_t there, const int8_t *x, int bits, line_sums sum) {
#pragma GCC unroll 4
    for (int r = 0; r < GEMV_ROWS; r++) {
        bytes u = load_codes_line(w->of[r] + at, there, bits), upper = (bytes)((words)u >> 4);
#pragma GCC unroll 2
        for (int f = 0; f < 2; f++) {
            sum[r][f] = dot(sum[r][f], field_in_place(u, f, bits), load_vector(x + f * LINE), 0);
            sum[r][f] = dot(sum[r][f], field_in_place(upper, f, bits), load_vector(x + (2 + f) * LINE), 0);
        }
    }
}

/* sums[r] = row r times the token, over `blocks` blocks. */
NEVER_INLINE void dot_lines(const row_codes *w, const int8_t *x, int64_t blocks, int bits, int32_t sums[GEMV_ROWS]) {
    int64_t row_bytes = blocks * 16;
    line_sums total = {{{0}}};
    (void)bits;
    for (int64_t run = 0; run < row_bytes; run += LINE_RUN * LINE) {
        int64_t end = least(run + LINE_RUN * LINE, row_bytes), at = run;
        line_sums sum = {{{0}}};
        for (; at + LINE <= end; at += LINE, x += 4 * LINE) {
            fetch_next(w, at, LINE);
            dot_line(w, at, LINE, x, 2, sum);
        }
        if (at < end) dot_line(w, at, end - at, x, 2, sum);
        for (int r = 0; r < GEMV_ROWS; r++)
            for (int f = 0; f < 2; f++) total[r][f] = added_lanes(total[r][f], widen(sum[r][f]));
    }
    for (int r = 0; r < GEMV_ROWS; r++) total[r][0] = added_lanes(total[r][0], shifted_lanes(total[r][1], 2));
    add_lanes_of_four((bytes[GEMV_ROWS]){total[0][0], total[1][0], total[2][0], total[3][0]}, sums);
}

#else

/* The sums of four rows and the fields of their lines. */
typedef bytes line_sums[GEMV_ROWS][FIELDS(2)];

INLINE void dot_line(const row_codes *w, int64_t at, int64_t there, const int8_t *x, int bits, line_sums sum) {
#pragma GCC unroll 4
    for (int r = 0; r < GEMV_ROWS; r++) {
        bytes u = load_codes_line(w->of[r] + at, there, bits);
#pragma GCC unroll 4
        for (int f = 0; f < FIELDS(2); f++)
            if (f < FIELDS(bits)) sum[r][f] = dot(sum[r][f], field_in_place(u, f, bits), load_vector(x + f * LINE), bits);
    }
}

INLINE void dot_lines_of(const row_codes *w, const int8_t *x, int64_t blocks, int bits, int32_t sums[GEMV_ROWS]) {
    int64_t row_bytes = blocks * 8 * bits, at = 0;
    bytes total[GEMV_ROWS];
    line_sums sum = {{{0}}};
    for (; at + LINE <= row_bytes; at += LINE, x += FIELDS(bits) * LINE) {
        fetch_next(w, at, LINE);
        dot_line(w, at, LINE, x, bits, sum);
    }
    if (at < row_bytes) dot_line(w, at, row_bytes - at, x, bits, sum);
#pragma GCC unroll 4
    for (int r = 0; r < GEMV_ROWS; r++) {
        total[r] = sum[r][0];
#pragma GCC unroll 4
        for (int f = 1; f < FIELDS(2); f++)
            if (f < FIELDS(bits)) total[r] = added_lanes(total[r], shifted_lanes(sum[r][f], f * bits));
    }
    add_lanes_of_four(total, sums);
}

/* sums[r] = row r times the token, over `blocks` blocks. */
NEVER_INLINE void dot_lines(const row_codes *w, const int8_t *x, int64_t blocks, int bits, int32_t sums[GEMV_ROWS]) {
    if (bits == 2) dot_lines_of(w, x, blocks, 2, sums);
    else dot_lines_of(w, x, blocks, 4, sums);
}

#endif

#endif
