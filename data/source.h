// Where pictures come from: files in a folder now, other containers behind the same interface.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dcl::data {

/// The bytes of one file and the name that messages call it by.
struct Sample {
  std::string name;
  std::vector<std::uint8_t> bytes;
};

/// Numbered pictures. All functions may be called from several threads at once.
class Source {
 public:
  virtual ~Source() = default;
  virtual std::int64_t size() const = 0;
  /// Throws Error, naming the file, when it cannot be read; whether it is a picture is not looked at.
  virtual Sample read(std::int64_t index) const = 0;
  /// What the user called the set ("photos/"), for messages.
  virtual const std::string& name() const = 0;
};

}  // namespace dcl::data
