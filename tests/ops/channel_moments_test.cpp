// The moments that a convolution hands to the normalisation behind it, against those of its result in double,
// on every path that sums them.
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/streaming.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/batch_norm_act.h"
#include "tensor/ops/conv2d.h"
#include "tests/ops/conv2d_row.h"
#include "tests/ops/op_table.h"
#include "tests/support/tile_paths.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

namespace cpu = tensor::cpu;
using tensor::ChannelMoments;
using tensor::DType;

// Whole panels and others; sums in one block and in several; rows ordered by their taps; more columns than
// rows; groups, also of a width that no panel has; Winograd's tiles, whole and over the edge; parts of more
// tiles than are summed in float; pictures in place, copied, gathered, overlapped; tiles with rows that go
// nowhere, and without any other; more tiles than parts.
const std::vector<Conv2dRow>& rows() {
  static const std::vector<Conv2dRow> all{{{2, 21, 13, 8}, 64, 1, {}},
                                          {{2, 13, 21, 32}, 72, 1, {}},
                                          {{3, 13, 21, 450}, 132, 1, {}},
                                          {{3, 7, 7, 32}, 40, 5, {.padding = 2}},
                                          {{2, 9, 11, 64}, 32, 3, {.stride = 2, .padding = 1}},
                                          {{1, 7, 7, 64}, 330, 1, {}},
                                          {{2, 6, 6, 64}, 64, 3, {.padding = 1, .groups = 2}},
                                          {{2, 5, 5, 24}, 24, 3, {.groups = 2}},
                                          {{2, 7, 7, 32}, 48, 3, {.padding = 1}},
                                          {{5, 31, 33, 32}, 64, 3, {.padding = 1}},
                                          {{1, 70, 66, 64}, 32, 3, {.padding = 1}},
                                          {{2, 75, 80, 3}, 64, 7, {.stride = 2, .padding = 3}},
                                          {{11, 7, 7, 96}, 40, 3, {.padding = 1}},
                                          {{1, 20, 1, 32}, 8, 2, {.padding = 16}},
                                          {{1, 66, 66, 32}, 8, 3, {.padding = 64, .dilation = 64}},
                                          {{2, 60, 90, 8}, 16, 1, {}},
                                          {{1, 1, 2, 8}, 8, 1, {}}};
  return all;
}

struct Operands {
  Tensor x, weight, bias;

  Operands(const Conv2dRow& row, DType type, double mean = 0)
      : x(random_tensor(row.x, 1).to(type)),
        weight(random_tensor(row.weight_shape(), 2).to(tensor::parameter_dtype(type))),
        bias(random_tensor({row.out_channels}, 3, {mean - 1, mean + 1}).to(tensor::parameter_dtype(type))) {}
};

ChannelMoments exact_moments(const Tensor& y) {
  const std::int64_t channels = y.size(-1);
  ChannelMoments all{Tensor::zeros({channels}, {DType::float64, {}}),
                     Tensor::zeros({channels}, {DType::float64, {}}), y.numel() / channels};
  const auto values = y.to(DType::float64).to_vector<double>();
  auto* const mean = all.mean.data<double>();
  auto* const squares = all.squares.data<double>();
  for (std::size_t i = 0; i < values.size(); ++i)
    mean[i % static_cast<std::size_t>(channels)] += values[i] / static_cast<double>(all.rows);
  for (std::size_t i = 0; i < values.size(); ++i)
    squares[i % static_cast<std::size_t>(channels)] +=
        std::pow(values[i] - mean[i % static_cast<std::size_t>(channels)], 2);
  return all;
}

// Sums of a few hundred numbers in float32: of their spread, not of their size.
void expect_moments(const ChannelMoments& actual, const Tensor& y, double rounding) {
  const ChannelMoments exact = exact_moments(y);
  ASSERT_TRUE(actual.defined());
  EXPECT_EQ(actual.rows, exact.rows);
  expect_close(actual.squares, exact.squares, {8 * rounding, 1e-30}, "squares");
  for (std::int64_t c = 0; c < y.size(-1); ++c) {
    const double spread = std::sqrt(exact.squares.data<double>()[c] / static_cast<double>(exact.rows));
    EXPECT_NEAR(actual.mean.data<double>()[c], exact.mean.data<double>()[c],
                rounding * spread + 1e-15 * std::abs(exact.mean.data<double>()[c]))
        << c;
  }
}

