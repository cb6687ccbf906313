# Finds llhttp and defines the target Llhttp::llhttp.
#
# Newer systems ship it as a library (libllhttp-dev). Debian 12 ships only its generated C sources,
# for Node (node-llhttp: /usr/share/llhttp and /usr/share/include/llhttp); these are compiled here
# as a static library.
#
# SLUICE_LLHTTP_SSE42  compiled from source, scan header values 16 bytes at a time (default: if this
#                      machine can). Turn it off to build on a new machine for one without SSE4.2.

include(FindPackageHandleStandardArgs)
include(CheckCSourceRuns)

find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp)
find_library(LLHTTP_LIBRARY NAMES llhttp)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)

if(LLHTTP_INCLUDE_DIR)
  file(STRINGS "${LLHTTP_INCLUDE_DIR}/llhttp.h" llhttp_version_lines
    REGEX "LLHTTP_VERSION_(MAJOR|MINOR|PATCH)")
  string(REGEX REPLACE "[^0-9]+([0-9]+)[^0-9]*;?" "\\1." Llhttp_VERSION "${llhttp_version_lines}")
  string(REGEX REPLACE "\\.$" "" Llhttp_VERSION "${Llhttp_VERSION}")
endif()

if(LLHTTP_LIBRARY)
  set(llhttp_from "${LLHTTP_LIBRARY}")
else()
  set(llhttp_from "${LLHTTP_SOURCE_DIR}")
endif()

find_package_handle_standard_args(Llhttp
  REQUIRED_VARS llhttp_from LLHTTP_INCLUDE_DIR
  VERSION_VAR Llhttp_VERSION
  REASON_FAILURE_MESSAGE "install libllhttp-dev, or node-llhttp for its sources")

if(Llhttp_FOUND AND NOT TARGET Llhttp::llhttp)
  if(LLHTTP_LIBRARY)
    add_library(Llhttp::llhttp UNKNOWN IMPORTED)
    set_target_properties(Llhttp::llhttp PROPERTIES
      IMPORTED_LOCATION "${LLHTTP_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${LLHTTP_INCLUDE_DIR}")
  else()
    add_library(llhttp STATIC
      "${LLHTTP_SOURCE_DIR}/llhttp.c" "${LLHTTP_SOURCE_DIR}/api.c" "${LLHTTP_SOURCE_DIR}/http.c")
    target_include_directories(llhttp SYSTEM PUBLIC "${LLHTTP_INCLUDE_DIR}")
    target_compile_options(llhttp PRIVATE -w)
    # Link-time optimisation would carry -msse4.2 over to the code it is merged with.
    set_target_properties(llhttp PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
    # llhttp 8 carries two parsers; the strict one refuses a missing LF, spaces in header names and
    # bytes after "Connection: close". Without the macro the lenient one is compiled. Version 9 is
    # always strict.
    target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)

    check_c_source_runs("int main(void) { return !__builtin_cpu_supports(\"sse4.2\"); }"
      LLHTTP_CPU_HAS_SSE42)
    option(SLUICE_LLHTTP_SSE42 "Let llhttp use SSE4.2" ${LLHTTP_CPU_HAS_SSE42})
    if(SLUICE_LLHTTP_SSE42)
      target_compile_options(llhttp PRIVATE -msse4.2)
    endif()
    add_library(Llhttp::llhttp ALIAS llhttp)
  endif()
endif()
mark_as_advanced(LLHTTP_INCLUDE_DIR LLHTTP_LIBRARY LLHTTP_SOURCE_DIR)
