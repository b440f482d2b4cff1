// Counter-based random numbers: randomness is a function of (seed, purpose, epoch, sample, view), not a state
// that threads would have to share. The same key gives the same numbers on any machine, for any number of
// loader threads, and after a resume in the middle of an epoch.
//
// Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. Philox4x32, 10 rounds.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace dcl::tensor {

/// What the numbers are for. The values are part of every run's bits: append, never renumber.
enum class Purpose : std::uint8_t {
  weights = 0,        // initialisation; `sample` is a hash of the parameter's name
  queue = 1,          // first contents of the queues
  data_order = 2,     // the permutation of an epoch
  augmentation = 3,   // one stream for each (epoch, sample, view)
  batch_shuffle = 4,  // shuffling batch norm; `sample` is the step
  scenes = 5,         // the synthetic picture set
  test = 6,
};

struct RandomKey {
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::test;
  std::uint32_t epoch = 0;
  std::uint64_t sample = 0;  // 48 bits are used
  std::uint8_t view = 0;
};

/// One block of Philox4x32-10.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// The numbers of one key, in order. Cheap to make and to copy; holds no shared state.
class RandomStream {
 public:
  explicit RandomStream(const RandomKey& key);

  std::uint32_t bits();
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [0, bound), without bias. Throws when bound is 0.
  std::uint32_t below(std::uint32_t bound);
  /// Standard normal (Box-Muller).
  double normal();
  bool chance(double probability) { return uniform() < probability; }
  /// A uniformly random permutation of 0 … n-1 (Fisher-Yates).
  std::vector<std::int64_t> permutation(std::int64_t n);

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  int used_ = 4;
  double spare_normal_ = 0;
  bool has_spare_ = false;
};

/// FNV-1a, 64 bits: turns a parameter's name into the `sample` of its key.
std::uint64_t hash_name(std::string_view name);

}  // namespace dcl::tensor
