# The library sluice_version: sluice/version.h, and the git revision behind it.
#
# The revision lives in a .cc of its own, rewritten at build time and only when it changed: a new
# commit recompiles one small file and relinks, nothing else.

set(version_dir "${PROJECT_BINARY_DIR}/generated")
configure_file("${PROJECT_SOURCE_DIR}/cmake/version.h.in" "${version_dir}/sluice/version.h" @ONLY)

add_custom_target(sluice_revision
  BYPRODUCTS "${version_dir}/version.cc"
  COMMAND "${CMAKE_COMMAND}"
    "-DSOURCE_DIR=${PROJECT_SOURCE_DIR}"
    "-DTEMPLATE=${PROJECT_SOURCE_DIR}/cmake/version.cc.in"
    "-DOUTPUT=${version_dir}/version.cc"
    -P "${PROJECT_SOURCE_DIR}/cmake/write_revision.cmake"
  COMMENT "Reading the git revision"
  VERBATIM)

add_library(sluice_version STATIC "${version_dir}/version.cc")
add_dependencies(sluice_version sluice_revision)
target_include_directories(sluice_version PUBLIC "${version_dir}")
target_link_libraries(sluice_version PRIVATE sluice_options)
