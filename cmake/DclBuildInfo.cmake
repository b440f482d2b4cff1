# Run at each build (cmake -P): writes OUT, a header with what --version prints, only where it changed.
execute_process(COMMAND git -C ${SOURCE_DIR} describe --always --dirty --abbrev=12
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "unknown (built outside a git checkout)")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT
"#pragma once
#define DCL_BUILD_VERSION \"${VERSION}\"
#define DCL_BUILD_COMMIT \"${commit}\"
#define DCL_BUILD_COMPILER \"${COMPILER}\"
#define DCL_BUILD_BLAS \"${BLAS}\"
#define DCL_BUILD_CUDA \"${CUDA}\"
")
