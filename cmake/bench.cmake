# The parts of bench/ that are C++. The benches themselves are started by script/bench.

file(GLOB drain_client CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/bench/drain_client.cc")
if(drain_client)
  add_executable(sluice_drain_client ${drain_client})
  target_link_libraries(sluice_drain_client PRIVATE sluice_options)
endif()

# Google Benchmark is optional: `cmake --build <dir> --target bench_micro`.
file(GLOB micro CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/bench/micro/*.cc")
find_package(benchmark QUIET)
if(micro AND benchmark_FOUND)
  add_executable(bench_micro EXCLUDE_FROM_ALL ${micro})
  target_link_libraries(bench_micro PRIVATE sluice_cli benchmark::benchmark_main)
endif()
