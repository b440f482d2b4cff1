// Winograd's convolution against the plain one, and how much more it rounds.
#include "tensor/cpu/winograd.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/conv2d_path.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/microkernel.h"
#include "tests/ops/op_table.h"
#include "tests/support/tile_paths.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

namespace cpu = tensor::cpu;
using tensor::bfloat16;
using tensor::Conv2dParams;
using tensor::Conv2dSizes;
using tensor::DType;

struct Row {
  Shape x;  // [N,H,W,I]
  std::int64_t out_channels;
  std::int64_t padding;
};

// Whole tiles, tiles over either edge, every padding, fewer tiles than a strip of rows, panels that are not
// full, more tiles than are transformed at a time, and fewer tiles than channels, with and without another
// chunk of them.
const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {{1, 4, 4, 16}, 16, 1},    {{2, 7, 7, 32}, 48, 1},   {{1, 9, 14, 48}, 16, 1},   {{3, 3, 3, 16}, 32, 0},
      {{1, 1, 2, 16}, 16, 1},    {{1, 10, 6, 16}, 80, 0},  {{2, 6, 11, 16}, 16, 2},   {{1, 1, 1, 32}, 16, 2},
      {{5, 31, 33, 16}, 32, 1},  {{1, 70, 66, 16}, 16, 1}, {{2, 13, 13, 144}, 16, 1}, {{7, 9, 9, 32}, 80, 1},
      {{13, 12, 12, 16}, 160, 1}};
  return all;
}

struct Tensors {
  Tensor y, dx, dweight;
};

class Case {
 public:
  Case(const Row& row, DType type)
      : params_{.padding = row.padding},
        x(random_tensor(row.x, 1).to(type)),
        weight(random_tensor({row.out_channels, 3, 3, row.x[3]}, 2).to(type)),
        bias(random_tensor({row.out_channels}, 3).to(type)),
        sizes(tensor::conv2d_sizes(x.shape(), weight.shape(), params_)),
        dy(random_tensor(sizes.out_shape(), 4).to(type)) {}

  template <class T>
  Tensors winograd() const {
    Tensors all{Tensor::empty(dy.shape(), dy.options()), empty_like(x), empty_like(weight)};
    cpu::conv2d_winograd<T>(sizes, x.data<T>(), weight.data<T>(), {.bias = bias.data<T>()}, all.y.data<T>());
    cpu::conv2d_backward_input_winograd<T>(sizes, dy.data<T>(), weight.data<T>(), all.dx.data<T>());
    cpu::conv2d_backward_weight_winograd<T>(sizes, dy.data<T>(), x.data<T>(), all.dweight.data<T>());
    return all;
  }

  /// Pixels and gradients are rounded; weights are by the convolution, and none of the sums before the end.
  Tensors winograd_bfloat16() const {
    const Tensor rounded_x = x.to(DType::bfloat16);
    const Tensor rounded_dy = dy.to(DType::bfloat16);
    Tensors all{empty_like(rounded_dy), empty_like(rounded_x), empty_like(weight)};
    const auto* const w = weight.data<float>();
    cpu::conv2d_winograd<bfloat16>(sizes, rounded_x.data<bfloat16>(), w, {.bias = bias.data<float>()},
                                   all.y.data<bfloat16>());
    cpu::conv2d_backward_input_winograd<bfloat16>(sizes, rounded_dy.data<bfloat16>(), w,
                                                  all.dx.data<bfloat16>());
    cpu::conv2d_backward_weight_winograd<bfloat16>(sizes, rounded_dy.data<bfloat16>(),
                                                   rounded_x.data<bfloat16>(), all.dweight.data<float>());
    return all;
  }

  Tensors plain() const {
    const bool before = cpu::fast_paths();
    cpu::set_fast_paths(false);
    Tensors all{cpu::conv2d(x, weight, bias, params_),
                cpu::conv2d_backward_input(dy, weight, x.shape(), params_),
                cpu::conv2d_backward_weight(dy, x, weight.shape(), params_)};
    cpu::set_fast_paths(before);
    return all;
  }

 private:
  Conv2dParams params_;

 public:
  Tensor x, weight, bias;
  Conv2dSizes sizes;
  Tensor dy;
};

