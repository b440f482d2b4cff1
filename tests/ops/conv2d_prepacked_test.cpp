// The packed convolution with its epilogue against conv2d's plain path, a sum and a ReLU, on every
// instruction set that this processor has.
#include "tensor/ops/conv2d_prepacked.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/conv2d_path.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

namespace cpu = tensor::cpu;
using tensor::Conv2dParams;
using tensor::DType;
using tensor::PackedConv2d;

struct Row {
  const char* name;
  Shape x;       // [N,H,W,I]
  Shape weight;  // [O,kH,kW,I/groups]
  Conv2dParams params;
};

// ResNet's kinds of convolution at sizes that cross the edges of tiles, strips, panels and blocks.
const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {"1x1", {2, 5, 7, 33}, {40, 1, 1, 33}, {}},
      {"1x1, one pixel", {1, 1, 1, 64}, {96, 1, 1, 64}, {}},
      {"1x1, few rows, many columns", {1, 7, 7, 130}, {515, 1, 1, 130}, {}},
      {"1x1, many rows", {1, 40, 40, 64}, {64, 1, 1, 64}, {}},
      {"1x1, sums in blocks", {1, 7, 7, 700}, {70, 1, 1, 700}, {}},
      {"1x1, stride 2", {2, 13, 14, 48}, {70, 1, 1, 48}, {.stride = 2}},
      {"3x3", {1, 40, 38, 20}, {33, 3, 3, 20}, {.padding = 1}},
      {"3x3, tiles", {1, 30, 29, 64}, {96, 3, 3, 64}, {.padding = 1}},
      {"3x3, tiles, more channels than tiles", {1, 14, 14, 64}, {80, 3, 3, 64}, {.padding = 1}},
      {"3x3, tiles of several pictures", {3, 13, 18, 32}, {48, 3, 3, 32}, {.padding = 1}},
      {"3x3, too few tiles", {1, 7, 7, 128}, {128, 3, 3, 128}, {.padding = 1}},
      {"3x3, one pixel", {2, 1, 1, 100}, {64, 3, 3, 100}, {.padding = 1}},
      {"3x3, border left out", {3, 4, 5, 97}, {100, 3, 3, 97}, {.padding = 1}},
      {"3x3, stride 2", {2, 15, 17, 48}, {65, 3, 3, 48}, {.stride = 2, .padding = 1}},
      {"3x3, stride 2, border left out", {2, 5, 4, 96}, {99, 3, 3, 96}, {.stride = 2, .padding = 1}},
      {"3x3, stride 2, pixels that read nothing", {2, 3, 2, 96}, {40, 3, 3, 96}, {.stride = 2, .padding = 4}},
      {"7x7, stride 2", {2, 40, 37, 3}, {64, 7, 7, 3}, {.stride = 2, .padding = 3}},
      {"7x7, stride 2, one pixel", {1, 1, 1, 3}, {64, 7, 7, 3}, {.stride = 2, .padding = 3}},
      {"3x3, two groups", {1, 12, 9, 64}, {66, 3, 3, 32}, {.padding = 1, .groups = 2}},
      {"3x3, depthwise", {1, 6, 5, 12}, {12, 3, 3, 1}, {.padding = 1, .groups = 12}},
      {"3x3, dilation 2", {1, 17, 12, 40}, {35, 3, 3, 40}, {.padding = 2, .dilation = 2}},
      {"no pictures", {0, 8, 8, 64}, {64, 3, 3, 64}, {.padding = 1}},
  };
  return all;
}

struct Inputs {
  Tensor x, weight, bias, residual;
  explicit Inputs(const Row& row, DType type = DType::float64)
      : x(random_tensor(row.x, 1).to(type)),
        weight(random_tensor(row.weight, 2).to(type)),
        bias(random_tensor({row.weight[0]}, 3).to(type)),
        residual(random_tensor(tensor::conv2d_sizes(row.x, row.weight, row.params).out_shape(), 4, {-9, 9})
                     .to(type)) {}
};

Tensor expected(const Row& row, const Inputs& in, const PackedConv2d::End& end, bool bias) {
  const bool before = cpu::fast_paths();
  cpu::set_fast_paths(false);
  Tensor y = cpu::conv2d(in.x, in.weight, bias ? in.bias : Tensor(), row.params);
  cpu::set_fast_paths(before);
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    double& value = y.data<double>()[i];
    if (end.residual.defined()) value += end.residual.data<double>()[i];
    if (end.relu) value = std::max(value, 0.0);
  }
  return y;
}

TEST(Conv2dPrepacked, IsTheConvolutionAndItsEndOnEveryInstructionSet) {
  const auto chosen = [] { return std::string(cpu::microkernel<double>().target); };
  test::on_every_vector_target(chosen, [](const std::string& target) {
    for (const Row& row : rows()) {
      const Inputs in(row);
      for (const bool bias : {false, true}) {
        const PackedConv2d conv(in.weight, bias ? in.bias : Tensor(), row.params);
        for (const Tensor& residual : {Tensor(), in.residual})
          for (const bool relu : {false, true})
            expect_close(conv.run(in.x, {residual, relu}), expected(row, in, {residual, relu}, bias),
                         {1e-11, 1e-11},
                         fmt::format("{}, {}, bias {}, relu {}", target, row.name, bias, relu));
      }
    }
  });
}

