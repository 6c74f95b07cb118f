# What a package contains of programs, libraries, headers and CMake files. Configuration and units install themselves, in systemd/.
include(CMakePackageConfigHelpers)

# Components are the Debian packages (cmake/package.cmake). What names none is `tensorvisor`: the daemon and tensorctl.
# sdk: what one needs to build plug-ins and clients, besides the libraries.
set(tv_headers ${CMAKE_INSTALL_INCLUDEDIR}/tensorvisor)
set(tv_package ${CMAKE_INSTALL_LIBDIR}/cmake/tensorvisor)

# Users include "tensorvisor/actor.h", "tensorvisor/client.h" and "tensorvisor/torch.h"; the others are what these include.
install(DIRECTORY worker/include/tensorvisor/ DESTINATION ${tv_headers} COMPONENT sdk FILES_MATCHING PATTERN "*.h")
foreach(folder config shm ipc)
  install(DIRECTORY ${folder}/ DESTINATION ${tv_headers}/${folder} COMPONENT sdk FILES_MATCHING PATTERN "*.h" PATTERN "toml.h" EXCLUDE PATTERN "files" EXCLUDE)
endforeach()
install(DIRECTORY ${PROJECT_BINARY_DIR}/ipc/ DESTINATION ${tv_headers}/ipc COMPONENT sdk FILES_MATCHING PATTERN "*.capnp.h" PATTERN "CMakeFiles" EXCLUDE)
install(FILES worker/actor.h worker/version.h DESTINATION ${tv_headers}/worker COMPONENT sdk)
install(FILES worker/torch/savers.h worker/torch/torch.h DESTINATION ${tv_headers}/worker/torch COMPONENT sdk)

install(TARGETS tensorvisor EXPORT tensorvisor-targets LIBRARY COMPONENT library NAMELINK_COMPONENT sdk)
install(EXPORT tensorvisor-targets NAMESPACE tensorvisor:: DESTINATION ${tv_package} COMPONENT sdk)
if(TV_BUILD_TORCH)
  install(TARGETS tensorvisor-torch EXPORT tensorvisor-torch-targets LIBRARY COMPONENT torch-library NAMELINK_COMPONENT sdk)
  install(EXPORT tensorvisor-torch-targets NAMESPACE tensorvisor:: DESTINATION ${tv_package} COMPONENT sdk)
  install(TARGETS tensorvisor-worker COMPONENT worker)
endif()
# tensorvisord installs itself, with its unit.
foreach(program tensorctl tv-bench)
  if(TARGET ${program})
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
    set(component tensorvisor)
    if(program STREQUAL "tv-bench")
      set(component bench)  # in no package
    endif()
    install(TARGETS ${program} COMPONENT ${component})
  endif()
endforeach()

configure_package_config_file(cmake/tensorvisor-config.cmake.in ${PROJECT_BINARY_DIR}/cmake/tensorvisor-config.cmake
  INSTALL_DESTINATION ${tv_package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/tensorvisor-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cmake/tensorvisor-config.cmake ${PROJECT_BINARY_DIR}/cmake/tensorvisor-config-version.cmake
  cmake/tensorvisor-plugin.cmake DESTINATION ${tv_package} COMPONENT sdk)

install(DIRECTORY examples/counter examples/fashion DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT examples)
install(FILES examples/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT examples)
install(FILES config/reference.toml docs/README.md docs/getting-started.md docs/writing-actors.md docs/operating.md docs/events.md docs/architecture.md
  docs/protocol.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

include(cmake/package.cmake)
