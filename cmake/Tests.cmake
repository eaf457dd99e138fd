# The tests that ctest runs; they link the library's objects, so they reach internal functions.

# sterna_test(<name> <source|object>... [ARGUMENTS <argument>...])
function(sterna_test name)
  cmake_parse_arguments(PARSE_ARGV 1 test "" "" ARGUMENTS)
  add_executable(${name} ${test_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE include .)
  target_compile_definitions(${name} PRIVATE
    STERNA_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/../test-data") # the golden files
  target_compile_options(${name} PRIVATE -O2)   # a test's own code need not be fast to run
  target_link_libraries(${name} PRIVATE sterna_flags m)
  add_test(NAME ${name} COMMAND ${name} ${test_ARGUMENTS})
  set_property(TEST ${name} PROPERTY SKIP_RETURN_CODE 77) # the CPU grants no such tier
endfunction()

file(GLOB test_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test/*.c)
sterna_test(checkkern ${test_sources} ${STERNA_OBJECTS})

# What checkkern says of wrong use.
function(sterna_usage_test name expected)
  add_test(NAME checkkern_${name} COMMAND checkkern ${ARGN})
  set_property(TEST checkkern_${name} PROPERTY PASS_REGULAR_EXPRESSION "${expected}")
endfunction()
add_test(NAME checkkern_help COMMAND checkkern --help)
sterna_usage_test(no_option "--benhc: no such option" --benhc)
sterna_usage_test(no_value "--tier: needs a value" --bench --tier)
sterna_usage_test(no_tier "avx1024: no such tier.*Tiers: reference avx2" --tier avx1024)
sterna_usage_test(no_family "lineal: no such family" --family lineal)
sterna_usage_test(no_seed "1x: no number" --seed 1x)

if(STERNA_X86)
  include(TierFlags)
  sterna_write_tier_flags(${CMAKE_CURRENT_BINARY_DIR}/tier_flags.h)
  sterna_test(tier_flags test/flags/tier_flags.c ${STERNA_OBJECTS})
  target_include_directories(tier_flags PRIVATE ${CMAKE_CURRENT_BINARY_DIR})

  # The AMX kernels once more, on emulated tiles: they are checked where there is no AMX.
  file(GLOB amx_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/amx/*.c)
  if(amx_sources)
    set(objects ${STERNA_OBJECTS})
    list(REMOVE_ITEM objects $<TARGET_OBJECTS:sterna_dispatch> $<TARGET_OBJECTS:sterna_amx>)
    sterna_tier_flags(amx flags)
    list(FILTER flags EXCLUDE REGEX "^-mamx")
    sterna_objects(sterna_dispatch_emulated dispatch -DSTERNA_AMX_EMULATED)
    sterna_objects(sterna_amx_emulated kernels/amx ${flags} -DSTERNA_AMX_EMULATED)
    sterna_test(checkkern_amx_emulated ${test_sources} ${objects}
      $<TARGET_OBJECTS:sterna_dispatch_emulated> $<TARGET_OBJECTS:sterna_amx_emulated>
      ARGUMENTS --tier amx)
  endif()
endif()
