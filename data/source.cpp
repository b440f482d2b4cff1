#include "data/source.h"

#include "tensor/check.h"

namespace dcl::data {

void Source::check_index(std::int64_t index) const {
  check(index >= 0 && index < size(), "{}: sample {} of {} does not exist", name(), index, size());
}

}  // namespace dcl::data
