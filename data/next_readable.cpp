#include "data/next_readable.h"

#include <utility>

#include "tensor/check.h"

namespace dcl::data {

NextReadable::NextReadable(std::shared_ptr<const Source> source,
                           std::function<void(const std::string& line)> on_message)
    : source_(std::move(source)), on_message_(std::move(on_message)) {}

std::int64_t NextReadable::read(std::int64_t index, const std::function<void(const Sample& sample)>& use) {
  const std::int64_t size = source_->size();
  for (std::int64_t i = 0; i < size && !all_bad(); ++i) {
    const std::int64_t at = (index + i) % size;
    if (known_bad(at)) continue;
    try {
      use(source_->read(at));
      return at;
    } catch (const Error& error) {
      report(at, error.what());
    }
  }
  fail("{}: none of the {} pictures can be read", source_->name(), size);
}

bool NextReadable::known_bad(std::int64_t index) {
  const std::scoped_lock lock(mutex_);
  return bad_.contains(index);
}

bool NextReadable::all_bad() {
  const std::scoped_lock lock(mutex_);
  return static_cast<std::int64_t>(bad_.size()) == source_->size();
}

void NextReadable::report(std::int64_t index, const std::string& reason) {
  const std::scoped_lock lock(mutex_);
  if (bad_.insert(index).second && on_message_)
    on_message_(reason + ": the next readable picture is taken instead");
}

}  // namespace dcl::data
