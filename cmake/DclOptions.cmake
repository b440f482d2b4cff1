option(DCL_BUILD_TESTS "Build the tests and the test tools" ON)
option(DCL_BUILD_BENCH "Build the benchmarks" ON)
option(DCL_BUILD_FUZZ "Build the fuzz targets (Clang with libFuzzer)" OFF)
option(DCL_CUDA_EMULATED "Build the CUDA backend's kernels as C++ on the host: for tests without a GPU" OFF)
option(DCL_CUDA "Build the CUDA backend (needs nvcc, cuBLAS and cuDNN; no GPU)" OFF)
option(DCL_WARNINGS_AS_ERRORS "Treat compiler warnings as errors" OFF)
set(DCL_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, such as address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
# -ffp-contract=off: the same expression gives the same bits wherever the compiler puts it; kernels that want
# fused multiply-adds ask for them by name.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
if(DCL_SANITIZE)
  set(sanitize -fsanitize=${DCL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${sanitize}>")
  add_link_options(-fsanitize=${DCL_SANITIZE})
endif()
if(DCL_BUILD_FUZZ)
  # Coverage; only the targets link libFuzzer and its main().
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>)
endif()

# Paths relative to the source folder, so that another clone of the same commit finds the same objects.
find_program(DCL_CCACHE ccache)
if(DCL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
                                  CCACHE_SLOPPINESS=pch_defines,time_macros ${DCL_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

# Tests and test tools only call what is measured, programs' command lines too: in a release they are compiled for the
# compiler's speed.
function(dcl_compiled_quickly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# The warnings every target of ours is built with. What nvcc makes of a .cu file breaks the finer ones.
function(dcl_warnings target)
  set(warnings -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual)
  set(cuda_warnings -Xcompiler=-Wall,-Wextra)
  # GCC 12 sees overlapping copies in "literal" + std::string (its bug 105651).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    list(APPEND warnings -Wno-restrict)
  endif()
  # libstdc++ 12's std::stable_sort calls what it deprecates itself; Clang names the caller.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    list(APPEND warnings -Wno-deprecated-declarations)
  endif()
  # GCC's instrumented code looks uninitialised to GCC (its bug 105562: std::regex and others).
  if(DCL_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND warnings -Wno-maybe-uninitialized)
  endif()
  if(DCL_WARNINGS_AS_ERRORS)
    list(APPEND warnings -Werror)
    list(APPEND cuda_warnings -Werror=all-warnings -Xcompiler=-Werror)
  endif()
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${warnings}>"
                                           "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_warnings}>")
endfunction()
