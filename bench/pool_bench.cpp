// Pooling at ResNet-50's sizes, batch 16, in GB/s of the tensors read and written.
#include <cstdint>

#include <benchmark/benchmark.h>

#include "tensor/ops/adaptive_avg_pool2d.h"
#include "tensor/ops/max_pool2d.h"

namespace {

using namespace dcl::tensor;

constexpr MaxPool2dParams kStem{.kernel = 3, .stride = 2, .padding = 1};

Tensor some(const Shape& shape) {
  Tensor x = Tensor::empty(shape);
  for (std::int64_t i = 0; i < x.numel(); ++i)
    x.data<float>()[i] = static_cast<float>(i * 2654435761 % 1021) / 510.0F - 1;
  return x;
}

void max_forward(benchmark::State& state) {
  const Tensor x = some({16, 112, 112, 64});
  MaxPool2dResult out;
  for (auto _ : state) benchmark::DoNotOptimize(out = cpu::max_pool2d(x, kStem));
  state.SetBytesProcessed(state.iterations() * (x.nbytes() + out.y.nbytes() + out.tap.nbytes()));
}

void max_backward(benchmark::State& state) {
  const Tensor x = some({16, 112, 112, 64});
  const auto out = cpu::max_pool2d(x, kStem);
  cpu::max_pool2d_backward(out.y, out.tap, x.shape(), kStem);  // the allocator keeps the memory
  for (auto _ : state) benchmark::DoNotOptimize(cpu::max_pool2d_backward(out.y, out.tap, x.shape(), kStem));
  state.SetBytesProcessed(state.iterations() * (x.nbytes() + out.y.nbytes() + out.tap.nbytes()));
}

void global_mean(benchmark::State& state) {
  const Tensor x = some({16, 7, 7, 2048});
  for (auto _ : state) benchmark::DoNotOptimize(cpu::adaptive_avg_pool2d(x, 1, 1));
  state.SetBytesProcessed(state.iterations() * x.nbytes());
}

void global_mean_backward(benchmark::State& state) {
  const Shape shape{16, 7, 7, 2048};
  const Tensor grad_y = some({16, 1, 1, 2048});
  for (auto _ : state) benchmark::DoNotOptimize(cpu::adaptive_avg_pool2d_backward(grad_y, shape));
  state.SetBytesProcessed(state.iterations() * shape.numel() * 4);
}

BENCHMARK(max_forward)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(max_backward)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(global_mean)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(global_mean_backward)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
