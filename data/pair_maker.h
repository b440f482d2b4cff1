// One picture's two views.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "data/augment.h"
#include "data/decode.h"
#include "data/source.h"

namespace dcl::data {

/// Reads, decodes and augments; knows which pictures are unreadable. May be called from several threads.
class PairMaker {
 public:
  struct Options {
    AugmentOptions augment;
    std::uint64_t seed = 0;
    bool replace_bad = true;
    std::function<void(const std::string& line)> on_message;
  };
  PairMaker(std::shared_ptr<const Source> source, Options options);

  /// Writes both views of picture `index` in `epoch`, [S,S,3] floats each. True when another picture stood
  /// in.
  bool make(std::int64_t index, std::int64_t epoch, float* query, float* key);

 private:
  struct Drawn {
    std::array<ViewParams, 2> views;  // with crops in what was decoded
    bool replaced = false;
  };
  Drawn readable(const PairKey& pair, Part& part);
  bool known_bad(std::int64_t index);
  bool all_bad();
  void report(std::int64_t index, const std::string& reason);

  std::shared_ptr<const Source> source_;
  Options options_;
  std::mutex mutex_;
  std::set<std::int64_t> bad_;
};

}  // namespace dcl::data
