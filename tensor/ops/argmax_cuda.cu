#include "tensor/cuda/row_team.h"
#include "tensor/ops/argmax.h"
#include "tensor/ops/argmax_checks.h"

namespace dcl::tensor::cuda {

namespace {

template <class Team, class T>
__global__ void first_maximum(std::int64_t rows, std::int64_t columns, const T* x, std::int64_t* index) {
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  Team::for_each_row(rows, [&](std::int64_t row) {
    T best = -std::numeric_limits<T>::infinity();
    std::int64_t at = kNone;
    Team::for_each_pack(columns, [&](std::int64_t c) {
      const auto pack = load_pack<Team::kWidth>(x + row * columns + c);
      for (int k = 0; k < Team::kWidth; ++k) {
        const T value = pack.values[k];
        const bool larger = value > best || (value != value && best == best) || at == kNone;
        at = larger ? c + k : at;
        best = larger ? value : best;
      }
    });
    const T m = Team::max(best);
    const bool is_mine = best == m || (best != best && m != m);
    at = Team::min(is_mine ? at : kNone);
    if (Team::is_first()) index[row] = at;
  });
}

}  // namespace

Tensor argmax(const Tensor& x) {
  Tensor index = Tensor::empty(argmax_shape(x), {DType::int64, x.device()});
  dispatch_float(x.dtype(), "argmax", [&]<class T>() {
    with_row_team<T>(x.size(-1), {x.raw()}, [&]<class Team>() {
      launch("argmax", first_maximum<Team, T>, Team::shape(index.numel()), index.numel(), x.size(-1),
             x.data<T>(), index.data<std::int64_t>());
    });
  });
  return index;
}

}  // namespace dcl::tensor::cuda
