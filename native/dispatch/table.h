/*
 * table.h: one kernel table a tier. A table starts as a copy of the tier below (the reference at the
 * bottom) and the tier's families override what they do faster; what is missing stays as it was.
 * Entries take arguments that abi_<family>.c has already validated. Tables are filled when the library
 * is loaded and never change after that.
 */
#ifndef STERNA_TABLE_H
#define STERNA_TABLE_H

#include "sterna.h"

typedef struct sterna_table {
    /* random numbers */
    int32_t (*philox)(const uint32_t *counter, const uint32_t *key, uint32_t *out, int64_t blocks);
    int32_t (*normal)(uint64_t key, float deviation, const sterna_matrix *x, int64_t row0, int64_t row1);

    /* packed weights */
    int32_t (*statistics)(const sterna_matrix *x, int64_t group, double *stats, int64_t row0, int64_t row1);
    int32_t (*encode)(const sterna_matrix *x, const sterna_packed *w, int64_t row0, int64_t row1);
    int32_t (*decode)(const sterna_packed *w, const sterna_matrix *x, int64_t row0, int64_t row1);
    int32_t (*histogram)(const sterna_packed *w, int64_t *counts, int64_t row0, int64_t row1);

    /* updates and optimizers */
    int32_t (*update_packed)(const sterna_packed *w, const sterna_matrix *delta, float keep, uint64_t key, int32_t rounding, int64_t *flips, int64_t row0, int64_t row1);
    int32_t (*update_float)(const sterna_matrix *w, const sterna_matrix *delta, float keep, uint64_t key, int32_t rounding, int64_t row0, int64_t row1);
    int32_t (*adamw)(const sterna_adamw_step *step, const sterna_matrix *g, const sterna_moment *m, const sterna_moment *v, double *squares, int64_t row0, int64_t row1);
    /* f32 moments and at least STERNA_BLOCK columns; null in a tier that does better in two passes */
    int32_t (*adamw_packed)(const sterna_adamw_step *step, const sterna_matrix *g, const sterna_moment *m, const sterna_moment *v, double *squares, const sterna_packed *w, float keep, int32_t rounding, int64_t *flips, int64_t row0, int64_t row1);
    int32_t (*sgd)(const sterna_sgd_step *step, const sterna_matrix *g, const sterna_moment *m, double *squares, int64_t row0, int64_t row1);
    int32_t (*row_squares)(const sterna_matrix *g, double *squares, int64_t row0, int64_t row1);
    int32_t (*column_squares)(const sterna_matrix *g, double *sums, int64_t col0, int64_t col1);
    int32_t (*adafactor_squares)(const sterna_adafactor_step *step, const sterna_matrix *g, const float *row_factor, const float *col_factor, double *squares, int64_t row0, int64_t row1);
    int32_t (*adafactor)(const sterna_adafactor_step *step, const sterna_matrix *g, const float *row_factor, const float *col_factor, const sterna_moment *m, int64_t row0, int64_t row1);

    /* activations and row kernels */
    int32_t (*quantize)(const sterna_matrix *x, const sterna_quantized *q, int64_t row0, int64_t row1);
    int32_t (*rmsnorm)(const sterna_matrix *x, const sterna_matrix *gain, float epsilon, const sterna_matrix *y, float *inv_rms, int64_t row0, int64_t row1);
    int32_t (*rmsnorm_quantize)(const sterna_matrix *x, const sterna_matrix *gain, float epsilon, const sterna_quantized *q, float *inv_rms, int64_t row0, int64_t row1);
    int32_t (*rmsnorm_backward)(const sterna_matrix *x, const sterna_matrix *gain, const float *inv_rms, const sterna_matrix *dy, const sterna_matrix *dx, int32_t accumulate, float *dgain, int64_t row0, int64_t row1);
    int32_t (*rope)(const sterna_matrix *x, int64_t head_dim, const sterna_matrix *table, int64_t length, int64_t first, int32_t direction, int64_t row0, int64_t row1);
    int32_t (*swiglu)(const sterna_matrix *gate, const sterna_matrix *up, const sterna_matrix *y, int64_t row0, int64_t row1);
    int32_t (*swiglu_backward)(const sterna_matrix *gate, const sterna_matrix *up, const sterna_matrix *dy, const sterna_matrix *dgate, const sterna_matrix *dup, int64_t row0, int64_t row1);
    int32_t (*add)(const sterna_matrix *x, const sterna_matrix *y, int64_t row0, int64_t row1);
    int32_t (*copy)(const sterna_matrix *x, const sterna_matrix *y, int64_t row0, int64_t row1);
    int32_t (*gather)(const sterna_matrix *table, const int32_t *ids, const sterna_matrix *y, int64_t row0, int64_t row1);
    int32_t (*scatter_add)(const sterna_matrix *dy, const int32_t *ids, int64_t id0, const sterna_matrix *dtable);
    int32_t (*cross_entropy)(const sterna_matrix *logits, int64_t vocab0, const int32_t *targets, float *max, float *sum, float *target, int64_t row0, int64_t row1);
    int32_t (*cross_entropy_gradient)(const sterna_matrix *logits, int64_t vocab0, const int32_t *targets, const float *max, const float *sum, float factor, const sterna_matrix *gradient, int64_t row0, int64_t row1);

    /* int8 linear */
    int32_t (*linear)(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *y, const sterna_matrix *residual, int64_t row0, int64_t row1, void *scratch);

    /* float products */
    int32_t (*input_gradient)(const sterna_matrix *dy, const sterna_packed *w, const sterna_matrix *dx, int32_t accumulate, int64_t row0, int64_t row1, void *scratch);
    int32_t (*weight_gradient)(const sterna_matrix *dy, const sterna_quantized *q, const sterna_matrix *dw, int32_t accumulate, int64_t row0, int64_t row1, void *scratch);
    /* the same where dy may be rounded to 16-bit fixed point */
    int32_t (*input_gradient_int16)(const sterna_matrix *dy, const sterna_packed *w, const sterna_matrix *dx, int32_t accumulate, int64_t row0, int64_t row1, void *scratch);
    int32_t (*weight_gradient_int16)(const sterna_matrix *dy, const sterna_quantized *q, const sterna_matrix *dw, int32_t accumulate, int64_t row0, int64_t row1, void *scratch);
    int32_t (*gemm)(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags, int64_t row0, int64_t row1, void *scratch);
    int32_t (*gemm_int16)(const sterna_matrix *a, const sterna_matrix *b, const sterna_matrix *c, int32_t flags, int64_t row0, int64_t row1, void *scratch);

    /* int8 gradients */
    int32_t (*quantize_gradient)(const sterna_matrix *dy, const float *row_scales, const float *x_scales, const sterna_quantized *by_token, const sterna_gradient *by_feature, int64_t first, uint64_t key, int64_t row0, int64_t row1);
    int32_t (*input_gradient_int8)(const sterna_quantized *q, const sterna_packed *w, const sterna_matrix *dx, int32_t accumulate, int64_t row0, int64_t row1, void *scratch);
    int32_t (*weight_gradient_int8)(const sterna_gradient *g, const sterna_quantized *x, const sterna_matrix *dw, int32_t accumulate, int64_t row0, int64_t row1, void *scratch);

    /* attention */
    int32_t (*attention_forward)(const sterna_attention *a, int64_t unit0, int64_t unit1, void *scratch);
    int32_t (*attention_backward)(const sterna_attention *a, int64_t unit0, int64_t unit1, void *scratch);

    /* ceilings */
    int32_t (*probe)(int32_t probe, void *buffer, int64_t bytes, int64_t rounds, double *work);
} sterna_table;

/* The table of a granted tier, or null. */
const sterna_table *sterna_table_of(int32_t tier);

#endif