double rounding_of(DType type) { return type == DType::float64 ? 1e-13 : 5e-7; }

// On 1, 2, 7 and 19 threads, the result in the caches and past them: the same bits.
void expect_same_moments_however(const Conv2dRow& row, const Operands& in, const Tensor& y,
                                 const ChannelMoments& moments) {
  const int before = cpu::num_threads();
  for (const int threads : {1, 2, 7, 19})
    for (const std::int64_t stream_from : {std::int64_t{1}, cpu::kStreamedFrom}) {
      cpu::set_num_threads(threads);
      cpu::stream_from(stream_from);
      ChannelMoments others;
      expect_same_bits(cpu::conv2d(in.x, in.weight, in.bias, row.params, &others), y);
      expect_same_bits(others.mean, moments.mean, "mean");
      expect_same_bits(others.squares, moments.squares, "squares");
    }
  cpu::set_num_threads(before);
  cpu::stream_from(cpu::kStreamedFrom);
}

void expect_moments_of_rows(DType type, const std::string& path, const std::vector<Conv2dRow>& of = rows()) {
  for (const Conv2dRow& row : of) {
    SCOPED_TRACE(fmt::format("{}, {}, kernel {}", path, row.x.str(), row.kernel));
    const Operands in(row, type);
    ChannelMoments moments;
    const Tensor y = cpu::conv2d(in.x, in.weight, in.bias, row.params, &moments);
    expect_same_bits(y, cpu::conv2d(in.x, in.weight, in.bias, row.params));
    expect_moments(moments, y, rounding_of(type));
    expect_same_moments_however(row, in, y, moments);
  }
}

TEST(ChannelMoments, OfPackedProductsAndWinograd) {
  on_every_vector_target([] { return std::string(cpu::microkernel<float>().target); },
                         [](const std::string& target) {
                           expect_moments_of_rows(DType::float32, target);
                           expect_moments_of_rows(DType::float64, target + " double");
                         });
}

TEST(ChannelMoments, OfTiles) {
  on_every_tile_path([](const std::string& path) { expect_moments_of_rows(DType::bfloat16, path); });
}

TEST(ChannelMoments, OfSixProducts) {
  const OnFloatTiles tiles;
  expect_moments_of_rows(DType::float32, "six products");
}

// Right operands of which no quarter of a second-level cache holds all: all strips pass by one panel, a few
// of them together, and of the last ones fewer.
TEST(ChannelMoments, OfStripsThatPassByOnePanel) {
  on_every_tile_path([](const std::string& path) {
    expect_moments_of_rows(DType::bfloat16, path, {{{4, 9, 13, 1024}, 290, 1, {}}});
  });
  const OnFloatTiles tiles;
  expect_moments_of_rows(DType::float32, "six products", {{{4, 21, 17, 512}, 192, 1, {}}});
}

void expect_moments_far_from_zero() {
  for (const Conv2dRow& row : rows()) {
    SCOPED_TRACE(row.x.str());
    const Operands in(row, DType::float32, 1000);
    ChannelMoments moments;
    const Tensor y = cpu::conv2d(in.x, in.weight, in.bias, row.params, &moments);
    expect_moments(moments, y, 2e-6);
  }
}

TEST(ChannelMoments, FarFromZero) {
  expect_moments_far_from_zero();
  const OnFloatTiles tiles;
  expect_moments_far_from_zero();
}

TEST(ChannelMoments, AreUndefinedWhereNobodySumsThem) {
  const Conv2dRow depthwise{{2, 6, 6, 16}, 16, 3, {.padding = 1, .groups = 16}};
  const Conv2dRow empty{{0, 6, 6, 16}, 16, 3, {.padding = 1}};
  ChannelMoments moments = exact_moments(random_tensor({3, 16}));
  for (const Conv2dRow& row : {depthwise, empty}) {
    const Operands in(row, DType::float32);
    ChannelMoments none = moments;
    cpu::conv2d(in.x, in.weight, in.bias, row.params, &none);
    EXPECT_FALSE(none.defined()) << row.x.str();
  }
  const bool before = cpu::fast_paths();
  cpu::set_fast_paths(false);
  for (const DType type : {DType::float32, DType::bfloat16}) {
    const Operands in(rows().front(), type);
    ChannelMoments none = moments;
    cpu::conv2d(in.x, in.weight, in.bias, rows().front().params, &none);
    EXPECT_FALSE(none.defined()) << name_of(type);
  }
  cpu::set_fast_paths(before);
}

