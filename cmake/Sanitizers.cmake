# -DSTERNA_SANITIZE=address|undefined|address,undefined instruments every object of the build.

set(STERNA_SANITIZE "" CACHE STRING "address, undefined, or address,undefined")
set_property(CACHE STERNA_SANITIZE PROPERTY STRINGS "" address undefined address,undefined)

if(STERNA_SANITIZE)
  if(NOT STERNA_SANITIZE MATCHES "^(address|undefined|address,undefined)$")
    message(FATAL_ERROR "STERNA_SANITIZE is '${STERNA_SANITIZE}'; "
                        "use address, undefined, or address,undefined.")
  endif()
  target_compile_options(sterna_flags INTERFACE
    -O1 # instrumented code at -O3 takes many times as long to build
    -fsanitize=${STERNA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_link_options(sterna_flags INTERFACE -fsanitize=${STERNA_SANITIZE})
endif()
