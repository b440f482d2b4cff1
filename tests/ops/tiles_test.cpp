// Convolutions by tiles of bfloat16 products, on every path that this processor has and on emulated AMX
// tiles, against the plain convolution in float64.
#include <cmath>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/features.h"
#include "tensor/cpu/threads.h"
#include "tensor/cpu/tiles/conv2d_tiles.h"
#include "tensor/cpu/tiles/live_taps.h"
#include "tensor/cpu/tiles/split.h"
#include "tests/ops/conv2d_row.h"
#include "tests/ops/op_table.h"
#include "tests/support/tile_paths.h"

namespace dcl::test {
namespace {

namespace cpu = tensor::cpu;
using tensor::bfloat16;
using tensor::Conv2dParams;
using tensor::Conv2dSizes;
using tensor::DType;

// In place, from a copy of one picture, of several and of bands of a large one, gathered; more columns than
// rows, shared out by them; whole blocks and strips and others; strides, dilation, groups; rows ordered by
// the taps that they lack; few channels; kernels larger than the picture; phases that no output has read.
const std::vector<Conv2dRow>& rows() {
  static const std::vector<Conv2dRow> all{
      {{2, 7, 9, 64}, 48, 1, {}},
      {{1, 5, 5, 20}, 33, 1, {}},
      {{3, 9, 8, 32}, 40, 1, {.stride = 2}},
      {{5, 7, 7, 64}, 32, 3, {.padding = 1}},
      {{1, 33, 70, 64}, 32, 3, {.padding = 1}},
      {{2, 80, 62, 128}, 16, 3, {.padding = 1}},
      {{2, 6, 5, 40}, 70, 3, {.padding = 1}},
      {{2, 9, 9, 48}, 32, 3, {.padding = 2, .dilation = 2}},
      {{2, 9, 11, 32}, 32, 3, {.stride = 2, .padding = 1}},
      {{1, 23, 20, 3}, 64, 7, {.stride = 2, .padding = 3}},
      {{1, 2, 2, 32}, 32, 5, {.padding = 2}},
      {{1, 8, 8, 32}, 8, 3, {.padding = 0}},
      {{2, 6, 6, 64}, 64, 3, {.padding = 1, .groups = 2}},
      {{2, 5, 4, 64}, 200, 3, {.padding = 1}},
      {{1, 7, 7, 64}, 330, 1, {}},
      {{64, 1, 1, 1024}, 96, 3, {.padding = 1}},  // besides in several bands
      {{1, 1, 1, 1}, 1, 1, {}},
      {{1, 30, 30, 7}, 5, 2, {.stride = 3}},
      {{1, 75, 80, 3}, 64, 7, {.stride = 2, .padding = 3}},
      {{1, 20, 1, 32}, 8, 2, {.padding = 16}},
      {{1, 9, 9, 32}, 8, 3, {.stride = 2, .dilation = 2}},
      {{11, 7, 7, 96}, 100, 3, {.padding = 1}},  // ordered by their taps
      {{3, 14, 13, 96}, 32, 3, {.padding = 1}},
      {{9, 8, 8, 96}, 40, 3, {.padding = 2, .dilation = 2}},
      {{11, 14, 14, 128}, 33, 3, {.stride = 2, .padding = 1}},
      {{11, 7, 7, 192}, 128, 3, {.padding = 1, .groups = 2}},
      {{45, 3, 4, 96}, 8, 5, {.padding = 2}},
      {{11, 7, 7, 96}, 96, 3, {.padding = 1}},
      {{9, 7, 9, 96}, 128, 3, {.padding = 2}},
      {{2, 61, 130, 3}, 96, 7, {.stride = 2, .padding = 3}},  // few channels, overlapped: in bands of rows
      {{2, 12, 41, 1}, 33, 3, {.padding = 1}},                // rows of several blocks, the last one shorter
      {{3, 9, 50, 8}, 70, 5, {.stride = 3, .padding = 2}},
      {{2, 10, 64, 2}, 8, 3, {.stride = 2}},
      {{2, 2, 3, 3}, 16, 7, {.padding = 3}},
      {{3, 8, 9, 4}, 24, 2, {.padding = 1}},
      {{1, 100, 100, 8}, 24, 1, {}},                           // parts of several pieces
      {{18, 20, 130, 3}, 96, 5, {.stride = 2, .padding = 2}},  // likewise
      {{0, 4, 4, 8}, 8, 3, {.padding = 1}},
      {{0, 8, 8, 64}, 64, 3, {.padding = 1}}};
  return all;
}

std::string name_of(const Conv2dRow& row) {
  return fmt::format("x {}, {} channels, kernel {}, stride {}, padding {}, dilation {}, groups {}",
                     row.x.str(), row.out_channels, row.kernel, row.params.stride, row.params.padding,
                     row.params.dilation, row.params.groups);
}

struct Results {
  Tensor y, dx, dweight;
};

class Case {
 public:
  explicit Case(const Conv2dRow& row)
      : params_(row.params),
        x_(random_tensor(row.x, 1)),
        weight_(random_tensor(row.weight_shape(), 2)),
        bias_(random_tensor({row.out_channels}, 3)),
        sizes_(tensor::conv2d_sizes(x_.shape(), weight_.shape(), params_)),
        dy_(random_tensor(sizes_.out_shape(), 4)) {}

