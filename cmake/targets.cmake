# The options that every target of ours shares, and the two ways to declare one.
add_library(tv_options INTERFACE)
target_compile_options(tv_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 warns falsely of "text" + std::string (GCC bug 105651).
  target_compile_options(tv_options INTERFACE -Wno-restrict)
endif()
target_include_directories(tv_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}>)
if(TV_SANITIZE)
  target_compile_options(tv_options INTERFACE -fsanitize=${TV_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(tv_options INTERFACE -fsanitize=${TV_SANITIZE})
endif()

# tv_library(NAME SOURCES... [LINK targets...]): a static library tv_NAME with the alias tv::NAME.
function(tv_library name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_library(tv_${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  add_library(tv::${name} ALIAS tv_${name})
  target_link_libraries(tv_${name} PUBLIC tv_options ${ARG_LINK})
endfunction()

function(tv_program name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE tv_options ${ARG_LINK})
endfunction()
