/*
 * tier_traits.h: what the tests must know of a tier to say what its results may be: how its products round their
 * operands, and what its probes count. One row a tier, in the order of sterna.h; a new tier gets a row, or this does
 * not compile.
 */
#ifndef STERNA_TEST_TIER_TRAITS_H
#define STERNA_TEST_TIER_TRAITS_H

#include "sterna.h"

struct tier_traits {
    const char *name;
    int bf16_products;    /* has a bf16 matrix unit: gradients, attention, and gemm with ALLOW_BF16 round operands to bf16 */
    int int16_products;   /* multiplies int16 faster than f32: products with ALLOW_INT16 round operands to int16 */
    double operations[3]; /* of an instruction of STERNA_PROBE_INT8, _INT16 and _BF16; 0: the tier has none */
};

static const struct tier_traits TIER_TRAITS[] = {
    {"reference", 0, 0, {2, 0, 0}},
    {"avx2", 0, 1, {64, 32, 0}},
    {"avx512", 0, 0, {128, 64, 0}},
    {"avx512vnni", 0, 1, {128, 64, 0}},
    {"amx", 1, 0, {2 * 16 * 16 * 64, 64, 2 * 16 * 16 * 32}},
};
_Static_assert(sizeof TIER_TRAITS / sizeof *TIER_TRAITS == STERNA_TIERS, "a row a tier");

#endif
