#include "tests/support/memory.h"

#include <fstream>

#include <unistd.h>

#include "tensor/check.h"

namespace dcl::test {

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");  // in pages: all, resident, ...
  std::int64_t all = 0;
  std::int64_t resident = 0;
  check(static_cast<bool>(statm >> all >> resident), "/proc/self/statm: cannot be read");
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace dcl::test
