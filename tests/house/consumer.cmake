# Installs the built tree under a fresh prefix, builds the program in consumer/ against it with find_package, and
# runs it: it prints its loss and leaves with status 1 unless that falls to a tenth.
#
#   cmake -DBINARY_DIR=… -DSOURCE_DIR=… -DCXX=… -DCXX_FLAGS=… -P consumer.cmake
set(work ${BINARY_DIR}/consumer)
file(REMOVE_RECURSE ${work})

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "status ${status} of ${ARGV}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BINARY_DIR} --prefix ${work}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE_DIR}/tests/house/consumer -B ${work}/build -G Ninja -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_PREFIX_PATH=${work}/prefix -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_CXX_FLAGS=${CXX_FLAGS})
run(${CMAKE_COMMAND} --build ${work}/build)
run(${work}/build/consumer)

string(REGEX MATCHALL "loss [0-9.e+-]+" losses "${output}")
list(LENGTH losses count)
if(count LESS 2)
  message(FATAL_ERROR "expected lines with the loss, got:\n${output}")
endif()
message("${output}")
