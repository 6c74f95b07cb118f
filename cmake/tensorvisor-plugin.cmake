# tensorvisor_add_plugin(NAME SOURCES...): a plug-in NAME.so with actor types (TV_PLUGIN in tensorvisor/actor.h). Used by the build tree and,
# installed with the package, by users. Plug-ins that use LibTorch link tensorvisor::torch besides.
function(tensorvisor_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so")
  target_link_libraries(${name} PRIVATE tensorvisor::tensorvisor)
endfunction()
