# The parts of bench/ that are C++. The benches themselves are started by script/bench.

function(sluice_bench_program name)
  add_executable(sluice_${name} ${ARGN})
  target_link_libraries(sluice_${name} PRIVATE sluice_options PkgConfig::NGHTTP2)
endfunction()

sluice_bench_program(drain_client bench/drain_client.cc)
sluice_bench_program(h2_drain_client bench/h2_drain_client.cc bench/h2_drain_connection.cc)
sluice_bench_program(h2_origin bench/h2_origin.cc)
sluice_bench_program(stream_client
  bench/stream_client.cc bench/stream_client_h1.cc bench/stream_client_h2.cc)
sluice_bench_program(stream_origin
  bench/stream_origin.cc bench/stream_origin_h1.cc bench/stream_origin_h2.cc)
target_link_libraries(sluice_stream_origin PRIVATE OpenSSL::Crypto)
sluice_bench_program(websocket_load bench/websocket_load.cc)
sluice_bench_program(disruption_client
  bench/disruption_client.cc bench/disruption_h1.cc bench/disruption_h2.cc
  bench/disruption_websocket.cc bench/h2_drain_connection.cc)

add_custom_target(bench_programs
  DEPENDS sluice_disruption_client sluice_drain_client sluice_h2_drain_client sluice_h2_origin
    sluice_stream_client sluice_stream_origin sluice_websocket_load)

# Google Benchmark is optional: `cmake --build <dir> --target bench_micro`.
file(GLOB micro CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/bench/micro/*.cc")
find_package(benchmark QUIET)
if(micro AND benchmark_FOUND)
  add_executable(bench_micro EXCLUDE_FROM_ALL ${micro})
  target_link_libraries(bench_micro PRIVATE sluice_cli benchmark::benchmark_main)
endif()
