# cpack -G DEB: Debian packages out of a finished build, a component each. cmake/deb has what only packages have; cmake/deb/stage.cmake puts it there.
set(TV_PACKAGE_MAINTAINER "Tensorvisor maintainers <maintainers@tensorvisor.example>" CACHE STRING "Maintainer field of the Debian packages")
# Before Debian's own 1, as Ubuntu's 0ubuntu1 is.
set(TV_PACKAGE_REVISION 0tv1 CACHE STRING "What the Debian packages' versions have behind the release")

set(CPACK_PACKAGE_NAME tensorvisor)
set(CPACK_PACKAGE_VENDOR Tensorvisor)
set(CPACK_PACKAGE_CONTACT "${TV_PACKAGE_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${TV_PACKAGE_REVISION})
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${TV_PACKAGE_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/deb/stage.cmake)
set(CPACK_COMPONENTS_ALL tensorvisor library sdk examples)
if(TV_BUILD_TORCH)
  list(APPEND CPACK_COMPONENTS_ALL torch-library worker)
endif()

set(tv_deb ${PROJECT_SOURCE_DIR}/cmake/deb)
set(tv_deb_made ${PROJECT_BINARY_DIR}/cmake/deb)
set(tv_version ${PROJECT_VERSION}-${TV_PACKAGE_REVISION})
set(tv_about "Tensorvisor supervises tensor actors on one Linux machine: stateful C++ classes
in worker processes, which share tensors through memory without copying, and
come back within milliseconds with their state and unread mail when a worker
crashes.
")

# tv_deb(COMPONENT NAME SECTION SUMMARY TEXT [ARCH] DEPENDS packages... [RECOMMENDS ...])
function(tv_deb component name section summary text)
  cmake_parse_arguments(ARG "" "ARCH" "DEPENDS;RECOMMENDS;SUGGESTS" ${ARGN})
  string(TOUPPER ${component} key)
  set(CPACK_DEBIAN_${key}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(CPACK_DEBIAN_${key}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  set(CPACK_DEBIAN_${key}_DESCRIPTION "${summary}\n${tv_about}\n${text}" PARENT_SCOPE)
  foreach(field DEPENDS RECOMMENDS SUGGESTS)
    string(REPLACE ";" ", " list "${ARG_${field}}")
    set(CPACK_DEBIAN_${key}_PACKAGE_${field} "${list}" PARENT_SCOPE)
  endforeach()
  if(ARG_ARCH)
    set(CPACK_DEBIAN_${key}_PACKAGE_ARCHITECTURE ${ARG_ARCH} PARENT_SCOPE)
    set(CPACK_DEBIAN_${key}_PACKAGE_SHLIBDEPS OFF PARENT_SCOPE)
  endif()
endfunction()

set(tv_library_package libtensorvisor${PROJECT_VERSION_MAJOR})
set(tv_torch_package libtensorvisor-torch${PROJECT_VERSION_MAJOR})
set(tv_needs "")
if(TV_BUILD_TORCH)
  set(tv_needs "tensorvisor-worker (= ${tv_version})")
endif()
tv_deb(tensorvisor tensorvisor admin "supervisor of tensor actors on one machine"
  "This package has the daemon tensorvisord, its service, and tensorctl."
  DEPENDS ${tv_needs} "systemd | systemd-standalone-sysusers | systemd-sysusers" SUGGESTS tensorvisor-examples)
tv_deb(library ${tv_library_package} libs "supervisor of tensor actors, library for clients and plug-ins"
  "This package has the library that clients and plug-ins with actors link.\nIt needs no LibTorch.")
tv_deb(torch-library ${tv_torch_package} libs "supervisor of tensor actors, library for plug-ins with LibTorch"
  "This package has the library that plug-ins and clients link which use\nLibTorch." DEPENDS "${tv_library_package} (= ${tv_version})")
tv_deb(worker tensorvisor-worker admin "supervisor of tensor actors, program that actors live in"
  "This package has the program in which actors live, and which needs LibTorch."
  DEPENDS "${tv_library_package} (= ${tv_version})" "${tv_torch_package} (= ${tv_version})")
set(tv_dev "${tv_library_package} (= ${tv_version})" libcapnp-dev libboost-dev)
if(TV_BUILD_TORCH)
  list(APPEND tv_dev "${tv_torch_package} (= ${tv_version})")
endif()
tv_deb(sdk tensorvisor-dev libdevel "supervisor of tensor actors, headers for clients and plug-ins"
  "This package has the headers and the CMake package with which actors and\nclients are built." DEPENDS ${tv_dev} RECOMMENDS cmake libtorch-dev)
tv_deb(examples tensorvisor-examples doc "supervisor of tensor actors, examples"
  "This package has the sources of actors and of programs that call them." ARCH all RECOMMENDS tensorvisor-dev)

set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${tv_deb}/triggers)
set(CPACK_DEBIAN_TORCH-LIBRARY_PACKAGE_CONTROL_EXTRA ${tv_deb}/triggers)

# Units that an administrator may switch on and off; the scripts name all that the build installs.
set(tv_units tensorvisord.service)
if(EXISTS ${PROJECT_SOURCE_DIR}/systemd/tensorvisord.socket)
  list(PREPEND tv_units tensorvisord.socket)
endif()
string(REPLACE ";" " " TV_UNITS "${tv_units}")
foreach(script postinst prerm postrm)
  configure_file(${tv_deb}/tensorvisor.${script} ${tv_deb_made}/${script} @ONLY)
endforeach()
configure_file(${tv_deb}/conffiles ${tv_deb_made}/conffiles COPYONLY)
set(CPACK_DEBIAN_TENSORVISOR_PACKAGE_CONTROL_EXTRA
  ${tv_deb_made}/postinst ${tv_deb_made}/prerm ${tv_deb_made}/postrm ${tv_deb_made}/conffiles)

# For stage.cmake.
set(CPACK_TV_SOURCE_DIR ${PROJECT_SOURCE_DIR})
set(CPACK_TV_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_TV_VERSION ${tv_version})
string(TIMESTAMP CPACK_TV_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
include(CPack)
