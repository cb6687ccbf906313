# The parts of bench/ that are C++. The benches themselves are started by script/bench.

set(bench_programs)
foreach(name drain_client h2_drain_client h2_origin)
  file(GLOB source CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/bench/${name}.cc")
  if(source)
    add_executable(sluice_${name} ${source})
    target_link_libraries(sluice_${name} PRIVATE sluice_options PkgConfig::NGHTTP2)
    list(APPEND bench_programs sluice_${name})
  endif()
endforeach()
add_custom_target(bench_programs DEPENDS ${bench_programs})

# Google Benchmark is optional: `cmake --build <dir> --target bench_micro`.
file(GLOB micro CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/bench/micro/*.cc")
find_package(benchmark QUIET)
if(micro AND benchmark_FOUND)
  add_executable(bench_micro EXCLUDE_FROM_ALL ${micro})
  target_link_libraries(bench_micro PRIVATE sluice_cli benchmark::benchmark_main)
endif()
