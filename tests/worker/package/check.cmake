# Installs BUILD into a directory of its own, builds SOURCE against it, runs the client. TORCH: with the LibTorch component.
string(RANDOM LENGTH 8 name)
set(work ${BUILD}/package-check-${name})
file(MAKE_DIRECTORY ${work})

function(step what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    file(REMOVE_RECURSE ${work})
    message(FATAL_ERROR "${what} failed (${result}):\n${output}")
  endif()
endfunction()

step("installing" ${CMAKE_COMMAND} --install ${BUILD} --prefix ${work}/prefix --component sdk)
step("configuring" ${CMAKE_COMMAND} -S ${SOURCE} -B ${work}/build -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${work}/prefix -DWITH_TORCH=${TORCH})
step("building" ${CMAKE_COMMAND} --build ${work}/build)
step("running the client" ${work}/build/client ${work})
file(REMOVE_RECURSE ${work})
