# sterna_flags: warnings and the floating-point contract of every C file in this build.
#
# -ffp-contract=off keeps a*b+c two roundings, so that every tier and compiler gives the same bytes.
# -fno-math-errno and -fno-trapping-math change no result: no kernel reads errno or the FP flags.
# -ffast-math and -march=native are absent on purpose: the first changes results, the second makes a
# library that only runs where it was built.

# -Wno-psabi: wide vectors pass between static functions of one file only, where no ABI matters.

option(STERNA_WERROR "Treat compiler warnings as errors" OFF)

add_library(sterna_flags INTERFACE)
target_compile_options(sterna_flags INTERFACE
  -Wall -Wextra -Wno-psabi -ffp-contract=off -fno-math-errno -fno-trapping-math
  $<$<BOOL:${STERNA_WERROR}>:-Werror>)