struct Normalised {
  tensor::BatchNormResult out;
  tensor::RunningStats stats;
};

Normalised normalise(const Tensor& x, const ChannelMoments& moments) {
  const auto parameter = [&](std::uint64_t seed) {
    return random_tensor({x.size(-1)}, seed, {0.5, 1.5}).to(tensor::parameter_dtype(x.dtype()));
  };
  tensor::RunningStats stats{parameter(7), parameter(8)};
  auto out = cpu::batch_norm_act(x, parameter(5), parameter(6), stats, {.relu = true}, {}, moments);
  return {std::move(out), stats};
}

TEST(ChannelMoments, AreWhatBatchNormalisationSumsItself) {
  for (const DType type : {DType::float64, DType::float32, DType::bfloat16}) {
    SCOPED_TRACE(name_of(type));
    const Operands in(rows()[9], type);
    ChannelMoments moments;
    const Tensor x = cpu::conv2d(in.x, in.weight, in.bias, rows()[9].params, &moments);
    const Normalised with = normalise(x, moments);
    const Normalised without = normalise(x, {});
    const double rounding = 4 * rounding_of(type);
    expect_close(with.out.y, without.out.y, {type == DType::bfloat16 ? 8e-3 : rounding, rounding}, "y");
    expect_close(with.out.mean, without.out.mean, {rounding, rounding}, "mean");
    expect_close(with.out.invstd, without.out.invstd, {rounding, 0}, "invstd");
    expect_close(with.stats.mean, without.stats.mean, {rounding, rounding}, "running mean");
    expect_close(with.stats.var, without.stats.var, {rounding, 0}, "running variance");
  }
}

// The normalisation believes what it is given.
TEST(ChannelMoments, AreUsed) {
  const Tensor x = random_tensor({5, 4}, 1);
  ChannelMoments moments = exact_moments(x);
  moments.mean.fill(3);
  moments.squares.fill(20);
  const Normalised given = normalise(x, moments);
  expect_close(given.out.mean, Tensor::full({1, 4}, 3, {DType::float64, {}}), {}, "mean");
  expect_close(given.out.invstd, Tensor::full({1, 4}, 1 / std::sqrt(4 + 1e-5), {DType::float64, {}}), {},
               "invstd");
}

TEST(ChannelMoments, GradientsBehindAConvolution) {
  run_gradcheck("batch_norm_act", "with the convolution's moments",
                [](const std::vector<Variable>& in) {
                  ChannelMoments moments;
                  const Variable y = autograd::conv2d(in[0], in[1], {}, {.padding = 1}, &moments);
                  EXPECT_TRUE(moments.defined());
                  tensor::RunningStats stats;
                  return autograd::batch_norm_act(y, in[2], in[3], stats, {}, {}, moments);
                },
                {random_tensor({2, 4, 5, 8}, 1), random_tensor({8, 3, 3, 8}, 2),
                 random_tensor({8}, 3, {0.5, 1.5}), random_tensor({8}, 4)});
}

TEST(ChannelMoments, Errors) {
  const Tensor x = random_tensor({4, 3}, 1);
  const Tensor ones = Tensor::full({3}, 1.0, {DType::float64, {}});
  tensor::RunningStats stats{ones, ones};
  const auto expect = [&](const ChannelMoments& moments, const tensor::BatchNormParams& params,
                          std::initializer_list<std::string_view> parts) {
    expect_error([&] { cpu::batch_norm_act(x, ones, ones, stats, params, {}, moments); }, parts);
  };
  const ChannelMoments good = exact_moments(x);
  expect(good, {.training = false}, {"batch_norm_act", "moments", "evaluation"});
  expect(good, {.groups = 2}, {"batch_norm_act", "moments", "2 groups"});
  expect({good.mean, good.squares, 5}, {}, {"batch_norm_act", "5 rows", "[4,3]"});
  expect({good.mean.to(DType::float32), good.squares, 4}, {}, {"batch_norm_act", "moments", "float32"});
  expect({good.mean, Tensor::zeros({2}, {DType::float64, {}}), 4}, {}, {"batch_norm_act", "moments", "[2]"});
}

}  // namespace
}  // namespace dcl::test
