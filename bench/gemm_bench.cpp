// Matrix products of the sizes that a DenseCL step has, in GFLOP/s: c [m,n] = a [m,k] · b, b stored [n,k]
// ("nt") or [k,n] ("nn"), and aᵀ · b ("tn"), on one thread and on all.
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "tensor/cpu/features.h"
#include "tensor/cpu/gemm.h"

namespace {

using namespace dcl::tensor::cpu;

enum class Layout { nn, nt, tn };

void run(benchmark::State& state, Layout layout, bool parallel) {
  const std::int64_t m = state.range(0);
  const std::int64_t n = state.range(1);
  const std::int64_t k = state.range(2);
  const std::vector<float> a(static_cast<std::size_t>(m * k), 0.5F);
  const std::vector<float> b(static_cast<std::size_t>(n * k), 0.25F);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  const bool transpose_a = layout == Layout::tn;
  const bool transpose_b = layout == Layout::nt;
  const auto product = parallel ? &parallel_gemm<float> : &gemm<float>;
  for (auto _ : state) {
    product(transpose_a, transpose_b, m, n, k, 1, a.data(), transpose_a ? m : k, b.data(),
            transpose_b ? k : n, 0, c.data(), n);
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * static_cast<double>(m * n * k),
                                                 benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(gemm_library());
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k"})->UseRealTime()->Unit(benchmark::kMillisecond);
  b->Args({2048, 2048, 2048});
  b->Args({784, 2048, 2048});  // dense projections, ResNet-50, batch 16
  b->Args({16, 2048, 2048});   // global projections
  b->Args({784, 128, 2048});   // their second layer
  b->Args({784, 8192, 128});   // dense queries against a block of the queue
  b->Args({784, 128, 8192});   // their gradient
}

BENCHMARK_CAPTURE(run, nn_one_thread, Layout::nn, false)->Apply(sizes);
BENCHMARK_CAPTURE(run, nn, Layout::nn, true)->Apply(sizes);
BENCHMARK_CAPTURE(run, nt, Layout::nt, true)->Apply(sizes);
BENCHMARK_CAPTURE(run, tn, Layout::tn, true)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
