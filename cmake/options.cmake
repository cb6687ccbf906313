# How our own code is compiled: the target sluice_options carries include paths, warnings and
# hardening. Third-party code does not link it, so its warnings stay its own.

add_library(sluice_options INTERFACE)
target_compile_features(sluice_options INTERFACE cxx_std_20)
target_include_directories(sluice_options INTERFACE
  "${CMAKE_CURRENT_SOURCE_DIR}/include" "${CMAKE_CURRENT_SOURCE_DIR}/source")

target_compile_options(sluice_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
  $<$<BOOL:${SLUICE_WERROR}>:-Werror>)

# GCC 12 sees overlapping copies in plain std::string concatenation (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(sluice_options INTERFACE -Wno-restrict)
endif()

# A network daemon is hardened where that is almost free; frame pointers let perf walk the stack in
# production.
target_compile_options(sluice_options INTERFACE -fno-omit-frame-pointer -fstack-protector-strong)
target_compile_definitions(sluice_options INTERFACE
  $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>
  $<$<NOT:$<CONFIG:Release>>:_GLIBCXX_ASSERTIONS>)
target_link_options(sluice_options INTERFACE LINKER:-z,relro,-z,now)

# Sanitizers apply to everything we compile, the parser we take in as C source too.
set(sanitizers "${SLUICE_SANITIZE}")
if(SLUICE_FUZZ)
  string(JOIN "," sanitizers fuzzer-no-link ${sanitizers})
endif()
if(sanitizers)
  # -O1 overrides the build type's level: instrumented code compiles far faster so.
  add_compile_options(
    -fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=${sanitizers})
endif()