TEST(Conv2dPrepacked, PlainPathIsTheFormulaToo) {
  const bool before = cpu::fast_paths();
  cpu::set_fast_paths(false);
  for (const Row& row : rows()) {
    const Inputs in(row);
    const PackedConv2d::End end{in.residual, true};
    expect_close(PackedConv2d(in.weight, in.bias, row.params).run(in.x, end), expected(row, in, end, true),
                 {}, row.name);
  }
  cpu::set_fast_paths(before);
}

TEST(Conv2dPrepacked, FloatIsNearDouble) {
  for (const Row& row : rows()) {
    const Inputs in(row);
    const PackedConv2d::End end{in.residual, true};
    const Inputs floats(row, DType::float32);
    const Tensor y =
        PackedConv2d(floats.weight, floats.bias, row.params).run(floats.x, {floats.residual, true});
    expect_close(y, expected(row, in, end, true), {1e-5, 2e-4}, row.name);
  }
}

TEST(Conv2dPrepacked, BitsDoNotDependOnThreads) {
  const int before = cpu::num_threads();
  for (const Row& row : rows()) {
    const Inputs in(row, DType::float32);
    const PackedConv2d conv(in.weight, in.bias, row.params);
    const PackedConv2d::End end{in.residual, true};
    cpu::set_num_threads(1);
    const Tensor one = conv.run(in.x, end);
    for (const int threads : {2, 5}) {
      cpu::set_num_threads(threads);
      expect_same_bits(conv.run(in.x, end), one, row.name);
    }
  }
  cpu::set_num_threads(before);
}

// A number that is none must not turn into a feature.
TEST(Conv2dPrepacked, NanStays) {
  for (const std::int64_t side : {3, 16}) {
    const Row row{"", {1, side, side, 32}, {32, 3, 3, 32}, {.padding = 1}};
    Inputs in(row, DType::float32);
    in.x.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    const Tensor y = PackedConv2d(in.weight, in.bias, row.params).run(in.x, {.relu = true});
    EXPECT_TRUE(std::isnan(y.data<float>()[0])) << side;
  }
}

TEST(Conv2dPrepacked, WinogradIsLeftWhereItsKernelsOutweighTheTiles) {
  const auto path = [](std::int64_t batch, std::int64_t side) {
    return cpu::prepacked_conv2d_path(
        tensor::conv2d_sizes({batch, side, side, 256}, {256, 3, 3, 256}, {.padding = 1}));
  };
  EXPECT_EQ(path(1, 7), cpu::Conv2dPath::packed);
  EXPECT_EQ(path(2, 7), cpu::Conv2dPath::winograd);
  EXPECT_EQ(path(1, 14), cpu::Conv2dPath::winograd);
}

TEST(Conv2dPrepacked, Errors) {
  const Tensor x = Tensor::zeros({1, 4, 4, 2});
  const Tensor weight = Tensor::zeros({3, 1, 1, 2});
  const auto make = [](const Tensor& w, const Tensor& b, const Conv2dParams& params) {
    return [=] { const PackedConv2d conv(w, b, params); };
  };
  expect_error(make({}, {}, {}), {"conv2d_prepacked", "weight"});
  expect_error(make(x.reshape({8, 4}), {}, {}), {"conv2d_prepacked", "weight", "[8,4]"});
  expect_error(make(weight, {}, {.stride = 0}), {"stride 0"});
  expect_error(make(weight, {}, {.padding = -1}), {"padding -1"});
  expect_error(make(weight, {}, {.groups = 2}), {"2 groups do not divide"});
  expect_error(make(weight, Tensor::zeros({4}), {}), {"conv2d_prepacked", "bias", "[4]", "[3]"});
  expect_error(make(weight, Tensor::zeros({3}).to(DType::float64), {}), {"bias", "float64"});
  expect_error(make(weight.to(DType::int64), {}, {}), {"conv2d_prepacked", "int64"});

  const PackedConv2d conv(weight, {}, {});
  expect_error([&] { conv.run({}, {}); }, {"conv2d_prepacked", "x"});
  expect_error([&] { conv.run(x.to(DType::float64), {}); }, {"conv2d_prepacked", "x", "float64"});
  expect_error([&] { conv.run(Tensor::zeros({1, 4, 4, 3}), {}); },
               {"weight has 2 input channels", "x has 3"});
  expect_error([&] { conv.run(x, {.residual = x}); }, {"residual", "[1,4,4,2]", "[1,4,4,3]"});
  Tensor y = Tensor::zeros({1, 4, 4, 2});
  expect_error([&] { conv.run(x, {}, y); }, {"y", "[1,4,4,2]", "[1,4,4,3]"});
  Tensor same = Tensor::zeros({1, 4, 4, 3});
  expect_error([&] { conv.run(x, {.residual = same}, same); }, {"conv2d_prepacked", "residual", "y"});
}

}  // namespace
}  // namespace dcl::test
