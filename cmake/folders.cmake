# sluice_folder(<name> <libraries>...)
#
# One library per folder: sluice_<name> from source/<name>/*.cc. A new file needs no edit here.
function(sluice_folder name)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/source/${name}/*.cc")
  if(sources)
    add_library(sluice_${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    # A folder of headers, or one that is still empty.
    add_library(sluice_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(sluice_${name} ${scope} sluice_options ${ARGN})
endfunction()
