# dcl_library(NAME [DEPENDS targets…] [PRIVATE_DEPENDS targets…]): every *.cpp of the calling folder (and its
# sub-folders) becomes the library dcl_NAME, which users link as dcl::NAME; *.cu and what is in folders named cuda/
# belong to it in a CUDA build only. Headers are included from the root: "tensor/tensor.h".
function(dcl_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS *.cpp *.cu)
  if(DCL_CUDA_EMULATED)
    list(FILTER sources EXCLUDE REGEX "(^|/)cuda/[^/]*\\.(cpp|cu)$")
    set(kernels ${sources})
    list(FILTER kernels INCLUDE REGEX "\\.cu$")
    set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX)
  elseif(DCL_CUDA)
    list(FILTER sources EXCLUDE REGEX "(^|/)cuda/emulated/")
  else()
    list(FILTER sources EXCLUDE REGEX "\\.cu$|(^|/)cuda/")
  endif()
  add_library(dcl_${name} STATIC ${sources})
  add_library(dcl::${name} ALIAS dcl_${name})
  set_target_properties(dcl_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(dcl_${name} PUBLIC cxx_std_20)
  target_include_directories(dcl_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                                $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/dcl>)
  target_link_libraries(dcl_${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
  dcl_warnings(dcl_${name})
  # What tensor.h and most sources include, read once. (Sources name what they use all the same: Clang, and with it
  # clang-tidy, reads them without.)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set(headers algorithm array atomic cmath cstring filesystem fstream functional map memory mutex numeric optional span
                sstream string string_view thread type_traits utility variant vector fmt/format.h)
    list(TRANSFORM headers REPLACE "(.+)" "$<$<COMPILE_LANGUAGE:CXX>:<\\1$<ANGLE-R>>")
    target_precompile_headers(dcl_${name} PRIVATE ${headers})
  endif()
  set_property(GLOBAL APPEND PROPERTY DCL_LIBRARIES dcl_${name})
endfunction()
