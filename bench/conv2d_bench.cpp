// Every distinct convolution of ResNet-50 at 224 px, batch 16, and of ResNet-18 at 64 px, batch 64: forward,
// input gradient and weight gradient, in GFLOP/s of the direct formula. The label names the code path.
//
//   conv2d_bench --benchmark_filter=resnet50/forward
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "tensor/cpu/features.h"
#include "tensor/ops/conv2d.h"
#include "tensor/random.h"

namespace {

using namespace dcl::tensor;

struct Layer {
  std::int64_t side, in, out, kernel, stride;
};

struct Network {
  const char* name;
  std::int64_t batch;
  std::vector<Layer> layers;
};

const std::vector<Network> networks{
    {"resnet50",
     16,
     {{224, 3, 64, 7, 2},     {56, 64, 64, 1, 1},    {56, 64, 64, 3, 1},    {56, 64, 256, 1, 1},
      {56, 256, 64, 1, 1},    {56, 256, 128, 1, 1},  {56, 128, 128, 3, 2},  {28, 128, 512, 1, 1},
      {56, 256, 512, 1, 2},   {28, 512, 128, 1, 1},  {28, 128, 128, 3, 1},  {28, 512, 256, 1, 1},
      {28, 256, 256, 3, 2},   {14, 256, 1024, 1, 1}, {28, 512, 1024, 1, 2}, {14, 1024, 256, 1, 1},
      {14, 256, 256, 3, 1},   {14, 1024, 512, 1, 1}, {14, 512, 512, 3, 2},  {7, 512, 2048, 1, 1},
      {14, 1024, 2048, 1, 2}, {7, 2048, 512, 1, 1},  {7, 512, 512, 3, 1}}},
    {"resnet18",
     64,
     {{64, 3, 64, 7, 2},
      {16, 64, 64, 3, 1},
      {16, 64, 128, 3, 2},
      {16, 64, 128, 1, 2},
      {8, 128, 128, 3, 1},
      {8, 128, 256, 3, 2},
      {8, 128, 256, 1, 2},
      {4, 256, 256, 3, 1},
      {4, 256, 512, 3, 2},
      {4, 256, 512, 1, 2},
      {2, 512, 512, 3, 1}}}};

Tensor random_tensor(Shape shape) {
  Tensor x = Tensor::empty(std::move(shape));
  RandomStream random({.seed = 1, .purpose = Purpose::test});
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = static_cast<float>(random.uniform(-1, 1));
  return x;
}

enum class Pass { forward, input_gradient, weight_gradient };

void run(benchmark::State& state, std::int64_t batch, const Layer& layer, Pass pass) {
  const Conv2dParams params{.stride = layer.stride, .padding = layer.kernel / 2};
  const Tensor x = random_tensor({batch, layer.side, layer.side, layer.in});
  const Tensor weight = random_tensor({layer.out, layer.kernel, layer.kernel, layer.in});
  const Conv2dSizes sizes = conv2d_sizes(x.shape(), weight.shape(), params);
  const Tensor dy = random_tensor(sizes.out_shape());
  for (auto _ : state) {
    switch (pass) {
      case Pass::forward:
        benchmark::DoNotOptimize(cpu::conv2d(x, weight, {}, params));
        break;
      case Pass::input_gradient:
        benchmark::DoNotOptimize(cpu::conv2d_backward_input(dy, weight, x.shape(), params));
        break;
      case Pass::weight_gradient:
        benchmark::DoNotOptimize(cpu::conv2d_backward_weight(dy, x, weight.shape(), params));
        break;
    }
  }
  const double flop = 2.0 * static_cast<double>(sizes.out_rows() * weight.numel());
  state.counters["GFLOP/s"] = benchmark::Counter(flop * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(cpu::chosen_paths());
}

}  // namespace

int main(int argc, char** argv) {
  const std::pair<const char*, Pass> passes[]{{"forward", Pass::forward},
                                              {"input_gradient", Pass::input_gradient},
                                              {"weight_gradient", Pass::weight_gradient}};
  for (const auto& network : networks)
    for (const auto& [pass_name, pass] : passes)
      for (const auto& layer : network.layers) {
        const std::string name =
            fmt::format("{}/{}/{}x{}x{}->{}/kernel:{}/stride:{}", network.name, pass_name, layer.side,
                        layer.side, layer.in, layer.out, layer.kernel, layer.stride);
        benchmark::RegisterBenchmark(
            name.c_str(),
            [&network, &layer, p = pass](benchmark::State& state) { run(state, network.batch, layer, p); })
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
