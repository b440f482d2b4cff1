// Which pictures make up a batch.
#pragma once

#include <cstdint>
#include <vector>

namespace dcl::data {

struct SamplerOptions {
  std::int64_t size = 0;   // pictures in the set
  std::int64_t batch = 0;  // pictures a batch, of this rank
  std::uint64_t seed = 0;
  int rank = 0;
  int ranks = 1;
  /// Pictures of all ranks together.
  std::int64_t whole_batch() const;
};

/// A new order every epoch, which follows from (seed, epoch) alone, so that a resumed run repeats it. A step
/// takes the next batch × ranks of that order and each rank its part: no picture twice, the incomplete rest
/// dropped.
class Sampler {
 public:
  /// Throws Error where a batch of all ranks is larger than the set, or a number is out of its range.
  explicit Sampler(const SamplerOptions& options);

  std::int64_t batches_per_epoch() const;
  /// The order of all pictures in `epoch` (from 0).
  std::vector<std::int64_t> order(std::int64_t epoch) const;
  /// This rank's part of batch `iteration` (from 0) out of an epoch's order.
  std::vector<std::int64_t> batch(const std::vector<std::int64_t>& order, std::int64_t iteration) const;

 private:
  SamplerOptions options_;
};

}  // namespace dcl::data