  /// Of the operands as type T has them, in float64.
  Results exact(DType type) const {
    const auto as = [&](const Tensor& x) { return x.to(type).to(DType::float64); };
    const bool before = cpu::fast_paths();
    cpu::set_fast_paths(false);
    Results all{cpu::conv2d(as(x_), as(weight_), bias_.to(DType::float32).to(DType::float64), params_),
                cpu::conv2d_backward_input(as(dy_), as(weight_), x_.shape(), params_),
                cpu::conv2d_backward_weight(as(dy_), as(x_), weight_.shape(), params_)};
    cpu::set_fast_paths(before);
    return all;
  }

  template <class T>
  Tensor weight_gradient() const {
    const Tensor x = x_.to(tensor::dtype_of<T>);
    const Tensor dy = dy_.to(tensor::dtype_of<T>);
    Tensor dweight = Tensor::empty(weight_.shape(), {DType::float32, {}});
    cpu::conv2d_backward_weight_tiles<T>(sizes_, dy.data<T>(), x.data<T>(), dweight.data<float>());
    return dweight;
  }

  template <class T>
  Results tiles() const {
    const DType type = tensor::dtype_of<T>;
    const Tensor x = x_.to(type);
    const Tensor dy = dy_.to(type);
    const Tensor weight = weight_.to(DType::float32);
    const Tensor bias = bias_.to(DType::float32);
    Results all{Tensor::empty(sizes_.out_shape(), x.options()), empty_like(x), empty_like(weight)};
    cpu::conv2d_tiles<T>(sizes_, x.data<T>(), weight.data<float>(), {.bias = bias.data<float>()},
                         all.y.data<T>());
    cpu::conv2d_backward_input_tiles<T>(sizes_, dy.data<T>(), weight.data<float>(), all.dx.data<T>());
    cpu::conv2d_backward_weight_tiles<T>(sizes_, dy.data<T>(), x.data<T>(), all.dweight.data<float>());
    return all;
  }

  Results plain_float() const {
    const bool before = cpu::fast_paths();
    cpu::set_fast_paths(false);
    Results all = op(DType::float32);
    cpu::set_fast_paths(before);
    return all;
  }
  Results op_bfloat16() const { return op(DType::bfloat16); }

 private:
  Results op(DType type) const {
    const Tensor weight = weight_.to(DType::float32);
    return {cpu::conv2d(x_.to(type), weight, bias_.to(DType::float32), params_),
            cpu::conv2d_backward_input(dy_.to(type), weight, x_.shape(), params_),
            cpu::conv2d_backward_weight(dy_.to(type), x_.to(type), weight.shape(), params_)};
  }

