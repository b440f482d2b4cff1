#include <bit>
#include <type_traits>
#include <utility>

#include "tensor/cuda/column_sums.h"
#include "tensor/cuda/kernel.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce_plan.h"

namespace dcl::tensor::cuda {
namespace {

constexpr int kThreads = 256;
// A long sum is cut into parts for about so many blocks, four a multiprocessor …
constexpr std::int64_t kBlocks = std::max<std::int64_t>(kMostBlocks / 4, 3);
constexpr std::int64_t kPartRows = 64;  // … of at least so many rows, and kThreadRows for each thread
constexpr std::int64_t kThreadRows = 4;
constexpr std::int64_t kLineBytes = 128;  // that neighbouring threads read together

// Numbers a thread reads at once, where they lie well. Double is what lies between two kernels, and parity.
template <class In>
constexpr int kPack = std::is_same_v<In, double> ? 1 : 16 / static_cast<int>(sizeof(In));

// One launch: x [outer, rows, packs] of packs of numbers -> y [outer, parts, packs] / divisor, a part being
// the sum of some of the rows. The threads of a block are [slots, down, across]: an item, which is some packs
// of one part of one outer index, has a slot; its rows are shared out among `down` threads.
struct Sums {
  std::int64_t outer, rows, packs;
  std::int64_t parts = 1;
  std::int64_t items_across = 1;
  int across = 1, down = 1, slots = 1;
  double divisor = 1;
};

template <class In>
__device__ double sum_of_four(In a, In b, In c, In d) {
  if constexpr (std::is_same_v<In, bfloat16>)
    return static_cast<double>((widened(a) + widened(b)) + (widened(c) + widened(d)));
  else
    return (static_cast<double>(a) + static_cast<double>(b)) +
           (static_cast<double>(c) + static_cast<double>(d));
}

// sums[n] += Σ x[row, n] over every `step`-th row of [row, end); rows lie `stride` numbers apart.
template <int N, class In>
__device__ void add_rows(const In* x, std::int64_t row, std::int64_t end, std::int64_t step,
                         std::int64_t stride, double (&sums)[N]) {
  for (; row + 3 * step < end; row += 4 * step) {
    Pack<In, N> four[4];
    for (int k = 0; k < 4; ++k) four[k] = load_pack<N>(x + (row + k * step) * stride);
    for (int n = 0; n < N; ++n)
      sums[n] += sum_of_four(four[0].values[n], four[1].values[n], four[2].values[n], four[3].values[n]);
  }
  for (; row < end; row += step) {
    const auto one = load_pack<N>(x + row * stride);
    for (int n = 0; n < N; ++n) sums[n] += static_cast<double>(widened(one.values[n]));
  }
}

// The numbers of a pack are columns, or, with kAlong, more rows of the only column there is.
template <class In, class Out, int N, bool kAlong>
__global__ void __launch_bounds__(kThreads) sum_rows(Sums s, const In* __restrict__ x, Out* __restrict__ y) {
  __shared__ double shared[N * kThreads];
  const int thread = static_cast<int>(threadIdx.x);
  const int first_row = thread / s.across % s.down;
  const std::int64_t item = std::int64_t{blockIdx.x} * s.slots + thread / (s.across * s.down);
  const std::int64_t pack = item % s.items_across * s.across + thread % s.across;
  const std::int64_t part = item / s.items_across % s.parts;
  const std::int64_t o = item / s.items_across / s.parts;
  const bool mine = o < s.outer && pack < s.packs;
  double sums[N] = {};
  if (mine)
    add_rows(x + (o * s.rows * s.packs + pack) * N, s.rows * part / s.parts + first_row,
             s.rows * (part + 1) / s.parts, s.down, s.packs * N, sums);
  for (int n = 0; n < N; ++n) shared[n * kThreads + thread] = sums[n];
  for (int half = s.down / 2; half > 0; half /= 2) {
    __syncthreads();
    if (first_row >= half) continue;
    for (int n = 0; n < N; ++n)
      shared[n * kThreads + thread] += shared[n * kThreads + thread + half * s.across];
  }
  if (!mine || first_row != 0) return;
  for (int n = 0; n < N; ++n) sums[n] = shared[n * kThreads + thread];
  if constexpr (kAlong) {
    for (int n = 1; n < N; ++n) sums[0] += sums[n];
    y[o * s.parts + part] = static_cast<Out>(sums[0] / s.divisor);
  } else {
    Out* const to = y + ((o * s.parts + part) * s.packs + pack) * N;
    for (int n = 0; n < N; ++n) to[n] = static_cast<Out>(sums[n] / s.divisor);
  }
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The power of two that is at least n, but `most` at most, which is one.
int power_of_two(std::int64_t n, std::int64_t most) {
  return static_cast<int>(n >= most ? most
                                    : std::int64_t{1} << std::bit_width(static_cast<std::uint64_t>(n - 1)));
}

// What a launch for `group` in packs of `n` numbers of `size` bytes looks like. Its cuts depend on the sizes
// alone, so the bits of the sums do, too.
Sums plan(const ReduceGroup& group, int n, bool along, std::int64_t size) {
  Sums s;
  s.outer = group.outer;
  s.rows = group.rows;
  s.packs = group.inner;
  (along ? s.rows : s.packs) /= n;
  s.across = power_of_two(s.packs, std::max<std::int64_t>(kLineBytes / (n * size), 1));
  s.items_across = ceil_div(s.packs, s.across);
  const std::int64_t most_down = kThreads / s.across;
  const std::int64_t most_parts = s.rows / std::max(kPartRows, most_down * kThreadRows);
  s.parts = std::max<std::int64_t>(std::min(kBlocks / (s.outer * s.items_across), most_parts), 1);
  s.down = power_of_two(ceil_div(s.rows, s.parts), most_down);
  s.slots = kThreads / (s.across * s.down);
  return s;
}

template <class In, class Out, int N, bool kAlong>
void launch_sums(const char* op, const Sums& s, const In* x, Out* y) {
  const std::int64_t blocks = ceil_div(s.outer * s.parts * s.items_across, s.slots);
  launch(op, sum_rows<In, Out, N, kAlong>,
         {.grid = dim3(static_cast<unsigned>(blocks)), .block = dim3(kThreads)}, s, x, y);
}

// y [outer, inner] = Σ over the rows of x / divisor: the sums of parts first, where there are several, which
// a second launch adds up.
template <int N, bool kAlong, class In, class Out>
void sum_in_packs(const char* op, const ReduceGroup& group, double divisor, const In* x, Out* y,
                  Device device) {
  Sums s = plan(group, N, kAlong, sizeof(In));
  if (s.parts == 1) {
    s.divisor = divisor;
    launch_sums<In, Out, N, kAlong>(op, s, x, y);
    return;
  }
  const ReduceGroup rest{group.outer, s.parts, group.inner};
  Tensor partial = Tensor::empty({rest.outer, rest.rows, rest.inner}, {DType::float64, device});
  launch_sums<In, double, N, kAlong>(op, s, x, partial.data<double>());
  Sums last = plan(rest, 1, false, sizeof(double));
  last.parts = 1;
  last.divisor = divisor;
  last.down = power_of_two(rest.rows, kThreads / last.across);
  last.slots = kThreads / (last.across * last.down);
  launch_sums<double, Out, 1, false>(op, last, partial.data<double>(), y);
}

template <class In, class Out>
void sum_group(const char* op, const ReduceGroup& group, double divisor, const In* x, Out* y, Device device) {
  constexpr int kMost = kPack<In>;
  const bool on_lines = kMost > 1 && reinterpret_cast<std::uintptr_t>(x) % 16 == 0;
  if (on_lines && group.inner % kMost == 0)
    sum_in_packs<kMost, false>(op, group, divisor, x, y, device);
  else if (on_lines && group.inner == 1 && group.rows % kMost == 0)
    sum_in_packs<kMost, kMost != 1>(op, group, divisor, x, y, device);
  else
    sum_in_packs<1, false>(op, group, divisor, x, y, device);
}

template <class T>
Tensor reduce(const char* op, const Tensor& x, const Reduction& reduction) {
  Tensor y = Tensor::empty(reduction.out, x.options());
  if (x.numel() == 0) {
    y.fill(0);
    return y;
  }
  if (reduction.groups.empty()) {
    y.copy_from(x.reshape(reduction.out));
    return y;
  }
  Tensor sums;  // [outer, inner] of the groups before
  const auto add_up = [&](const ReduceGroup& group, const auto* from) {
    if (&group == &reduction.groups.back()) {
      sum_group(op, group, reduction.divisor, from, y.data<T>(), x.device());
      return;
    }
    Tensor next = Tensor::empty({group.outer, group.inner}, {DType::float64, x.device()});
    sum_group(op, group, 1, from, next.data<double>(), x.device());
    sums = next;
  };
  for (const ReduceGroup& group : reduction.groups) {
    if (sums.defined())
      add_up(group, std::as_const(sums).data<double>());
    else
      add_up(group, x.data<T>());
  }
  return y;
}

Tensor reduce(const char* op, const Tensor& x, const Reduction& reduction) {
  return dispatch_float(x.dtype(), op, [&]<class T>() { return reduce<T>(op, x, reduction); });
}

}  // namespace

Tensor sum(const Tensor& x, const std::vector<int>& dims, bool keep_dims) {
  return reduce("sum", x, plan_sum(x, dims, keep_dims));
}

Tensor sum_backward(const Tensor& grad_y, const Shape& x_shape, const std::vector<int>& dims) {
  return expand(with_reduced_dims("sum", grad_y, x_shape, dims), x_shape);
}

Tensor mean(const Tensor& x, const std::vector<int>& dims, bool keep_dims) {
  return reduce("mean", x, plan_mean(x, dims, keep_dims));
}

Tensor mean_backward(const Tensor& grad_y, const Shape& x_shape, const std::vector<int>& dims) {
  const Tensor kept = with_reduced_dims("mean", grad_y, x_shape, dims);
  return expand(scale(kept, mean_factor(kept.numel(), x_shape)), x_shape);
}

Tensor sum_to(const Tensor& x, const Shape& shape) { return reduce("sum_to", x, plan_sum_to(x, shape)); }

Tensor column_sums(const char* op, const Tensor& x, std::int64_t columns) {
  check(x.defined(), "{}: x is undefined", op);
  Tensor y = Tensor::empty({columns}, {parameter_dtype(x.dtype()), x.device()});
  if (x.numel() == 0) {
    y.fill(0);
    return y;
  }
  dispatch_activation(x.dtype(), op, [&]<class T>() {
    sum_group(op, {1, x.numel() / columns, columns}, 1, x.data<T>(), y.data<Compute<T>>(), x.device());
  });
  return y;
}

}  // namespace dcl::tensor::cuda
