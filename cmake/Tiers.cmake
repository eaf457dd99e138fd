# The instruction sets of each tier: one list compiles the tier's files, and the check `tier_flags`
# (ctest) proves that native/dispatch/cpu.c asks the CPU for every feature named here.
# A tier contains the tiers before it.

set(STERNA_TIERS avx2 avx512 avx512vnni amx)

set(STERNA_FEATURES_avx2 avx2 fma f16c bmi bmi2)
set(STERNA_FEATURES_avx512 ${STERNA_FEATURES_avx2}
    avx512f avx512bw avx512dq avx512vl avx512cd)
set(STERNA_FEATURES_avx512vnni ${STERNA_FEATURES_avx512}
    avx512vnni avx512vbmi)
set(STERNA_FEATURES_amx ${STERNA_FEATURES_avx512vnni}
    avx512bf16 amx-tile amx-int8 amx-bf16)

# Tuning only: needs nothing of the CPU, so nothing checks it.
set(STERNA_TUNE_avx2)
set(STERNA_TUNE_avx512 -mprefer-vector-width=512)
set(STERNA_TUNE_avx512vnni ${STERNA_TUNE_avx512})
set(STERNA_TUNE_amx ${STERNA_TUNE_avx512})

# sterna_tier_flags(<tier> <out>): the compiler flags of a tier.
function(sterna_tier_flags tier out)
  list(TRANSFORM STERNA_FEATURES_${tier} PREPEND -m OUTPUT_VARIABLE flags)
  set(${out} ${flags} ${STERNA_TUNE_${tier}} PARENT_SCOPE)
endfunction()
