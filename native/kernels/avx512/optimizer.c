/* optimizer.c: AdamW, SGD and Adafactor, 16 lanes. */
#define TIER(op) op##_avx512
#include "kernels/template/optimizer.h"

void sterna_avx512_optimizer(sterna_table *t) {
    t->adamw = adamw_avx512;
    t->sgd = sgd_avx512;
    t->row_squares = row_squares_avx512;
    t->column_squares = column_squares_avx512;
    t->adafactor_squares = adafactor_squares_avx512;
    t->adafactor = adafactor_avx512;
}
