// What a run does about pictures that cannot be read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "data/source.h"

namespace dcl::data {

/// Reads the pictures of a set; for an unreadable one the next readable one after it, around the end, stands
/// in. Remembers which are unreadable. May be called from several threads.
class NextReadable {
 public:
  /// `on_message` is told once about every unreadable picture, one line, by one thread at a time; it may be
  /// empty.
  NextReadable(std::shared_ptr<const Source> source, std::function<void(const std::string& line)> on_message);

  /// Gives `use` the sample of picture `index`, or of the next one for which reading it and `use` throw no
  /// Error; returns its position. Throws Error where there is none.
  std::int64_t read(std::int64_t index, const std::function<void(const Sample& sample)>& use);

 private:
  bool known_bad(std::int64_t index);
  bool all_bad();
  void report(std::int64_t index, const std::string& reason);

  std::shared_ptr<const Source> source_;
  std::function<void(const std::string& line)> on_message_;
  std::mutex mutex_;
  std::set<std::int64_t> bad_;
};

}  // namespace dcl::data
