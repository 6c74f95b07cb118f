# Run by cpack when the components are staged, before packages are made of them: what a Debian package has besides, or otherwise than an installation by
# hand below /usr/local.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result ERROR_VARIABLE error)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${error}")
  endif()
endfunction()

set(deb ${CPACK_TV_SOURCE_DIR}/cmake/deb)
foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  set(root ${CPACK_TEMPORARY_DIRECTORY}/${component})
  string(TOUPPER ${component} key)
  set(package ${CPACK_DEBIAN_${key}_PACKAGE_NAME})
  set(docs ${root}/usr/share/doc/${package})

  # Documents lie under the name of their package.
  if(EXISTS ${root}/usr/share/doc/tensorvisor AND NOT package STREQUAL "tensorvisor")
    file(RENAME ${root}/usr/share/doc/tensorvisor ${docs})
  endif()
  file(MAKE_DIRECTORY ${docs})
  file(COPY ${deb}/copyright DESTINATION ${docs})
  configure_file(${deb}/changelog ${docs}/changelog.Debian @ONLY)
  run(gzip -9n ${docs}/changelog.Debian)
  file(GLOB_RECURSE pages ${root}/usr/share/man/*.[1-9])
  foreach(page IN LISTS pages)
    run(gzip -9n ${page})
  endforeach()
  if(component MATCHES "library")
    file(READ ${deb}/library.lintian-overrides text)
    file(WRITE ${root}/usr/share/lintian/overrides/${package} "${text}")
  endif()

  # The system's directories are searched anyway.
  file(GLOB binaries ${root}/usr/bin/* ${root}/usr/lib/*.so.* ${root}/usr/lib/*/*.so.*)
  foreach(binary IN LISTS binaries)
    if(NOT IS_SYMLINK ${binary})
      file(RPATH_REMOVE FILE ${binary})
    endif()
  endforeach()

  # Units name programs by the paths of the build's prefix.
  file(GLOB units ${root}/usr/lib/systemd/system/*)
  foreach(unit IN LISTS units)
    file(READ ${unit} text)
    string(REPLACE "${CPACK_TV_PREFIX}/bin/" "/usr/bin/" text "${text}")
    file(WRITE ${unit} "${text}")
  endforeach()

  if(component STREQUAL "tensorvisor")
    file(COPY ${deb}/tensorvisor.toml DESTINATION ${root}/etc/tensorvisor)
  endif()
  # Neither group nor others write, and nobody executes what is no program.
  run(chmod -R u=rwX,go=rX ${root})
endforeach()
