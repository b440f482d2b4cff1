# cuDNN (https://developer.nvidia.com/cudnn): the target CUDNN::cudnn. Looked for in CUDNN_ROOT, in the CUDA toolkit, in
# the system's folders, and in the wheel that an installed PyTorch brings along (there only libcudnn.so.9 has a name).
set(hints ${CUDAToolkit_LIBRARY_ROOT} ${CUDAToolkit_TARGET_DIR})
find_path(CUDNN_INCLUDE_DIR cudnn_backend.h HINTS ${hints} PATH_SUFFIXES include)
find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 HINTS ${hints} PATH_SUFFIXES lib64 lib)
if(NOT CUDNN_INCLUDE_DIR OR NOT CUDNN_LIBRARY)
  find_program(DCL_PYTHON python3)
  if(DCL_PYTHON)
    execute_process(COMMAND ${DCL_PYTHON} -c "import nvidia.cudnn; print(*nvidia.cudnn.__path__, sep=';', end='')"
                    OUTPUT_VARIABLE wheel ERROR_QUIET)
    find_path(CUDNN_INCLUDE_DIR cudnn_backend.h HINTS ${wheel} PATH_SUFFIXES include)
    find_library(CUDNN_LIBRARY NAMES libcudnn.so.9 HINTS ${wheel} PATH_SUFFIXES lib)
  endif()
endif()

if(EXISTS ${CUDNN_INCLUDE_DIR}/cudnn_version.h)
  file(STRINGS ${CUDNN_INCLUDE_DIR}/cudnn_version.h lines REGEX "#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) [0-9]+")
  string(REGEX REPLACE "[^0-9;]" "" numbers "${lines}")
  string(REPLACE ";" "." CUDNN_VERSION "${numbers}")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CUDNN REQUIRED_VARS CUDNN_LIBRARY CUDNN_INCLUDE_DIR VERSION_VAR CUDNN_VERSION)
if(CUDNN_FOUND AND NOT TARGET CUDNN::cudnn)
  add_library(CUDNN::cudnn UNKNOWN IMPORTED)
  set_target_properties(CUDNN::cudnn PROPERTIES IMPORTED_LOCATION ${CUDNN_LIBRARY}
                                                INTERFACE_INCLUDE_DIRECTORIES ${CUDNN_INCLUDE_DIR})
endif()
