#include "data/pair_maker.h"

#include "data/decode.h"
#include "tensor/check.h"

namespace dcl::data {

PairMaker::PairMaker(std::shared_ptr<const Source> source, Options options)
    : source_(std::move(source)), options_(std::move(options)) {
  check_options(options_.augment);
}

bool PairMaker::make(std::int64_t index, std::int64_t epoch, float* query, float* key) {
  bool replaced = false;
  const Image image = readable(index, replaced);
  const std::int64_t side = options_.augment.image_size;
  const auto params = draw_pair(image.width, image.height, options_.augment, {options_.seed, epoch, index});
  normalise_view(apply_view(image, params[0], side), query);
  normalise_view(apply_view(image, params[1], side), key);
  return replaced;
}

// Picture `index`, or the next readable one after it, around the end.
Image PairMaker::readable(std::int64_t index, bool& replaced) {
  const std::int64_t size = source_->size();
  for (std::int64_t i = 0; i < size && !all_bad(); ++i) {
    const std::int64_t at = (index + i) % size;
    replaced = i > 0;
    if (known_bad(at)) continue;
    try {
      const Sample sample = source_->read(at);
      return decode(sample.bytes, sample.name);
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
