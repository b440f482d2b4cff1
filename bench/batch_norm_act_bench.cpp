// Batch normalisation with ReLU in training, ResNet-50's sizes at batch 16, in GB/s of the bytes that have to
// pass through memory (forward: x read twice, y written, the residual read; backward: x and dy read twice, dx
// written, and with a residual y read and dy's masked copy written and read instead of dy). `copy` is memcpy
// on all threads, the mark to measure them against.
#include <cstdint>
#include <cstring>

#include <benchmark/benchmark.h>

#include "tensor/cpu/threads.h"
#include "tensor/ops/batch_norm_act.h"

namespace {

using namespace dcl::tensor;

Shape shape_of(const benchmark::State& state) { return {16, state.range(0), state.range(0), state.range(1)}; }

void count_bytes(benchmark::State& state, std::int64_t passes) {
  const std::int64_t bytes = shape_of(state).numel() * 4 * passes;
  state.SetBytesProcessed(state.iterations() * bytes);
}

// Values of both signs, so that half of the ReLUs are open.
Tensor some(const Shape& shape, std::int64_t seed) {
  Tensor x = Tensor::empty(shape);
  for (std::int64_t i = 0; i < x.numel(); ++i)
    x.data<float>()[i] = static_cast<float>((i * 2654435761 + seed) % 1021) / 510.0F - 1;
  return x;
}

struct Setup {
  Tensor x;
  Tensor weight;
  Tensor bias;
  Tensor residual;
  RunningStats stats;
  BatchNormParams params = {.relu = true};

  Setup(const Shape& shape, bool with_residual)
      : x(some(shape, 1)),
        weight(Tensor::full({shape[-1]}, 1)),
        bias(Tensor::zeros({shape[-1]})),
        residual(with_residual ? some(shape, 2) : Tensor()),
        stats{bias.clone(), weight.clone()} {}
};

void forward(benchmark::State& state, bool with_residual) {
  Setup s(shape_of(state), with_residual);
  cpu::batch_norm_act(s.x, s.weight, s.bias, s.stats, s.params,
                      s.residual);  // the allocator keeps the memory
  for (auto _ : state)
    benchmark::DoNotOptimize(cpu::batch_norm_act(s.x, s.weight, s.bias, s.stats, s.params, s.residual));
  count_bytes(state, with_residual ? 4 : 3);
}

void backward(benchmark::State& state, bool with_residual) {
  Setup s(shape_of(state), with_residual);
  const auto out = cpu::batch_norm_act(s.x, s.weight, s.bias, s.stats, s.params, s.residual);
  const BatchNormSaved saved{s.x, s.weight, s.bias, out.mean, out.invstd, with_residual ? out.y : Tensor()};
  const Tensor grad_y = some(s.x.shape(), 3);
  cpu::batch_norm_act_backward(grad_y, saved, s.params, {true, true, true, with_residual});
  for (auto _ : state)
    benchmark::DoNotOptimize(
        cpu::batch_norm_act_backward(grad_y, saved, s.params, {true, true, true, with_residual}));
  count_bytes(state, with_residual ? 7 : 5);
}

void copy(benchmark::State& state) {
  const Tensor x = some(shape_of(state), 1);
  Tensor y = empty_like(x);
  for (auto _ : state) {
    cpu::parallel_for(x.nbytes(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(static_cast<char*>(y.raw()) + begin, static_cast<const char*>(x.raw()) + begin,
                  static_cast<std::size_t>(end - begin));
    });
    benchmark::ClobberMemory();
  }
  count_bytes(state, 2);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"side", "channels"})->UseRealTime()->Unit(benchmark::kMillisecond);
  b->Args({112, 64})->Args({56, 64})->Args({56, 256})->Args({28, 512})->Args({14, 1024})->Args({7, 2048});
}

BENCHMARK(copy)->Apply(sizes);
BENCHMARK_CAPTURE(forward, relu, false)->Apply(sizes);
BENCHMARK_CAPTURE(forward, add_relu, true)->Apply(sizes);
BENCHMARK_CAPTURE(backward, relu, false)->Apply(sizes);
BENCHMARK_CAPTURE(backward, add_relu, true)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
