/* optimizer.c: AdamW, SGD and Adafactor, 8 lanes. */
#define TIER(op) op##_avx2
#include "kernels/template/optimizer.h"

void sterna_avx2_optimizer(sterna_table *t) {
    t->adamw = adamw_avx2;
    t->sgd = sgd_avx2;
    t->row_squares = row_squares_avx2;
    t->column_squares = column_squares_avx2;
    t->adafactor_squares = adafactor_squares_avx2;
    t->adafactor = adafactor_avx2;
}
