#include "data/sampler.h"

#include <limits>

#include "tensor/check.h"
#include "tensor/random.h"

namespace dcl::data {

// A product that does not fit is larger than any set, which is all that matters.
std::int64_t SamplerOptions::whole_batch() const {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  return ranks > 1 && batch > most / ranks ? most : batch * ranks;
}

Sampler::Sampler(const SamplerOptions& o) : options_(o) {
  check(o.batch > 0, "sampler: batch size is {}, expected at least 1", o.batch);
  check(o.ranks > 0 && o.rank >= 0 && o.rank < o.ranks, "sampler: rank {} of {} does not exist", o.rank,
        o.ranks);
  check(o.whole_batch() <= o.size, "sampler: a batch of {} is larger than the set of {} pictures",
        o.whole_batch(), o.size);
}

std::int64_t Sampler::batches_per_epoch() const { return options_.size / options_.whole_batch(); }

std::vector<std::int64_t> Sampler::order(std::int64_t epoch) const {
  tensor::RandomStream random({.seed = options_.seed,
                               .purpose = tensor::Purpose::data_order,
                               .epoch = static_cast<std::uint32_t>(epoch)});
  return random.permutation(options_.size);
}

std::vector<std::int64_t> Sampler::batch(const std::vector<std::int64_t>& order,
                                         std::int64_t iteration) const {
  check(iteration >= 0 && iteration < batches_per_epoch(), "sampler: batch {} of {} does not exist",
        iteration, batches_per_epoch());
  const auto first = order.begin() + (iteration * options_.ranks + options_.rank) * options_.batch;
  return {first, first + options_.batch};
}

}  // namespace dcl::data
