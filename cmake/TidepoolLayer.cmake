# tidepool_layer(NAME
#   SOURCES a.cc ...          compiled into the layer, and with it into libtidepool
#   HEADERS a.h ...           installed with the library (the public ones; others stay private)
#   DEPENDS base shm ...      layers that this one may include (src/tidepool/README.md; tools/check_layers.py holds it)
#   LINK lib ...              outside libraries
#   TESTS a_test.cc ...       unit tests, one executable for the layer
#   FUZZERS a_fuzz.cc ...)    libFuzzer targets (preset fuzz); everywhere else their corpora replay as tests
function(tidepool_layer name)
  cmake_parse_arguments(arg "" "" "SOURCES;HEADERS;DEPENDS;LINK;TESTS;FUZZERS" ${ARGN})
  string(REPLACE "/" "_" target "tidepool_${name}")
  string(REPLACE "/" "." prefix "${name}.")
  if(arg_SOURCES)
    add_library(${target} STATIC ${arg_SOURCES})
    set(scope PUBLIC)
    set_property(GLOBAL APPEND PROPERTY TIDEPOOL_LIBRARY_LAYERS ${target})
    set_property(GLOBAL APPEND PROPERTY TIDEPOOL_LIBRARY_LINK ${arg_LINK})
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${target} ${scope} "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>")
  target_compile_features(${target} ${scope} cxx_std_20)
  foreach(dep IN LISTS arg_DEPENDS)
    string(REPLACE "/" "_" dep_target "tidepool_${dep}")
    target_link_libraries(${target} ${scope} ${dep_target})
  endforeach()
  if(arg_LINK)
    target_link_libraries(${target} ${scope} ${arg_LINK})
  endif()
  foreach(header IN LISTS arg_HEADERS)
    install(FILES "${header}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/tidepool/${name}")
    set_property(GLOBAL APPEND PROPERTY TIDEPOOL_INSTALLED_HEADERS "tidepool/${name}/${header}")
  endforeach()

  if(arg_TESTS)
    tidepool_gtest(${name}_test PREFIX "${prefix}" LABEL ${name} SOURCES ${arg_TESTS} LINK ${target})
  endif()
  foreach(fuzzer IN LISTS arg_FUZZERS)
    tidepool_fuzzer(${fuzzer} LINK ${target})
  endforeach()
endfunction()

# Every test executable hangs on this target, so that a sanitizer preset can build just them.
add_custom_target(tidepool_tests)
add_custom_target(tidepool_fuzzers)

# Compiling tests is most of what ./test does, and it is the library that is to be optimised and watched: a test's own code is
# not, which halves its compile time, and under AddressSanitizer takes four fifths off (the checks named here are one on each
# access to a member; null pointers are found anyway).
function(tidepool_test_options target)
  if(TIDEPOOL_SANITIZE STREQUAL "address")
    target_compile_options(${target} PRIVATE -O0 -fno-sanitize=null,alignment,vptr,fuzzer-no-link)
  elseif(TIDEPOOL_SANITIZE STREQUAL "" AND CMAKE_BUILD_TYPE MATCHES "^Rel")
    target_compile_options(${target} PRIVATE -O0 -g0)
  endif()
endfunction()

# What every test includes, compiled once: half of a small test's time.
function(tidepool_test_pch target)
  if(NOT TARGET tidepool_test_pch)
    file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/test_pch.cc" CONTENT "int main() {}  // holds the precompiled header of the tests\n")
    add_executable(tidepool_test_pch "${CMAKE_BINARY_DIR}/test_pch.cc")
    target_compile_features(tidepool_test_pch PRIVATE cxx_std_20)
    target_link_libraries(tidepool_test_pch PRIVATE GTest::gmock ${TIDEPOOL_RAPIDCHECK})
    target_precompile_headers(tidepool_test_pch PRIVATE <gmock/gmock.h> <gtest/gtest.h> <algorithm> <atomic> <chrono> <filesystem> <functional> <map>
                              <memory> <optional> <set> <string> <thread> <unordered_map> <variant> <vector>)
    tidepool_test_options(tidepool_test_pch)
  endif()
  target_precompile_headers(${target} REUSE_FROM tidepool_test_pch)
endfunction()

# tidepool_gtest(NAME [PREFIX p.] LABEL label SOURCES a_test.cc ... [LINK lib ...] [TIMEOUT seconds] [SERIAL])
# One GoogleTest executable; each of its tests is a test of ctest, named PREFIX + Suite.Name. One label, since the list of
# properties that gtest_discover_tests() takes cannot hold another list.
# SERIAL: never beside another test, for what measures or fills the machine.
function(tidepool_gtest name)
  cmake_parse_arguments(arg "SERIAL" "PREFIX;LABEL;TIMEOUT" "SOURCES;LINK" ${ARGN})
  if(NOT TIDEPOOL_BUILD_TESTS OR (TIDEPOOL_TEST_LAYERS AND NOT arg_LABEL IN_LIST TIDEPOOL_TEST_LAYERS))
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set(properties TIMEOUT ${arg_TIMEOUT})
  if(arg_LABEL MATCHES "^(cli|client|discovery|transport|services/)")
    list(APPEND properties PROCESSORS 2)  # whole deployments, whose threads spin
  endif()
  if(arg_SERIAL)
    list(APPEND properties RUN_SERIAL TRUE)
  endif()
  string(REPLACE "/" "_" target "${name}")
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE ${arg_LINK} GTest::gmock_main ${TIDEPOOL_RAPIDCHECK})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  tidepool_test_options(${target})
  tidepool_test_pch(${target})
  add_dependencies(tidepool_tests ${target})
  gtest_discover_tests(${target} TEST_PREFIX "${arg_PREFIX}" NO_PRETTY_VALUES DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES ${properties} LABELS ${arg_LABEL})
endfunction()

# tidepool_fuzzer(x_fuzz.cc [SOURCES x.cc ...] [LINK lib ...]): in preset fuzz a libFuzzer program that runs for
# TIDEPOOL_FUZZ_SECONDS (5) from its corpus, tests/fuzz/corpus/x_fuzz; elsewhere that corpus replays as a plain test.
function(tidepool_fuzzer source)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  get_filename_component(name "${source}" NAME_WE)
  set(corpus "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
  if(TIDEPOOL_FUZZ)
    add_executable(${name} ${source} ${arg_SOURCES})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(tidepool_fuzzers ${name})
    # Its own time limit is in run_fuzzer.sh, since it depends on TIDEPOOL_FUZZ_SECONDS.
    add_test(NAME fuzz.${name} COMMAND "${PROJECT_SOURCE_DIR}/tests/fuzz/run_fuzzer.sh" $<TARGET_FILE:${name}> "${corpus}")
    set_tests_properties(fuzz.${name} PROPERTIES TIMEOUT 3600 LABELS fuzz)
  elseif(TIDEPOOL_BUILD_TESTS AND NOT TIDEPOOL_TEST_LAYERS)
    add_executable(${name} ${source} ${arg_SOURCES} "${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cc")
    add_dependencies(tidepool_tests ${name})
    add_test(NAME replay.${name} COMMAND ${name} "${corpus}")
    set_tests_properties(replay.${name} PROPERTIES TIMEOUT 120 LABELS replay)
  else()
    return()
  endif()
  target_link_libraries(${name} PRIVATE ${arg_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
endfunction()
