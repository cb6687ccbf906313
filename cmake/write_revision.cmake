# Run by the build: writes OUTPUT from TEMPLATE with the git revision of SOURCE_DIR. A file that
# would not change is left alone.

set(revision "unknown")
find_program(GIT git)
if(GIT)
  # Without optional locks: a build must not get into the way of a git command running beside it.
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env GIT_OPTIONAL_LOCKS=0
      "${GIT}" -C "${SOURCE_DIR}" describe --always --dirty --match v[0-9]*
    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
    RESULT_VARIABLE failed ERROR_QUIET)
  if(NOT failed)
    set(revision "${described}")
  endif()
endif()
configure_file("${TEMPLATE}" "${OUTPUT}" @ONLY)
