// A kernel of its own beside sgd_update's: see there.
#include <vector>

#include "tensor/cuda/sweep.h"
#include "tensor/ops/ema_update.h"

namespace dcl::tensor::cuda {

namespace {

// Of target, source.
template <class T>
struct Follow {
  static constexpr int kWritten = 1;
  T keep;
  T take;

  explicit Follow(double m) : keep(static_cast<T>(m)), take(static_cast<T>(1 - m)) {}
  __device__ void begin() {}
  __device__ static constexpr bool reads(int /*array*/) { return true; }
  __device__ void operator()(T (&values)[2]) const { values[0] = keep * values[0] + take * values[1]; }
};

// Those of the pairs that are of type T.
template <class T>
void update(std::span<const EmaPair> pairs, double m) {
  std::vector<SweepEntry<T, 2>> entries;
  for (auto [target, source] : pairs)  // handles, so that data() may be changed
    if (target.dtype() == dtype_of<T>)
      entries.push_back({{target.template data<T>(), source.template data<T>()}, target.numel()});
  sweep<T, 2>("ema_update", entries, Follow<T>(m));
}

}  // namespace

void ema_update(std::span<const EmaPair> pairs, double m) {
  check_ema_update(pairs, m);
  for (const auto& [target, source] : pairs) count_work({0, 2 * bytes_of({&target}) + bytes_of({&source})});
  update<float>(pairs, m);
  update<double>(pairs, m);
}

}  // namespace dcl::tensor::cuda
