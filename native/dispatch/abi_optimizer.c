/* abi_optimizer.c: validates the arguments of the optimizers. */
#include <float.h>

#include "check.h"

static int32_t check_adamw_step(const sterna_adamw_step *step) {
    int32_t reason = sterna_check_pointer(step, 8);
    if (reason) return reason;
    return sterna_check_range(step->rate, -FLT_MAX, FLT_MAX) | sterna_check_range(step->beta1, 0, 1)
           | sterna_check_range(step->beta2, 0, 1) | sterna_check_range(step->epsilon, FLT_MIN, FLT_MAX)
           | sterna_check_range(step->bias1, 0, FLT_MAX) | sterna_check_range(step->bias2, 0, FLT_MAX)
           | sterna_check_range(step->factor, -FLT_MAX, FLT_MAX);
}

static int32_t check_sgd_step(const sterna_sgd_step *step) {
    int32_t reason = sterna_check_pointer(step, 8);
    if (reason) return reason;
    return sterna_check_range(step->rate, -FLT_MAX, FLT_MAX) | sterna_check_range(step->momentum, 0, 1)
           | sterna_check_range(step->factor, -FLT_MAX, FLT_MAX);
}

static int32_t check_adafactor_step(const sterna_adafactor_step *step) {
    int32_t reason = sterna_check_pointer(step, 8);
    if (reason) return reason;
    return sterna_check_range(step->rate, -FLT_MAX, FLT_MAX) | sterna_check_range(step->beta1, 0, 1)
           | sterna_check_range(step->factor, -FLT_MAX, FLT_MAX);
}

static int32_t check_squares(const double *squares) {
    return squares ? sterna_check_pointer(squares, 8) : 0;
}

static int32_t check_same_shape(const sterna_moment *v, int64_t rows, int64_t cols) {
    return v->rows == rows && v->cols == cols ? 0 : STERNA_BAD_SHAPE;
}

int32_t sterna_adamw(int32_t tier, const sterna_adamw_step *step, const sterna_matrix *g, const sterna_moment *m,
                     const sterna_moment *v, double *squares, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, check_adamw_step(step));
    STERNA_CHECK(3, sterna_check_matrix(g, STERNA_ONLY_F32));
    STERNA_CHECK(4, sterna_check_moment(m));
    STERNA_CHECK(5, sterna_check_moment(v));
    STERNA_CHECK(5, check_same_shape(v, m->rows, m->cols));
    STERNA_CHECK(6, check_squares(squares));
    STERNA_CHECK_SLICE(7, row0, row1, m->rows);
    STERNA_CHECK(3, sterna_check_tile(g, row1 - row0, m->cols));
    return t->adamw(step, g, m, v, squares, row0, row1);
}

/* From one block on, a row of codes fits into its row of gradients. */
static int one_pass(const sterna_table *t, const sterna_moment *m, const sterna_moment *v, const sterna_packed *w) {
    return t->adamw_packed && m->type == STERNA_F32 && v->type == STERNA_F32 && w->cols >= STERNA_BLOCK;
}

int32_t sterna_adamw_packed(int32_t tier, const sterna_adamw_step *step, const sterna_matrix *g,
                            const sterna_moment *m, const sterna_moment *v, double *squares, const sterna_packed *w,
                            float keep, int32_t rounding, int64_t *flips, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, check_adamw_step(step));
    STERNA_CHECK(3, sterna_check_matrix(g, STERNA_ONLY_F32));
    STERNA_CHECK(4, sterna_check_moment(m));
    STERNA_CHECK(5, sterna_check_moment(v));
    STERNA_CHECK(6, check_squares(squares));
    STERNA_CHECK(7, sterna_check_packed(w));
    STERNA_CHECK(4, check_same_shape(m, w->rows, w->cols));
    STERNA_CHECK(5, check_same_shape(v, w->rows, w->cols));
    STERNA_CHECK(8, sterna_check_range(keep, 0, 1));
    STERNA_CHECK(9, sterna_check_rounding(rounding));
    STERNA_CHECK(10, sterna_check_pointer(flips, 8));
    STERNA_CHECK_SLICE(11, row0, row1, w->rows);
    STERNA_CHECK(3, sterna_check_tile(g, row1 - row0, w->cols));
    STERNA_CHECK(7, sterna_check_divisors(w, row0, row1));
    if (one_pass(t, m, v, w)) return t->adamw_packed(step, g, m, v, squares, w, keep, rounding, flips, row0, row1);
    int32_t status = t->adamw(step, g, m, v, squares, row0, row1);
    return status ? status : t->update_packed(w, g, keep, step->key, rounding, flips, row0, row1);
}

