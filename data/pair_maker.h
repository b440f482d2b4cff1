// What one picture's two views are made of.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "data/augment.h"
#include "data/decode.h"
#include "data/next_readable.h"
#include "data/source.h"

namespace dcl::data {

/// Reads, decodes and draws. May be called from several threads.
class PairMaker {
 public:
  struct Options {
    AugmentOptions augment;
    std::uint64_t seed = 0;
    bool replace_bad = true;
    std::function<void(const std::string& line)> on_message;
  };
  PairMaker(std::shared_ptr<const Source> source, Options options);

  /// Told the view (0 the query's, 1 the key's), the part of the picture that was decoded and what is drawn.
  using MakeView = std::function<void(std::size_t view, const Image& picture, const ViewParams& params)>;
  /// Calls `make_view` for both views of picture `index` in `epoch`. True when another picture stood in.
  bool make(std::int64_t index, std::int64_t epoch, const MakeView& make_view);

 private:
  std::array<ViewParams, 2> draw(const PairKey& pair, const Sample& sample, Part& part) const;

  std::shared_ptr<const Source> source_;
  Options options_;
  NextReadable readable_;
};

}  // namespace dcl::data
