// Errors: one exception type, thrown with a line that names the operation, the argument, what was
// expected and what came. Nothing below apps/ prints or exits.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/core.h>

namespace dcl {

/// Every error this project reports: `what()` is one line, fit to be shown to a user as it is.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error with the formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Error with the formatted message unless `holds`. The message is only built on failure.
template <class... Args>
void check(bool holds, fmt::format_string<Args...> format, Args&&... args) {
  if (!holds) [[unlikely]]
    fail(format, std::forward<Args>(args)...);
}

}  // namespace dcl
