#include "data/pair_maker.h"

#include <algorithm>

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
    : source_(std::move(source)), options_(std::move(options)), readable_(source_, options_.on_message) {
  check_options(options_.augment);
}

bool PairMaker::make(std::int64_t index, std::int64_t epoch, const MakeView& make_view) {
  thread_local Part part;  // large, so used again
  std::array<ViewParams, 2> views;
  const auto read = [&](const Sample& sample) { views = draw({options_.seed, epoch, index}, sample, part); };
  std::int64_t taken = index;
  if (options_.replace_bad)
    taken = readable_.read(index, read);
  else
    read(source_->read(index));
  for (std::size_t view = 0; view < views.size(); ++view) make_view(view, part.image, views[view]);
  keep_if_small(part.image.pixels);
  return taken != index;
}

// Both views are drawn as soon as the picture's size is known, so that only what they show is decoded. Their
// crops are in what was decoded.
std::array<ViewParams, 2> PairMaker::draw(const PairKey& pair, const Sample& sample, Part& part) const {
  std::array<ViewParams, 2> views;
  const auto choose = [&](std::int64_t width, std::int64_t height) {
    views = draw_pair(width, height, options_.augment, pair);
    return union_of(views[0].crop, views[1].crop);
  };
  decode_part(sample.bytes, sample.name, choose, part);
  for (auto& view : views) {
    view.crop.top -= part.box.top;
    view.crop.left -= part.box.left;
  }
  return views;
}

}  // namespace dcl::data
