# libtidepool: all layers in one shared library, with Aeron inside and none of its symbols outside (rulings P-16), so that
# find_package(tidepool) asks for nothing else. The layers' objects are taken as they are, so no archive member is lost.
get_property(layers GLOBAL PROPERTY TIDEPOOL_LIBRARY_LAYERS)
get_property(link GLOBAL PROPERTY TIDEPOOL_LIBRARY_LINK)

set(objects "")
foreach(layer IN LISTS layers)
  list(APPEND objects "$<TARGET_OBJECTS:${layer}>")
endforeach()
add_library(tidepool SHARED ${objects})
add_library(tidepool::tidepool ALIAS tidepool)
target_link_libraries(tidepool PRIVATE ${link})
target_include_directories(tidepool INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_compile_features(tidepool INTERFACE cxx_std_20)
# Before 1.0 a minor version may change the interface, so it is part of the soname.
set_target_properties(tidepool PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
                      LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/tidepool.map")
target_link_options(tidepool PRIVATE "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/tidepool.map")
if(TIDEPOOL_SANITIZE STREQUAL "")
  # A sanitizer's run time is in the executable alone, so only then may symbols stay open.
  target_link_options(tidepool PRIVATE "LINKER:--no-undefined")
endif()

install(FILES "${PROJECT_SOURCE_DIR}/src/tidepool/client.h" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/tidepool")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/tidepool")
install(TARGETS tidepool EXPORT tidepool LIBRARY)
install(EXPORT tidepool FILE tidepoolTargets.cmake NAMESPACE tidepool:: DESTINATION "${package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/tidepoolConfig.cmake.in" "${CMAKE_CURRENT_BINARY_DIR}/tidepoolConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/tidepoolConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/tidepoolConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/tidepoolConfigVersion.cmake"
        DESTINATION "${package_dir}")
