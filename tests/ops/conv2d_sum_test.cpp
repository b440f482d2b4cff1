// The input gradient of a convolution, added to a sum on its way to memory, against the plain one in float64
// and a sum of its own.
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/features.h"
#include "tensor/cpu/merged_phases.h"
#include "tensor/cpu/microkernel.h"
#include "tensor/ops/elementwise.h"
#include "tests/ops/conv2d_row.h"
#include "tests/ops/op_table.h"
#include "tests/support/streamed_from.h"
#include "tests/support/tile_paths.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

namespace cpu = tensor::cpu;
using tensor::DType;

// Rows where they lie and gathered ones; sums of several blocks; Winograd's tiles, of whole and of other
// sizes; phases of a stride, of which some have no taps; a picture whose phases are merged; groups, dilation;
// border rows whose taps are left out; positions that no output has read.
const std::vector<Conv2dRow>& rows() {
  static const std::vector<Conv2dRow> all{{{2, 7, 9, 48}, 64, 1, {}},
                                          {{1, 6, 5, 40}, 700, 1, {}},
                                          {{2, 9, 10, 32}, 64, 3, {.padding = 1}},
                                          {{1, 12, 8, 64}, 32, 3, {.padding = 1}},
                                          {{2, 9, 8, 32}, 40, 1, {.stride = 2}},
                                          {{2, 9, 11, 32}, 32, 3, {.stride = 2, .padding = 1}},
                                          {{1, 15, 18, 3}, 64, 7, {.stride = 2, .padding = 3}},
                                          {{2, 6, 6, 64}, 64, 3, {.padding = 1, .groups = 2}},
                                          {{2, 9, 9, 48}, 32, 3, {.padding = 2, .dilation = 2}},
                                          {{11, 7, 7, 100}, 96, 3, {.padding = 1}},
                                          {{1, 30, 30, 7}, 5, 2, {.stride = 3}},
                                          {{3, 5, 5, 8}, 8, 3, {.padding = 1, .groups = 8}},
                                          {{0, 4, 4, 8}, 8, 3, {.padding = 1}}};
  return all;
}

struct Operands {
  Tensor dy, weight, sum;
  Operands(const Conv2dRow& row, DType type)
      : dy(random_tensor(tensor::conv2d_sizes(row.x, row.weight_shape(), row.params).out_shape(), 1)
               .to(type)),
        weight(random_tensor(row.weight_shape(), 2).to(tensor::parameter_dtype(type))),
        sum(random_tensor(row.x, 3).to(type)) {}
};

Tensor expected(const Conv2dRow& row, const Operands& in) {
  const cpu::FastPathsScope plain(false);
  const Tensor weight = in.weight.to(in.dy.dtype()).to(DType::float64);
  const Tensor dx = cpu::conv2d_backward_input(in.dy.to(DType::float64), weight, row.x, row.params);
  return cpu::add(dx, in.sum.to(DType::float64));
}

// Of merged phases, of channels by themselves and without fast paths dx is there before the sum is added.
bool adds_on_the_way(const Conv2dRow& row) {
  return cpu::fast_paths() && row.params.groups < 8 &&
         !cpu::merging_pays(tensor::conv2d_sizes(row.x, row.weight_shape(), row.params));
}

// In bfloat16 of a sum that is rounded once, or of dx, which has values of up to 4, and again.
Tolerance tolerance_of(DType type, bool once) {
  if (type == DType::float64) return {1e-11, 1e-11};
  if (type == DType::float32) return {2e-4, 2e-4};
  return once ? Tolerance{4e-3, 4e-4} : Tolerance{8e-3, 1.6e-2};
}

void expect_sums(DType type, const std::string& path) {
  for (const Conv2dRow& row : rows()) {
    const Operands in(row, type);
    const std::string what =
        fmt::format("{} {}: x {}, {} channels, kernel {}, stride {}", path, tensor::name_of(type),
                    row.x.str(), row.out_channels, row.kernel, row.params.stride);
    const Tensor exact = expected(row, in);
    // Nobody else holds it.
    Tensor sum = in.sum.clone();
    const void* const memory = std::as_const(sum).raw();
    const Tensor y = cpu::conv2d_backward_input(in.dy, in.weight, row.x, row.params, std::move(sum));
    expect_close(y.to(DType::float64), exact, tolerance_of(type, adds_on_the_way(row)), what);
    EXPECT_TRUE(!adds_on_the_way(row) || y.raw() == memory) << what;
    // Somebody does, and it stays.
    const Tensor kept = in.sum.clone();
    const Tensor z = cpu::conv2d_backward_input(in.dy, in.weight, row.x, row.params, in.sum);
    expect_close(z.to(DType::float64), exact, tolerance_of(type, false), what);
    expect_same_bits(in.sum, kept, what);
  }
}

TEST(Conv2dSum, OnEveryInstructionSet) {
  const OnTilePath no_tiles(cpu::TilePath::vectors);
  on_every_vector_target([] { return std::string(cpu::microkernel<float>().target); },
                         [](const std::string& target) {
                           for (const DType type : {DType::float64, DType::float32, DType::bfloat16})
                             expect_sums(type, target);
                         });
}

TEST(Conv2dSum, OnEveryTilePath) {
  on_every_tile_path([](const std::string& path) { expect_sums(DType::bfloat16, path); });
}

TEST(Conv2dSum, BySixProducts) {
  const OnFloatTiles tiles;
  expect_sums(DType::float32, "six products");
}

TEST(Conv2dSum, WithoutFastPaths) {
  const cpu::FastPathsScope plain(false);
  for (const DType type : {DType::float64, DType::float32, DType::bfloat16}) expect_sums(type, "plain");
}

// What a result that is larger than the caches does on its way to memory.
TEST(Conv2dSum, WhereResultsAreStreamed) {
  const StreamedFrom smallest(1);
  for (const DType type : {DType::float32, DType::bfloat16}) expect_sums(type, "streamed");
}

TEST(Conv2dSum, Errors) {
  const Tensor dy = Tensor::zeros({1, 4, 4, 2});
  const Tensor weight = Tensor::zeros({2, 1, 1, 3});
  const auto add_to = [&](const Tensor& sum) {
    return [=] { cpu::conv2d_backward_input(dy, weight, {1, 4, 4, 3}, {}, sum); };
  };
  expect_error(add_to(Tensor::zeros({1, 4, 4, 2})),
               {"conv2d_backward_input", "sum", "[1,4,4,2]", "[1,4,4,3]"});
  expect_error(add_to(Tensor::zeros({1, 4, 4, 3}, {DType::float64, {}})), {"sum", "float64", "float32"});
}

}  // namespace
}  // namespace dcl::test
