// The packed convolution with its epilogue against conv2d's plain path, a sum and a ReLU, on every
// instruction set and every path of tile products that this processor has.
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
#include "tests/support/tile_paths.h"
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

// Pictures and residual in bfloat16, weight and bias in float32; and in double what of them is multiplied.
struct Bfloat16Inputs {
  Inputs exact;
  Tensor x, weight, bias, residual;
  explicit Bfloat16Inputs(const Row& row)
      : exact(row),
        x(exact.x.to(DType::bfloat16)),
        weight(exact.weight.to(DType::float32)),
        bias(exact.bias.to(DType::float32)),
        residual(exact.residual.to(DType::bfloat16)) {
    exact.x = x.to(DType::float64);
    exact.weight = weight.to(DType::bfloat16).to(DType::float64);
    exact.bias = bias.to(DType::float64);
    exact.residual = residual.to(DType::float64);
  }
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

// Six tile products, where the processor has tiles.
TEST(Conv2dPrepacked, FloatByTilesIsNearDouble) {
  const OnFloatTiles tiles;
  for (const Row& row : rows()) {
    const Inputs in(row);
    const Inputs floats(row, DType::float32);
    const PackedConv2d conv(floats.weight, floats.bias, row.params);
    expect_close(conv.run(floats.x, {floats.residual, true}), expected(row, in, {in.residual, true}, true),
                 {1e-5, 2e-4}, row.name);
  }
}

// The sums of bfloat16 operands are float32's; y is rounded to 8 bits once.
TEST(Conv2dPrepacked, Bfloat16IsTheRoundedOperandsConvolution) {
  constexpr Tolerance kRounded{4e-3, 2e-4};
  on_every_tile_path([&](const std::string& path) {
    for (const Row& row : rows()) {
      const Bfloat16Inputs in(row);
      for (const bool bias : {false, true}) {
        const PackedConv2d conv(in.weight, bias ? in.bias : Tensor(), row.params, DType::bfloat16);
        for (const bool residual : {false, true})
          for (const bool relu : {false, true}) {
            const Tensor y = conv.run(in.x, {residual ? in.residual : Tensor(), relu});
            EXPECT_EQ(y.dtype(), DType::bfloat16);
            const PackedConv2d::End end{residual ? in.exact.residual : Tensor(), relu};
            expect_close(
                y, expected(row, in.exact, end, bias), kRounded,
                fmt::format("{}, {}, bias {}, residual {}, relu {}", path, row.name, bias, residual, relu));
          }
      }
    }
  });
}

TEST(Conv2dPrepacked, Bfloat16WithoutFastPathsToo) {
  const bool before = cpu::fast_paths();
  cpu::set_fast_paths(false);
  for (const Row& row : rows()) {
    const Bfloat16Inputs in(row);
    expect_close(PackedConv2d(in.weight, in.bias, row.params, DType::bfloat16).run(in.x, {in.residual, true}),
                 expected(row, in.exact, {in.exact.residual, true}, true), {4e-3, 2e-4}, row.name);
  }
  cpu::set_fast_paths(before);
}

// One object sees pictures that are copied, each tap's channels filled up to 64, and one so narrow that its
// windows are gathered without gaps.
TEST(Conv2dPrepacked, TilesHaveTheFormThatEachPictureWants) {
  const Row large{"large", {1, 9, 8, 48}, {33, 3, 3, 48}, {.padding = 1}};
  const Row narrow{"narrow", {1, 3, 1, 48}, {33, 3, 3, 48}, {.padding = 1}};
  const Bfloat16Inputs weights(large);
  const PackedConv2d conv(weights.weight, {}, large.params, DType::bfloat16);
  for (const Row& row : {large, narrow, large}) {
    Bfloat16Inputs in(row);
    in.exact.weight = weights.exact.weight;
    expect_close(conv.run(in.x, {}), expected(row, in.exact, {}, false), {4e-3, 2e-4}, row.name);
  }
}

void expect_same_bits_on_any_threads(const PackedConv2d& conv, const Tensor& x, const Tensor& residual,
                                     std::string_view what) {
  const int before = cpu::num_threads();
  cpu::set_num_threads(1);
  const Tensor one = conv.run(x, {residual, true});
  for (const int threads : {2, 5}) {
    cpu::set_num_threads(threads);
    expect_same_bits(conv.run(x, {residual, true}), one, what);
  }
  cpu::set_num_threads(before);
}

TEST(Conv2dPrepacked, BitsDoNotDependOnThreads) {
  for (const Row& row : rows()) {
    const Inputs in(row, DType::float32);
    expect_same_bits_on_any_threads({in.weight, in.bias, row.params}, in.x, in.residual, row.name);
    const Bfloat16Inputs rounded(row);
    expect_same_bits_on_any_threads({in.weight, in.bias, row.params, DType::bfloat16}, rounded.x,
                                    rounded.residual, row.name);
  }
}

// A number that is none must not turn into a feature.
TEST(Conv2dPrepacked, NanStays) {
  for (const std::int64_t side : {3, 16}) {
    const Row row{"", {1, side, side, 32}, {32, 3, 3, 32}, {.padding = 1}};
    Inputs in(row, DType::float32);
    in.x.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    const Tensor y = PackedConv2d(in.weight, in.bias, row.params).run(in.x, {.relu = true});
    EXPECT_TRUE(std::isnan(y.data<float>()[0])) << side;
    on_every_tile_path([&](const std::string& path) {
      const PackedConv2d rounded(in.weight, in.bias, row.params, DType::bfloat16);
      const Tensor z = rounded.run(in.x.to(DType::bfloat16), {.relu = true}).to(DType::float32);
      EXPECT_TRUE(std::isnan(z.data<float>()[0])) << path << ", " << side;
    });
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
  expect_error([&] { const PackedConv2d conv(weight.to(DType::float64), {}, {}, DType::bfloat16); },
               {"conv2d_prepacked", "weight", "float64", "float32"});
  expect_error([&] { const PackedConv2d conv(weight, {}, {}, DType::float64); },
               {"conv2d_prepacked", "weight", "float32", "float64"});
  const PackedConv2d rounded(weight, {}, {}, DType::bfloat16);
  expect_error([&] { rounded.run(x, {}); }, {"conv2d_prepacked", "x", "float32", "bfloat16"});
  expect_error([&] { rounded.run(x.to(DType::bfloat16), {.residual = Tensor::zeros({1, 4, 4, 3})}); },
               {"conv2d_prepacked", "residual", "float32", "bfloat16"});

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
