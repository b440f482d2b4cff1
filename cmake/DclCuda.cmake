# The CUDA build (DCL_CUDA=ON, preset "cuda"). The rule: device code and all that reads CUDA's headers stands in *.cu
# files and in folders named cuda/, which dcl_library takes in this build alone; every other source is the same in both
# builds and asks `if constexpr (has_cuda)`. libcuda is never linked, so that what is built also starts on machines
# without a driver.
set(DCL_CUDA_ARCHITECTURES 90a CACHE STRING "GPU architectures for CMAKE_CUDA_ARCHITECTURES, such as 90a or 90a;100a")

if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(DCL_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin PATHS /usr/local/cuda/bin)
  if(NOT DCL_NVCC)
    message(FATAL_ERROR "DCL_CUDA: there is no nvcc on PATH or in /usr/local/cuda/bin: install the CUDA toolkit 13, or "
                        "set CUDACXX to its nvcc")
  endif()
  set(CMAKE_CUDA_COMPILER ${DCL_NVCC})
endif()
if(NOT DEFINED CMAKE_CUDA_HOST_COMPILER)
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
endif()
# Code of an architecture with an "a" runs on that one alone: PTX beside it would be of no use.
set(CMAKE_CUDA_ARCHITECTURES ${DCL_CUDA_ARCHITECTURES})
list(TRANSFORM CMAKE_CUDA_ARCHITECTURES APPEND -real REGEX "a$")
list(TRANSFORM DCL_CUDA_ARCHITECTURES PREPEND sm_ OUTPUT_VARIABLE names)
list(JOIN names ", " DCL_CUDA_NAMES)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 knows nvcc's standards up to 17
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()

find_package(CUDAToolkit 13.0 REQUIRED)
find_package(CUDNN 9 REQUIRED)

# -lineinfo: so that compute-sanitizer and profilers name lines. fmt 9 still takes nvcc for a
# compiler without constexpr functions, but checks format strings with them.
set(dcl_cuda_flags --expt-relaxed-constexpr --extended-lambda -lineinfo -DFMT_USE_CONSTEXPR=1 -Xcompiler=-ffp-contract=off)
add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:${dcl_cuda_flags}>")

# Programs find the shared libraries beside themselves, then where they were found at build time.
cmake_path(GET CUDNN_LIBRARY PARENT_PATH cudnn_folder)
set(CMAKE_BUILD_RPATH $ORIGIN ${CUDAToolkit_LIBRARY_DIR} ${cudnn_folder})
set(CMAKE_INSTALL_RPATH ${CMAKE_BUILD_RPATH})
list(REMOVE_DUPLICATES CMAKE_BUILD_RPATH)
list(REMOVE_DUPLICATES CMAKE_INSTALL_RPATH)
message(STATUS "CUDA ${CUDAToolkit_VERSION} for ${DCL_CUDA_ARCHITECTURES}, cuDNN ${CUDNN_VERSION} in ${cudnn_folder}")

# What dcl_tensor is made with in this build; everything that links it sees has_cuda.
function(dcl_with_cuda target)
  target_compile_definitions(${target} PUBLIC DCL_WITH_CUDA PRIVATE "DCL_CUDA_ARCHITECTURES=\"${DCL_CUDA_NAMES}\"")
  target_link_libraries(${target} PRIVATE CUDA::cudart_static CUDA::cublas CUDA::cublasLt CUDNN::cudnn)
endfunction()
