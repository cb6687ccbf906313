# test/fuzz/<name>_fuzzer.cc becomes fuzz_<name>. With SLUICE_FUZZ it is a libFuzzer binary.
# Everywhere else it is linked with a small driver that runs the corpus in test/fuzz/corpus/<name>/
# and seeded mutations of it, and is a test like any other: no parser changes without its fuzz
# target having run.

file(GLOB fuzzers CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test/fuzz/*_fuzzer.cc")
foreach(source ${fuzzers})
  get_filename_component(name "${source}" NAME_WE)
  string(REGEX REPLACE "_fuzzer$" "" name "${name}")
  set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/test/fuzz/corpus/${name}")

  add_executable(fuzz_${name} "${source}")
  target_link_libraries(fuzz_${name} PRIVATE sluice_test_support)
  if(SLUICE_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/test/fuzz/standalone_main.cc")
    add_test(NAME fuzz.${name} COMMAND fuzz_${name} "${corpus}")
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 300)
  endif()
endforeach()
