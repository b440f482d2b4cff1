// A set of pictures that is in memory.
#pragma once

#include <string>

#include "data/source.h"
#include "tests/support/pictures.h"

namespace dcl::test {

/// Nine drawn pictures of nine sizes; without a readable one at `bad`.
class JpegSource final : public data::Source {
 public:
  explicit JpegSource(std::int64_t bad = -1) : bad_(bad) {}
  std::int64_t size() const override { return 9; }
  data::Sample read(std::int64_t index) const override {
    Bytes bytes = {'n', 'o', 'n', 'e'};
    if (index != bad_)
      bytes = encode_jpeg(drawn_picture(90 + 9 * index, 70 + index, static_cast<std::uint64_t>(index)));
    return {std::to_string(index) + ".jpg", std::move(bytes)};
  }
  const std::string& name() const override { return name_; }

 private:
  std::int64_t bad_;
  std::string name_ = "jpegs";
};

}  // namespace dcl::test
