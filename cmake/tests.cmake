# Tests mirror source/: test/<folder>/*_test.cc becomes the executable test_<folder>; a *_test.py is
# run as it stands. Labels choose: `ctest -L unit`, sim, integration, e2e, fuzz, layering.

find_package(GTest REQUIRED)
# The interpreter that has Debian's python3-h2, python3-grpcio and so on, before any other.
find_program(SLUICE_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(SLUICE_PYTHON)
  set(Python3_EXECUTABLE "${SLUICE_PYTHON}")
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)
include(GoogleTest)

file(GLOB support_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test/support/*.cc")
if(support_sources)
  add_library(sluice_test_support STATIC ${support_sources})
  set(scope PUBLIC)
else()
  add_library(sluice_test_support INTERFACE)
  set(scope INTERFACE)
endif()
target_include_directories(sluice_test_support ${scope} "${CMAKE_CURRENT_SOURCE_DIR}/test")
target_link_libraries(sluice_test_support ${scope} sluice_cli GTest::gmock GTest::gtest)
# The real binary and the tree, for tests that start the one or read files of the other.
set(binary "${CMAKE_CURRENT_BINARY_DIR}/sluice")
set(source_dir "${CMAKE_CURRENT_SOURCE_DIR}")
target_compile_definitions(sluice_test_support ${scope}
  SLUICE_BINARY="${binary}" SLUICE_SOURCE_DIR="${source_dir}")

# sluice_python_test(<name> <script> <label>)
function(sluice_python_test name script label)
  add_test(NAME ${name} COMMAND "${Python3_EXECUTABLE}" "${script}")
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 300
    ENVIRONMENT "SLUICE_BINARY=${binary};SLUICE_SOURCE_DIR=${source_dir}")
endfunction()

# sluice_tests(<folder> <label> [<test property> <value>]...)
function(sluice_tests folder label)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test/${folder}/*_test.cc")
  if(sources)
    add_executable(test_${folder} ${sources})
    target_link_libraries(test_${folder} PRIVATE sluice_test_support GTest::gmock_main)
    # Test bodies are straight lines of assertions, which cost more to optimise than to run; what they
    # test is optimised.
    target_compile_options(test_${folder} PRIVATE -O0)
    if(TARGET sluice)
      add_dependencies(test_${folder} sluice)
    endif()
    # Listed when ctest starts, not while building: a build never runs what it has built.
    gtest_discover_tests(test_${folder} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
      TEST_PREFIX "${folder}." PROPERTIES LABELS ${label} TIMEOUT 300 ${ARGN})
  endif()

  file(GLOB scripts CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test/${folder}/*_test.py")
  foreach(script ${scripts})
    get_filename_component(name "${script}" NAME_WE)
    sluice_python_test(${folder}.${name} "${script}" ${label})
    if(ARGN)
      set_tests_properties(${folder}.${name} PROPERTIES ${ARGN})
    endif()
  endforeach()
endfunction()

foreach(folder base seams config net http upstream proxy lifecycle admin server cli support)
  sluice_tests(${folder} unit)
endforeach()
sluice_tests(bench unit)
sluice_tests(sim sim)
# These measure real time on real sockets; alone, a bound on it means something.
sluice_tests(integration integration RUN_SERIAL TRUE)
sluice_tests(e2e e2e RUN_SERIAL TRUE)

sluice_python_test(layering "${CMAKE_CURRENT_SOURCE_DIR}/test/layering_test.py" layering)
