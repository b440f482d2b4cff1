// InfoNCE against the queue, in GFLOP/s of its products (4·M·K·C with the gradient, 2·M·K·C without): rows of
// the global (16) and of the dense loss (784) at batch 16.
#include <cstdint>

#include <benchmark/benchmark.h>

#include "tensor/cpu/gemm.h"
#include "tensor/ops/info_nce.h"
#include "tensor/ops/normalize.h"

namespace {

using namespace dcl::tensor;

Tensor unit_rows(const Shape& shape, std::int64_t seed) {
  Tensor x = Tensor::empty(shape);
  for (std::int64_t i = 0; i < x.numel(); ++i)
    x.data<float>()[i] = static_cast<float>((i * 2654435761 + seed) % 1021) / 510.0F - 1;
  return cpu::normalize(x);
}

void info_nce(benchmark::State& state) {
  const std::int64_t rows = state.range(0);
  const std::int64_t keys = state.range(1);
  const std::int64_t channels = state.range(2);
  const bool want_grad = state.range(3) != 0;
  const Tensor query = unit_rows({rows, channels}, 1);
  const Tensor positive = unit_rows({rows, channels}, 2);
  const Tensor queue = unit_rows({keys, channels}, 3);
  for (auto _ : state) benchmark::DoNotOptimize(cpu::info_nce(query, positive, queue, {}, want_grad));
  const double products = static_cast<double>(rows * keys * channels) * (want_grad ? 4 : 2);
  state.counters["GFLOP/s"] =
      benchmark::Counter(1e-9 * products, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(cpu::gemm_library());
}

BENCHMARK(info_nce)
    ->ArgNames({"rows", "keys", "channels", "grad"})
    ->Args({16, 65536, 128, 1})
    ->Args({784, 65536, 128, 1})
    ->Args({784, 65536, 128, 0})
    ->Args({64, 4096, 128, 1})
    ->Args({256, 4096, 128, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