  Conv2dParams params_;
  Tensor x_, weight_, bias_;
  Conv2dSizes sizes_;
  Tensor dy_;
};

TEST(Tiles, ConvolveBfloat16OnEveryPath) {
  // Sums are float32's; y and dx are rounded to 8 bits once.
  constexpr Tolerance kRounded{4e-3, 2e-4};
  constexpr Tolerance kSummed{1e-4, 1e-4};
  on_every_tile_path([&](const std::string& path) {
    for (const Conv2dRow& row : rows()) {
      const Case each(row);
      const Results actual = each.tiles<bfloat16>();
      const Results expected = each.exact(DType::bfloat16);
      const std::string what = path + ", " + name_of(row);
      expect_close(actual.y.to(DType::float64), expected.y, kRounded, what + ": y");
      expect_close(actual.dx.to(DType::float64), expected.dx, kRounded, what + ": dx");
      expect_close(actual.dweight.to(DType::float64), expected.dweight, kSummed, what + ": dweight");
    }
  });
}

TEST(Tiles, ConvolveFloat32OnEveryPath) {
  constexpr Tolerance kFloat{1e-4, 1e-4};
  on_every_tile_path([&](const std::string& path) {
    for (const Conv2dRow& row : rows()) {
      const Case each(row);
      const Results actual = each.tiles<float>();
      const Results expected = each.exact(DType::float32);
      const std::string what = path + ", " + name_of(row);
      expect_close(actual.y.to(DType::float64), expected.y, kFloat, what + ": y");
      expect_close(actual.dx.to(DType::float64), expected.dx, kFloat, what + ": dx");
      expect_close(actual.dweight.to(DType::float64), expected.dweight, kFloat, what + ": dweight");
    }
  });
}

// Gradients that threads share piece by piece: several pieces, the last a shorter one; groups of columns that
// are no multiple of 32 and begin inside a tap.
template <class T>
void expect_shared_weight_gradient(const std::vector<Conv2dRow>& shared, const std::string& path) {
  for (const Conv2dRow& row : shared) {
    const Case each(row);
    const DType type = tensor::dtype_of<T>;
    expect_close(each.weight_gradient<T>().to(DType::float64), each.exact(type).dweight, {2e-4, 4e-4},
                 path + ", " + name_of(row));
  }
}

TEST(Tiles, ShareWeightGradientsOfSeveralPieces) {
  on_every_tile_path([&](const std::string& path) {
    expect_shared_weight_gradient<float>({{{2, 23, 23, 208}, 320, 1, {}},
                                          {{3, 14, 14, 96}, 100, 3, {.padding = 1}},
                                          {{2, 37, 37, 100}, 96, 3, {.stride = 2, .padding = 1}}},
                                         path);
    expect_shared_weight_gradient<bfloat16>(
        {{{2, 33, 33, 208}, 320, 1, {}}, {{3, 28, 28, 96}, 100, 3, {.padding = 1}}}, path);
    // Ordered by the taps that they lack, too.
    expect_shared_weight_gradient<bfloat16>({{{43, 7, 7, 96}, 100, 3, {.padding = 1}}}, path);
  });
}

// Long sums with more channels of dy than of x; pixels in a row, with a stride, in groups; parts and pieces.
TEST(Tiles, ExchangeTheOperandsOfWeightGradients) {
  const std::vector<Conv2dRow> wide{{{1, 60, 75, 8}, 24, 1, {}},
                                    {{1, 90, 80, 8}, 24, 1, {.stride = 2}},
                                    {{2, 60, 60, 16}, 48, 1, {.groups = 2}},
                                    {{1, 23, 22, 2}, 33, 1, {}}};
  on_every_tile_path([&](const std::string& path) {
    expect_shared_weight_gradient<bfloat16>(wide, path);
    expect_shared_weight_gradient<float>(wide, path);
  });
}

TEST(Tiles, DoNotDependOnThreads) {
  const int before = cpu::num_threads();
  for (const Conv2dRow& row : rows()) {
    const Case each(row);
    cpu::set_num_threads(1);
    const Results one = each.tiles<bfloat16>();
    const Results one_float = each.tiles<float>();
    cpu::set_num_threads(3);
    const Results three = each.tiles<bfloat16>();
    const Results three_float = each.tiles<float>();
    for (const auto& [a, b] : {std::pair(&one, &three), std::pair(&one_float, &three_float)}) {
      expect_same_bits(a->y, b->y, name_of(row) + ": y");
      expect_same_bits(a->dx, b->dx, name_of(row) + ": dx");
      expect_same_bits(a->dweight, b->dweight, name_of(row) + ": dweight");
    }
  }
  cpu::set_num_threads(before);
}

double rms_error(const Tensor& actual, const Tensor& exact) {
  const auto a = actual.to(DType::float64).to_vector<double>();
  const auto e = exact.to_vector<double>();
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - e[i]) * (a[i] - e[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

// What is called float32 keeps float32's accuracy: six products round as one plain product does. Without the
// smallest three the error would be ten times as large. AMX rounds once for 32 terms; the other paths, which
// float32 does not take outside of this test, six times for each.
TEST(Tiles, SixProductsRoundAsAPlainFloatProductDoes) {
  for (const std::int64_t channels : {64, 256}) {
    const Case each({{2, 14, 16, channels}, channels, 1, {}});
    const Results exact = each.exact(DType::float32);
    const Results plain = each.plain_float();
    on_every_tile_path([&](const std::string& path) {
      const double allowed = path.ends_with("AMX") ? 1.2 : 4;
      const Results tiles = each.tiles<float>();
      EXPECT_LE(rms_error(tiles.y, exact.y), allowed * rms_error(plain.y, exact.y))
          << path << ", " << channels;
      EXPECT_LE(rms_error(tiles.dx, exact.dx), allowed * rms_error(plain.dx, exact.dx))
          << path << ", " << channels;
      EXPECT_LE(rms_error(tiles.dweight, exact.dweight), allowed * rms_error(plain.dweight, exact.dweight))
          << path << ", " << channels;
    });
  }
}

// The choice by rows, channels, and weights of a tap; a gradient of weights wants more of them.
TEST(Tiles, AreTakenForFloatsWhereTheyPay) {
  struct Choice {
    Shape x, weight;
    bool tiles, gradient_tiles;
  };
  const std::vector<Choice> all{
      {{16, 14, 14, 1024}, {256, 1, 1, 1024}, true, true}, {{1, 23, 23, 256}, {256, 1, 1, 256}, true, true},
      {{1, 22, 23, 256}, {256, 1, 1, 256}, false, false},  {{16, 7, 7, 512}, {2048, 1, 1, 512}, true, true},
      {{16, 56, 56, 64}, {256, 1, 1, 64}, true, true},     {{16, 56, 56, 64}, {64, 1, 1, 64}, false, false},
      {{16, 56, 56, 48}, {512, 1, 1, 48}, false, false},   {{16, 28, 28, 128}, {512, 1, 1, 128}, true, false},
      {{16, 56, 56, 128}, {128, 3, 3, 128}, true, false},  {{16, 224, 224, 3}, {64, 7, 7, 3}, false, false}};
  for (const Choice& each : all) {
    const auto sizes = tensor::conv2d_sizes(each.x, each.weight, {});
    {
      const OnTilePath amx(cpu::TilePath::amx_emulated);
      EXPECT_EQ(cpu::tiles_pay(sizes, cpu::Conv2dPath::packed), each.tiles)
          << each.x.str() << " " << each.weight.str();
      EXPECT_EQ(cpu::gradient_tiles_pay(sizes, cpu::Conv2dPath::packed), each.gradient_tiles)
          << each.x.str() << " " << each.weight.str();
      EXPECT_FALSE(cpu::tiles_pay(sizes, cpu::Conv2dPath::winograd));
      EXPECT_FALSE(cpu::gradient_tiles_pay(sizes, cpu::Conv2dPath::winograd));
    }
    const OnTilePath vectors(cpu::TilePath::vectors);
    EXPECT_FALSE(cpu::tiles_pay(sizes, cpu::Conv2dPath::packed));
    EXPECT_FALSE(cpu::gradient_tiles_pay(sizes, cpu::Conv2dPath::packed));
  }
}

// Of 4×5 pixels under 3×3 with a zero around: a corner, an edge and the middle read 4, 6 and 9 taps. Rows one
// by one, and three together.
TEST(Tiles, KnowTheTapsThatRowsLack) {
  const Tensor x = Tensor::zeros({1, 4, 5, 32}, {DType::bfloat16, {}});
  const auto sizes = tensor::conv2d_sizes(x.shape(), {8, 3, 3, 32}, {.padding = 1});
  const auto windows = cpu::forward_windows(sizes, x.data<bfloat16>(), 0);
  const auto each = cpu::live_taps(windows, {0, 20}, 1);
  EXPECT_EQ(each.size(), 20U);
  EXPECT_EQ(each[0], 0b110'110'000U);  // bit 0 is the tap up and left
  EXPECT_EQ(each[2], 0b111'111'000U);
  EXPECT_EQ(each[6], 0b111'111'111U);
  EXPECT_EQ(each[9], 0b011'011'011U);
  EXPECT_EQ(each[19], 0b000'011'011U);
  const auto together = cpu::live_taps(windows, {17, 20}, 3);
  EXPECT_EQ(together, std::vector<cpu::TapMask>{0b000'111'111U});
}

// Gathered, and what is lacking left out, where pictures are small and there are enough of them.
TEST(Tiles, LeaveOutTapsWherePicturesAreSmall) {
  const auto pays = [](const Shape& x) {
    const Tensor pictures = Tensor::zeros(x, {DType::bfloat16, {}});
    const auto sizes = tensor::conv2d_sizes(x, {8, 3, 3, x[3]}, {.padding = 1});
    return cpu::leaving_out_taps_pays(cpu::forward_windows(sizes, pictures.data<bfloat16>(), 0), x[0]);
  };
  on_every_tile_path([&](const std::string& path) {
    SCOPED_TRACE(path);
    EXPECT_TRUE(pays({16, 7, 7, 512}));
    EXPECT_EQ(pays({16, 14, 14, 256}), !path.ends_with("AMX"));
    EXPECT_FALSE(pays({16, 28, 28, 128}));
    EXPECT_FALSE(pays({1, 7, 7, 512}));
    EXPECT_FALSE(pays({16, 7, 7, 64}));
  });
}

// Where float32 convolutions go through tiles, the op has the same result.
TEST(Tiles, AreTheConvolutionsOfAmx) {
  const OnFloatTiles tiles;
  const Tensor x = random_tensor({1, 6, 5, 64}, 1).to(DType::float32);
  const Tensor weight = random_tensor({32, 1, 1, 64}, 2).to(DType::float32);
  const auto sizes = tensor::conv2d_sizes(x.shape(), weight.shape(), {});
  Tensor y = Tensor::empty(sizes.out_shape());
  cpu::conv2d_tiles<float>(sizes, x.data<float>(), weight.data<float>(), {}, y.data<float>());
  expect_same_bits(cpu::conv2d(x, weight, {}, {}), y);
}

TEST(Tiles, ConvolveWithoutFastPathsToo) {
  const bool before = cpu::fast_paths();
  const Conv2dRow row{{2, 6, 7, 24}, 20, 3, {.padding = 1}};
  const Case each(row);
  const Results exact = each.exact(DType::bfloat16);
  cpu::set_fast_paths(false);
  const Results plain = each.op_bfloat16();
  cpu::set_fast_paths(before);
  expect_close(plain.y, exact.y, {4e-3, 2e-4}, "y");
  expect_close(plain.dx, exact.dx, {4e-3, 2e-4}, "dx");
  expect_close(plain.dweight, exact.dweight, {1e-4, 1e-4}, "dweight");
}

}  // namespace
}  // namespace dcl::test
