// One picture's two views.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "data/augment.h"
#include "data/decode.h"
#include "data/next_readable.h"
#include "data/source.h"

namespace dcl::data {

/// Reads, decodes and augments. May be called from several threads.
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
  std::array<ViewParams, 2> draw(const PairKey& pair, const Sample& sample, Part& part) const;

  std::shared_ptr<const Source> source_;
  Options options_;
  NextReadable readable_;
};

}  // namespace dcl::data
