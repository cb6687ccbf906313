# Run by the build: writes OUTPUT from TEMPLATE with the git revision of SOURCE_DIR, leaving an unchanged file alone.

set(revision "unknown")
find_program(GIT git)
if(GIT)
  # Without optional locks, so that a build never gets into the way of a git command running beside it.
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
