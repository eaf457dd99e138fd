/* codes.h: pieces of a packed matrix as int8, for the tier that includes it. */
#ifndef STERNA_CODES_H
#define STERNA_CODES_H

#include "kernels/template/unpack.h"

INLINE void unpack_bits(const sterna_packed *w, int bits, int64_t r, int64_t rows, int64_t col,
                        int8_t codes[][STERNA_BLOCK]) {
    int8_t bias = (int8_t)code_bias(w->grid);
    for (int64_t i = 0; i < rows; i++) {
        unpack_block(sterna_packed_row(w, r + i) + col / STERNA_BLOCK * 8 * bits, bits, (bytes *)codes[i]);
        for (int j = 0; j < STERNA_BLOCK; j++) codes[i][j] = (int8_t)(codes[i][j] - bias);
    }
}

/* Rows r...r + rows - 1 of the block of w that begins at column col, a multiple of 64; codes is aligned to 64
 * bytes; padding comes out as some code. One loop for each number of bits, without a choice inside. */
static void unpack_rows(const sterna_packed *w, int64_t r, int64_t rows, int64_t col, int8_t codes[][STERNA_BLOCK]) {
    switch (sterna_bits(w->grid)) {
    case 1: unpack_bits(w, 1, r, rows, col, codes); break;
    case 2: unpack_bits(w, 2, r, rows, col, codes); break;
    case 3: unpack_bits(w, 3, r, rows, col, codes); break;
    case 4: unpack_bits(w, 4, r, rows, col, codes); break;
    case 5: unpack_bits(w, 5, r, rows, col, codes); break;
    case 6: unpack_bits(w, 6, r, rows, col, codes); break;
    case 7: unpack_bits(w, 7, r, rows, col, codes); break;
    default: unpack_bits(w, 8, r, rows, col, codes); break;
    }
}

#endif
