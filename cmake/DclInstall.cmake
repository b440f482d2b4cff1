# cmake --install: programs, libraries, headers (under include/dcl) and the package that find_package(dcl) finds,
# with the targets dcl::tensor, dcl::autograd, dcl::nn, dcl::optim, dcl::data, dcl::distributed, dcl::densecl.
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY DCL_LIBRARIES)
install(TARGETS ${libraries} EXPORT dclTargets ARCHIVE)
foreach(library ${libraries})
  string(REPLACE "dcl_" "" folder ${library})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/dcl
          FILES_MATCHING PATTERN "*.h" PATTERN "cuda" EXCLUDE)
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/dcl)
install(EXPORT dclTargets NAMESPACE dcl:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/dclConfig.cmake.in ${PROJECT_BINARY_DIR}/dclConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/dclConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/dclConfig.cmake ${PROJECT_BINARY_DIR}/dclConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FindLMDB.cmake ${CMAKE_CURRENT_LIST_DIR}/FindCUDNN.cmake
        DESTINATION ${package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
