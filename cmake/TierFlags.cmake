# sterna_write_tier_flags(<file>): the instruction-set macros that each tier's flags switch on, as rows
# of a C table.
function(sterna_instruction_sets out)
  execute_process(COMMAND ${CMAKE_C_COMPILER} ${ARGN} -dM -E -x c /dev/null
    OUTPUT_VARIABLE macros COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "#define __[A-Z][A-Z0-9_]*__ 1\n" macros "${macros}")
  set(${out} ${macros} PARENT_SCOPE)
endfunction()

function(sterna_write_tier_flags file)
  sterna_instruction_sets(baseline)
  set(rows)
  foreach(tier IN LISTS STERNA_TIERS)
    sterna_tier_flags(${tier} flags)
    sterna_instruction_sets(macros ${flags})
    list(REMOVE_ITEM macros ${baseline})
    foreach(macro IN LISTS macros)
      string(REGEX REPLACE "#define __(.*)__ 1\n" "{\"${tier}\", \"\\1\"},\n" row ${macro})
      string(APPEND rows ${row})
    endforeach()
  endforeach()
  file(CONFIGURE OUTPUT ${file} CONTENT "${rows}" @ONLY)
endfunction()
