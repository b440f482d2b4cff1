// Where pictures come from: files, databases and archives behind one interface.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dcl::data {

inline constexpr std::int64_t kNoLabel = -1;

/// The bytes of one file, the name that messages call it by, and its class where the set has classes.
struct Sample {
  std::string name;
  std::vector<std::uint8_t> bytes;
  std::int64_t label = kNoLabel;
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

 protected:
  Source() = default;
  Source(const Source&) = default;
  Source& operator=(const Source&) = default;
  /// Throws Error where there is no such sample.
  void check_index(std::int64_t index) const;
};

}  // namespace dcl::data
