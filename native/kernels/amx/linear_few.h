/* linear_few.h: sterna_linear of few tokens. */
#ifndef STERNA_AMX_LINEAR_FEW_H
#define STERNA_AMX_LINEAR_FEW_H

#include "sterna.h"

enum {
    STERNA_AMX_FEW_TOKENS = 32, /* at most */
    STERNA_AMX_COLS = 16384      /* here and of more tokens; longer rows go elsewhere */
};

int32_t sterna_amx_linear_few(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y,
                              const sterna_matrix *residual, int64_t row0, int64_t row1, void *scratch);

#endif
