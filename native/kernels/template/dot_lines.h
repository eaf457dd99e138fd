/*
 * dot_lines.h: one token times rows of codes of one plane, of 2 or 4 bits, a line of 64 bytes at a time. A field is
 * multiplied where it stands in its byte, never shifted down: its sum, which is 2^(its place) times too large, is
 * divided when the row is done, and no bit is lost. That is a mask and a product for 64 codes, half of what unpacking
 * and multiplying them takes.
 *
 * x[line][field][block of the line][8 * bits columns] meets the bytes of a line as they come. A lane adds up at most
 * K / 64 products of 240 and 128, four at a time, far below 2^31.
 */
#ifndef STERNA_DOT_LINES_H
#define STERNA_DOT_LINES_H

/* Blocks in a line, and fields in a byte. */
#define LINE_BLOCKS(bits) (8 / (bits))

/* The first `cols` columns of a token, then zeros up to `length`, in lines of so many blocks, a constant. */
INLINE void arrange_lines(const int8_t *columns, int64_t cols, int64_t length, int64_t line_blocks, int8_t *x) {
    const int64_t width = STERNA_BLOCK / line_blocks, line = line_blocks * STERNA_BLOCK;
    for (int64_t k = 0; k < length; k += line, columns += line, x += line) {
        int8_t some[LINE_BLOCKS(2) * STERNA_BLOCK];
        const int8_t *from = columns;
        if (k + line > cols) {
            memset(some, 0, sizeof some);
            memcpy(some, columns, (size_t)(cols - k));
            from = some;
        }
        for (int64_t i = 0; i < line_blocks; i++)
            for (int64_t j = 0; j < line_blocks; j++)
                memcpy(x + (i * line_blocks + j) * width, from + j * STERNA_BLOCK + i * width, (size_t)width);
    }
}

/* The sums of four rows and the fields of their lines. */
typedef bytes line_sums[GEMV_ROWS][LINE_BLOCKS(2)];

/* sum += line `at` of the rows times x; bytes that are not `there` read as 0 and meet an x of 0. */
INLINE void dot_line(const row_codes *w, int64_t at, __mmask64 there, const int8_t *x, int bits, line_sums sum) {
    const int low = (1 << bits) - 1, every = 255 / low; /* a field, and 1 in every field */
    bytes signs = _mm512_set1_epi8((char)(every << (bits - 1)));
#pragma GCC unroll 4
    for (int r = 0; r < GEMV_ROWS; r++) {
        bytes u = _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, w->of[r] + at), signs);
#pragma GCC unroll 4
        for (int f = 0; f < LINE_BLOCKS(bits); f++) {
            bytes field = _mm512_and_si512(u, _mm512_set1_epi8((char)(low << f * bits)));
            sum[r][f] = dot_bytes(sum[r][f], field, load_vector(x + f * 64));
        }
    }
}

INLINE void dot_lines_of(const row_codes *w, const int8_t *x, int64_t blocks, int bits, int32_t sums[GEMV_ROWS]) {
    int64_t row_bytes = blocks * 8 * bits, at = 0;
    bytes total[GEMV_ROWS];
    line_sums sum;
    for (int r = 0; r < GEMV_ROWS; r++)
        for (int f = 0; f < LINE_BLOCKS(bits); f++) sum[r][f] = zero_bytes();
    for (; at + 64 <= row_bytes; at += 64, x += LINE_BLOCKS(bits) * 64) {
        fetch_next(w, at, 64);
        dot_line(w, at, ~0ull, x, bits, sum);
    }
    if (at < row_bytes) dot_line(w, at, (1ull << (row_bytes - at)) - 1, x, bits, sum);
#pragma GCC unroll 4
    for (int r = 0; r < GEMV_ROWS; r++) {
        total[r] = sum[r][0];
#pragma GCC unroll 4
        for (int f = 1; f < LINE_BLOCKS(bits); f++)
            total[r] = _mm512_add_epi32(total[r], _mm512_srai_epi32(sum[r][f], f * bits));
    }
    add_lanes_of_four(total, sums);
}

/* sums[r] = row r times the token, over `blocks` blocks. */
NEVER_INLINE void dot_lines(const row_codes *w, const int8_t *x, int64_t blocks, int bits, int32_t sums[GEMV_ROWS]) {
    if (bits == 2) dot_lines_of(w, x, blocks, 2, sums);
    else dot_lines_of(w, x, blocks, 4, sums);
}

#endif
