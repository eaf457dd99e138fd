/* abi_trits.c: ternary codes at rest, five a byte. It runs at load and save only and has no tiers. */
#include "check.h"
#include "grid.h"

#define TRITS 5 /* a byte: 3^5 = 243 <= 256 */

static int64_t trit_bytes(int64_t cols) {
    return (cols + TRITS - 1) / TRITS;
}

static int code_at(const uint8_t *row, int64_t c) {
    return sterna_get_code(row + c / STERNA_BLOCK * 16, STERNA_TERNARY, c % STERNA_BLOCK);
}

/* The trits of columns c...c + 4 of a row; a column past the end counts as code 0. */
static int trits_at(const uint8_t *row, int64_t c, int64_t cols) {
    int byte = 0;
    for (int i = TRITS - 1; i >= 0; i--) byte = byte * 3 + (c + i < cols ? code_at(row, c + i) : 0) + 1;
    return byte;
}

static int32_t check_ternary(const sterna_packed *w) {
    int32_t reason = sterna_check_packed(w);
    if (reason) return reason;
    return w->grid == STERNA_TERNARY ? 0 : STERNA_BAD_TYPE;
}

/* The 2-bit code -2 is no trit. */
static int32_t check_codes(const sterna_packed *w, int64_t row0, int64_t row1) {
    for (int64_t r = row0; r < row1; r++)
        for (int64_t c = 0; c < w->cols; c++)
            if (code_at(sterna_packed_row(w, r), c) < -1) return STERNA_BAD_VALUE;
    return 0;
}

/* A byte is below 243; the places past the end of a row hold 1. */
static int32_t check_trits(const uint8_t *trits, int64_t cols, int64_t row0, int64_t row1) {
    int64_t bytes = trit_bytes(cols);
    int used = 1; /* 3^(trits of a row's last byte) */
    for (int64_t c = (bytes - 1) * TRITS; c < cols; c++) used *= 3;
    for (int64_t i = row0 * bytes; i < row1 * bytes; i++) {
        int unit = (i + 1) % bytes == 0 ? used : 243, padding = 0;
        for (int place = unit; place < 243; place *= 3) padding += place;
        if (trits[i] > 242 || trits[i] / unit * unit != padding) return STERNA_BAD_VALUE;
    }
    return 0;
}

int32_t sterna_trits_pack(const sterna_packed *w, uint8_t *trits, int64_t row0, int64_t row1) {
    STERNA_CHECK(1, check_ternary(w));
    STERNA_CHECK(2, sterna_check_pointer(trits, 1));
    STERNA_CHECK_SLICE(3, row0, row1, w->rows);
    STERNA_CHECK(1, check_codes(w, row0, row1));
    for (int64_t r = row0; r < row1; r++) {
        uint8_t *row = trits + r * trit_bytes(w->cols);
        for (int64_t c = 0; c < w->cols; c += TRITS)
            row[c / TRITS] = (uint8_t)trits_at(sterna_packed_row(w, r), c, w->cols);
    }
    return STERNA_OK;
}

int32_t sterna_trits_unpack(const uint8_t *trits, const sterna_packed *w, int64_t row0, int64_t row1) {
    STERNA_CHECK(1, sterna_check_pointer(trits, 1));
    STERNA_CHECK(2, check_ternary(w));
    STERNA_CHECK_SLICE(3, row0, row1, w->rows);
    STERNA_CHECK(1, check_trits(trits, w->cols, row0, row1));
    for (int64_t r = row0; r < row1; r++) {
        uint8_t *row = (uint8_t *)sterna_packed_row(w, r);
        for (int64_t i = 0; i < sterna_packed_row_bytes(w->grid, w->cols); i++) row[i] = 0;
        int byte = 0;
        for (int64_t c = 0; c < w->cols; c++, byte /= 3) {
            if (c % TRITS == 0) byte = trits[r * trit_bytes(w->cols) + c / TRITS];
            sterna_set_code(row + c / STERNA_BLOCK * 16, STERNA_TERNARY, c % STERNA_BLOCK, byte % 3 - 1);
        }
    }
    return STERNA_OK;
}
