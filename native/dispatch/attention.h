/* attention.h: what the checks of the attention kernels and the reference share. */
#ifndef STERNA_ATTENTION_H
#define STERNA_ATTENTION_H

#include <stdint.h>

#include "sterna.h"

/* Columns of the largest head; sterna.h promises it, and the reference has room for no more. */
#define MAX_HEAD_DIM 256

/* Where keys that lie by column, rows `stride` elements apart if they lay by row, have column c of row r. */
static inline int64_t sterna_key_index(int64_t r, int64_t c, int64_t stride) {
    return r / STERNA_KEY_BLOCK * STERNA_KEY_BLOCK * stride + c * STERNA_KEY_BLOCK + r % STERNA_KEY_BLOCK;
}

#endif
