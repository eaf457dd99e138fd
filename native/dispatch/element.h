/* element.h: one element of a matrix of either float type. */
#ifndef STERNA_ELEMENT_H
#define STERNA_ELEMENT_H

#include "bf16.h"
#include "sterna.h"

static inline float sterna_get(const sterna_matrix *x, int64_t r, int64_t c) {
    int64_t i = r * x->stride + c;
    return x->type == STERNA_F32 ? ((const float *)x->data)[i]
                                 : sterna_f32_of_bf16(((const uint16_t *)x->data)[i]);
}

static inline void sterna_put(const sterna_matrix *x, int64_t r, int64_t c, float value) {
    int64_t i = r * x->stride + c;
    if (x->type == STERNA_F32) ((float *)x->data)[i] = value;
    else ((uint16_t *)x->data)[i] = sterna_bf16_of_f32(value);
}

#endif