TEST(Winograd, IsTheConvolutionOnEveryInstructionSet) {
  const auto chosen = [] { return std::string(cpu::microkernel<double>().target); };
  test::on_every_vector_target(chosen, [](const std::string& target) {
    for (const Row& row : rows()) {
      const Case each(row, DType::float64);
      ASSERT_TRUE(cpu::winograd_fits(each.sizes));
      const Tensors actual = each.winograd<double>();
      const Tensors expected = each.plain();
      const std::string what = fmt::format("{}, x {}, {} channels, padding {}", target, row.x.str(),
                                           row.out_channels, row.padding);
      const Tolerance tolerance{1e-11, 1e-11};
      expect_close(actual.y, expected.y, tolerance, what + ": y");
      expect_close(actual.dx, expected.dx, tolerance, what + ": dx");
      expect_close(actual.dweight, expected.dweight, tolerance, what + ": dweight");
    }
  });
}

// In bfloat16 it is float32's of the rounded operands, rounded once.
TEST(Winograd, OfBfloat16IsThatOfFloatsRoundedOnEveryInstructionSet) {
  const auto chosen = [] { return std::string(cpu::microkernel<float>().target); };
  test::on_every_vector_target(chosen, [](const std::string& target) {
    for (const Row& row : rows()) {
      const Case each(row, DType::float32);
      Case rounded = each;
      for (Tensor* operand : {&rounded.x, &rounded.weight, &rounded.dy})
        *operand = operand->to(DType::bfloat16).to(DType::float32);
      const Tensors actual = each.winograd_bfloat16();
      const Tensors expected = rounded.winograd<float>();
      const std::string what = target + ", x " + row.x.str();
      expect_same_bits(actual.y, expected.y.to(DType::bfloat16), what + ": y");
      expect_same_bits(actual.dx, expected.dx.to(DType::bfloat16), what + ": dx");
      expect_same_bits(actual.dweight, expected.dweight, what + ": dweight");
    }
  });
}

// Kernels that have been transformed before, and those that a task transforms for itself.
TEST(Winograd, IsTheSameWithKernelsTransformedBefore) {
  for (const Row& row : rows()) {
    const Case each(row, DType::float32);
    const cpu::TransformedWeights<float> kernels(
        cpu::WeightTransform<float>::forward(row.x[3], row.out_channels, each.weight.data<float>()));
    Tensor y = empty_like(each.dy);
    cpu::conv2d_winograd<float>(each.sizes, each.x.data<float>(), kernels, {.bias = each.bias.data<float>()},
                                y.data<float>());
    expect_same_bits(y, each.winograd<float>().y, row.x.str());
  }
}

