/* families.h: the families that checkkern runs, in this order. */
#ifndef STERNA_TEST_FAMILIES_H
#define STERNA_TEST_FAMILIES_H

#include "check.h"

extern const check_family check_tiers;
extern const check_family check_probe;
extern const check_family check_attention;
extern const check_family check_rows;
extern const check_family check_gemm;
extern const check_family check_rng;
extern const check_family check_grid;
extern const check_family check_update;
extern const check_family check_optimizer;
extern const check_family check_linear;
extern const check_family check_gradient;

#define CHECK_FAMILIES &check_tiers, &check_probe, &check_attention, &check_rows, &check_gemm, &check_linear, &check_gradient, &check_rng, &check_grid, &check_update, &check_optimizer

#endif