int32_t sterna_sgd(int32_t tier, const sterna_sgd_step *step, const sterna_matrix *g, const sterna_moment *m,
                   double *squares, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, check_sgd_step(step));
    STERNA_CHECK(3, sterna_check_matrix(g, STERNA_ONLY_F32));
    STERNA_CHECK(4, m ? sterna_check_moment(m) : 0);
    STERNA_CHECK(5, check_squares(squares));
    STERNA_CHECK_SLICE(6, row0, row1, m ? m->rows : STERNA_MAX_EXTENT);
    STERNA_CHECK(3, sterna_check_tile(g, row1 - row0, m ? m->cols : g->cols));
    return t->sgd(step, g, m, squares, row0, row1);
}

int32_t sterna_row_squares(int32_t tier, const sterna_matrix *g, double *squares, int64_t row0, int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(g, STERNA_ONLY_F32));
    STERNA_CHECK(3, sterna_check_pointer(squares, 8));
    STERNA_CHECK_SLICE(4, row0, row1, g->rows);
    return t->row_squares(g, squares, row0, row1);
}

int32_t sterna_column_squares(int32_t tier, const sterna_matrix *g, double *sums, int64_t col0, int64_t col1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, sterna_check_matrix(g, STERNA_ONLY_F32));
    STERNA_CHECK(3, sterna_check_pointer(sums, 8));
    STERNA_CHECK_SLICE(4, col0, col1, g->cols);
    return t->column_squares(g, sums, col0, col1);
}

int32_t sterna_adafactor_squares(int32_t tier, const sterna_adafactor_step *step, const sterna_matrix *g,
                                 const float *row_factor, const float *col_factor, double *squares, int64_t row0,
                                 int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, check_adafactor_step(step));
    STERNA_CHECK(3, sterna_check_matrix(g, STERNA_ONLY_F32));
    STERNA_CHECK(4, sterna_check_pointer(row_factor, 4));
    STERNA_CHECK(5, sterna_check_pointer(col_factor, 4));
    STERNA_CHECK(6, sterna_check_pointer(squares, 8));
    STERNA_CHECK_SLICE(7, row0, row1, STERNA_MAX_EXTENT);
    STERNA_CHECK(3, sterna_check_tile(g, row1 - row0, g->cols));
    return t->adafactor_squares(step, g, row_factor, col_factor, squares, row0, row1);
}

int32_t sterna_adafactor(int32_t tier, const sterna_adafactor_step *step, const sterna_matrix *g,
                         const float *row_factor, const float *col_factor, const sterna_moment *m, int64_t row0,
                         int64_t row1) {
    STERNA_TABLE(tier);
    STERNA_CHECK(2, check_adafactor_step(step));
    STERNA_CHECK(3, sterna_check_matrix(g, STERNA_ONLY_F32));
    STERNA_CHECK(4, sterna_check_pointer(row_factor, 4));
    STERNA_CHECK(5, sterna_check_pointer(col_factor, 4));
    STERNA_CHECK(6, m ? sterna_check_moment(m) : 0);
    STERNA_CHECK_SLICE(7, row0, row1, m ? m->rows : STERNA_MAX_EXTENT);
    STERNA_CHECK(3, sterna_check_tile(g, row1 - row0, m ? m->cols : g->cols));
    return t->adafactor(step, g, row_factor, col_factor, m, row0, row1);
}
