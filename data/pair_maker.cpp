#include "data/pair_maker.h"

#include <algorithm>

#include "tensor/check.h"

namespace dcl::data {

namespace {

CropBox union_of(const CropBox& a, const CropBox& b) {
  const std::int64_t top = std::min(a.top, b.top);
  const std::int64_t left = std::min(a.left, b.left);
  return {.top = top,
          .left = left,
          .height = std::max(a.top + a.height, b.top + b.height) - top,
          .width = std::max(a.left + a.width, b.left + b.width) - left};
}

}  // namespace

PairMaker::PairMaker(std::shared_ptr<const Source> source, Options options)
    : source_(std::move(source)), options_(std::move(options)) {
  check_options(options_.augment);
}

bool PairMaker::make(std::int64_t index, std::int64_t epoch, float* query, float* key) {
  thread_local Part part;  // large, so used again
  const Drawn drawn = readable({options_.seed, epoch, index}, part);
  const std::int64_t side = options_.augment.image_size;
  normalise_view(apply_view(part.image, drawn.views[0], side), query);
  normalise_view(apply_view(part.image, drawn.views[1], side), key);
  keep_if_small(part.image.pixels);
  return drawn.replaced;
}

// The pair's picture, or the next readable one after it, around the end; both views are drawn as soon as its
// size is known, so that only what they show is decoded.
PairMaker::Drawn PairMaker::readable(const PairKey& pair, Part& part) {
  const std::int64_t size = source_->size();
  for (std::int64_t i = 0; i < size && !all_bad(); ++i) {
    const std::int64_t at = (pair.sample + i) % size;
    if (known_bad(at)) continue;
    try {
      const Sample sample = source_->read(at);
      Drawn drawn;
      const auto draw = [&](std::int64_t width, std::int64_t height) {
        drawn.views = draw_pair(width, height, options_.augment, pair);
        return union_of(drawn.views[0].crop, drawn.views[1].crop);
      };
      decode_part(sample.bytes, sample.name, draw, part);
      for (auto& view : drawn.views) {
        view.crop.top -= part.box.top;
        view.crop.left -= part.box.left;
      }
      drawn.replaced = i > 0;
      return drawn;
    } catch (const Error& error) {
      if (!options_.replace_bad) throw;
      report(at, error.what());
    }
  }
  fail("{}: none of the {} pictures can be read", source_->name(), size);
}

bool PairMaker::known_bad(std::int64_t index) {
  const std::scoped_lock lock(mutex_);
  return bad_.contains(index);
}

bool PairMaker::all_bad() {
  const std::scoped_lock lock(mutex_);
  return static_cast<std::int64_t>(bad_.size()) == source_->size();
}

void PairMaker::report(std::int64_t index, const std::string& reason) {
  const std::scoped_lock lock(mutex_);
  if (bad_.insert(index).second && options_.on_message)
    options_.on_message(reason + ": the next readable picture is taken instead");
}

}  // namespace dcl::data
