// How much memory the test's own process holds.
#pragma once

#include <cstdint>

namespace dcl::test {

/// Bytes that are resident now; throws Error where the system does not tell.
std::int64_t resident_bytes();

}  // namespace dcl::test