double rms_error(const Tensor& actual, const Tensor& exact) {
  const auto a = actual.to_vector<double>();
  const auto e = exact.to_vector<double>();
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - e[i]) * (a[i] - e[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

// What is called float32 keeps float32's accuracy: at most ten times the error of a plain float32 product on
// the same data. The transforms cost a factor of two to five, so eight would be a regression.
TEST(Winograd, RoundsLessThanEightTimesWhatAPlainProductDoes) {
  for (const std::int64_t channels : {32, 64, 256}) {
    const Case floats({{2, 14, 16, channels}, channels, 1}, DType::float32);
    Case exact = floats;
    for (Tensor* each : {&exact.x, &exact.weight, &exact.bias, &exact.dy}) *each = each->to(DType::float64);
    const Tensors winograd = floats.winograd<float>();
    const Tensors plain = floats.plain();
    const Tensors reference = exact.plain();
    const auto expect_near = [&](const Tensor& fast, const Tensor& slow, const Tensor& truth,
                                 const char* name) {
      const double ratio = rms_error(fast, truth) / rms_error(slow, truth);
      EXPECT_LT(ratio, 8) << name << ", " << channels << " channels";
      RecordProperty(fmt::format("{}_{}", name, channels), fmt::format("{:.2f}", ratio));
    };
    expect_near(winograd.y, plain.y, reference.y, "y");
    expect_near(winograd.dx, plain.dx, reference.dx, "dx");
    expect_near(winograd.dweight, plain.dweight, reference.dweight, "dweight");
  }
}

// Nor in bfloat16 beside AMX, whose tiles are faster than a quarter of the products by vectors.
TEST(Winograd, IsTakenInBfloat16ButBesideAmx) {
  const Case each({{2, 8, 8, 32}, 32, 1}, DType::float32);
  const Tensors expected = each.winograd_bfloat16();
  const Tensor x = each.x.to(DType::bfloat16);
  const Tensor dy = each.dy.to(DType::bfloat16);
  const Conv2dParams params{.padding = 1};
  for (const auto path : cpu::tile_paths()) {
    const OnTilePath chosen(path);
    SCOPED_TRACE(cpu::tile_kernel().name);
    const bool amx = path == cpu::TilePath::amx || path == cpu::TilePath::amx_emulated;
    const auto taken = amx ? cpu::Conv2dPath::packed : cpu::Conv2dPath::winograd;
    EXPECT_EQ(cpu::bfloat16_conv2d_path(each.sizes), taken);
    EXPECT_EQ(cpu::bfloat16_prepacked_conv2d_path(each.sizes), taken);
    if (amx) continue;
    expect_same_bits(cpu::conv2d(x, each.weight, each.bias, params), expected.y, "y");
    expect_same_bits(cpu::conv2d_backward_input(dy, each.weight, x.shape(), params), expected.dx, "dx");
    expect_same_bits(cpu::conv2d_backward_weight(dy, x, each.weight.shape(), params), expected.dweight,
                     "dweight");
  }
  const OnFloatTiles tiles;
  EXPECT_EQ(cpu::bfloat16_conv2d_path(each.sizes), cpu::Conv2dPath::packed);
}

// Of small pictures its tiles hang over the edge, and it takes more than vdpbf16ps saves.
TEST(Winograd, IsTakenInBfloat16ByItsShareOfTheProducts) {
  const auto sizes = [](std::int64_t side) {
    return tensor::conv2d_sizes({16, side, side, 256}, {256, 3, 3, 256}, {.padding = 1});
  };
  EXPECT_DOUBLE_EQ(cpu::winograd_share(sizes(4)), 36.0 / 100);
  EXPECT_DOUBLE_EQ(cpu::winograd_share(sizes(6)), 4 * 36.0 / 256);
  EXPECT_DOUBLE_EQ(cpu::winograd_share(sizes(10)), 9 * 36.0 / 784);
  for (const auto path : cpu::tile_paths()) {
    const OnTilePath chosen(path);
    SCOPED_TRACE(cpu::tile_kernel().name);
    const auto taken = [&](std::int64_t side) {
      return cpu::bfloat16_conv2d_path(sizes(side)) == cpu::Conv2dPath::winograd;
    };
    EXPECT_EQ(taken(10), path == cpu::TilePath::vectors || path == cpu::TilePath::avx512_bf16);
    EXPECT_EQ(taken(6), path == cpu::TilePath::vectors);
    EXPECT_FALSE(taken(5));
  }
}

// Rounding to bfloat16 keeps what is no number, of either sign: adding to all of its bits would make it one.
TEST(Winograd, KeepsNanInBfloat16) {
  const auto chosen = [] { return std::string(cpu::microkernel<float>().target); };
  test::on_every_vector_target(chosen, [](const std::string& target) {
    for (const float nan : {std::nanf("0x3fffff"), -std::nanf("0x3fffff")}) {
      Case each({{1, 8, 8, 16}, 16, 1}, DType::float32);
      each.bias.data<float>()[0] = nan;
      const Tensor y = each.winograd_bfloat16().y.to(DType::float32);
      EXPECT_TRUE(std::isnan(y.data<float>()[0])) << target;
      EXPECT_FALSE(std::isnan(y.data<float>()[1])) << target;
    }
  });
}

TEST(Winograd, IsTakenWhereItFitsAndPays) {
  const auto sizes = [](const Shape& x, const Shape& weight, const Conv2dParams& params) {
    return tensor::conv2d_sizes(x, weight, params);
  };
  EXPECT_TRUE(cpu::winograd_pays(sizes({16, 56, 56, 64}, {64, 3, 3, 64}, {.padding = 1})));
  EXPECT_TRUE(cpu::winograd_pays(sizes({16, 7, 7, 512}, {512, 3, 3, 512}, {.padding = 1})));
  // Most of what a tile computes would lie outside the picture.
  EXPECT_FALSE(cpu::winograd_pays(sizes({64, 2, 2, 512}, {512, 3, 3, 512}, {.padding = 1})));
  const Shape x{2, 8, 8, 64};
  EXPECT_FALSE(cpu::winograd_fits(sizes(x, {64, 3, 3, 64}, {.stride = 2, .padding = 1})));
  EXPECT_FALSE(cpu::winograd_fits(sizes(x, {64, 3, 3, 64}, {.padding = 2, .dilation = 2})));
  EXPECT_FALSE(cpu::winograd_fits(sizes(x, {64, 3, 3, 32}, {.padding = 1, .groups = 2})));
  EXPECT_FALSE(cpu::winograd_fits(sizes(x, {64, 3, 3, 64}, {.padding = 3})));
  EXPECT_FALSE(cpu::winograd_fits(sizes(x, {72, 3, 3, 64}, {.padding = 1})));
  EXPECT_FALSE(cpu::winograd_fits(sizes(x, {64, 1, 3, 64}, {})));
}

}  // namespace
}  // namespace dcl::test
