// Results that are written past the caches (tensor/cpu/streaming.h) have the bits of the same pictures one at
// a time, which are not.
#include <functional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/streaming.h"
#include "tensor/ops/batch_norm_act.h"
#include "tensor/ops/conv2d.h"
#include "tensor/ops/conv2d_prepacked.h"
#include "tensor/ops/linear.h"
#include "tests/ops/conv2d_row.h"
#include "tests/ops/op_table.h"
#include "tests/support/streamed_from.h"
#include "tests/support/tile_paths.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

namespace cpu = tensor::cpu;
using tensor::DType;

// Channels of half a cache line and phases of a stride, so that pictures, rows or pixels do not begin lines;
// a right operand that hangs over a tile; sums in one block and in several.
const std::vector<Conv2dRow>& rows() {
  static const std::vector<Conv2dRow> all{{{2, 21, 13, 8}, 64, 1, {}},
                                          {{2, 13, 21, 8}, 72, 1, {}},
                                          {{4, 31, 29, 40}, 4, 1, {.stride = 2}},
                                          {{2, 27, 23, 40}, 40, 2, {}},
                                          {{3, 13, 21, 450}, 132, 1, {}},
                                          {{2, 40, 34, 3}, 64, 7, {.stride = 2, .padding = 3}}};
  return all;
}

// `run` of all pictures, whose results are streamed, and of each alone, which are not.
void expect_as_one_by_one(const Tensor& pictures, const std::function<Tensor(const Tensor&)>& run) {
  const auto streamed = [&] {
    const StreamedFrom smallest(1);
    return run(pictures);
  };
  const Tensor all = streamed();
  EXPECT_FALSE(cpu::pays_to_stream(all.numel() * size_of(all.dtype())));
  for (std::int64_t n = 0; n < pictures.size(0); ++n)
    expect_same_bits(all.rows(n, n + 1), run(pictures.rows(n, n + 1)));
}

void convolve(DType type) {
  for (const Conv2dRow& row : rows()) {
    SCOPED_TRACE(row.x.str());
    const Tensor x = random_tensor(row.x, 1).to(type);
    const Tensor weight = random_tensor(row.weight_shape(), 2).to(DType::float32);
    const auto sizes = tensor::conv2d_sizes(x.shape(), weight.shape(), row.params);
    const Tensor dy = random_tensor(sizes.out_shape(), 3).to(type);
    expect_as_one_by_one(x, [&](const Tensor& each) { return cpu::conv2d(each, weight, {}, row.params); });
    expect_as_one_by_one(dy, [&](const Tensor& each) {
      return cpu::conv2d_backward_input(each, weight, {each.size(0), row.x[1], row.x[2], row.x[3]},
                                        row.params);
    });
  }
}

TEST(StreamedResults, ConvolveFloat) {
  // One picture has too few rows for tiles, all of them may have enough: then the bits would differ.
  const OnTilePath no_tiles(cpu::TilePath::vectors);
  on_every_vector_target([] { return std::string(cpu::microkernel<float>().target); },
                         [](const std::string& target) {
                           SCOPED_TRACE(target);
                           convolve(DType::float32);
                         });
}

TEST(StreamedResults, ConvolveFloatByTiles) {
  const OnFloatTiles always;
  convolve(DType::float32);
}

TEST(StreamedResults, ConvolveBfloat16) {
  for (const auto path : cpu::tile_paths()) {
    if (path == cpu::TilePath::amx_emulated) continue;  // stores as AMX does, and takes minutes
    const OnTilePath chosen(path);
    convolve(DType::bfloat16);
  }
}

// Bias, residual sum and ReLU on the way to memory.
TEST(StreamedResults, ConvolveWithAnEnd) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    const OnFloatTiles always;
    const Tensor x = random_tensor({2, 13, 21, 40}, 1).to(type);
    const Tensor residual = random_tensor({2, 13, 21, 72}, 2).to(type);
    const tensor::PackedConv2d conv(random_tensor({72, 1, 1, 40}, 3).to(DType::float32),
                                    random_tensor({72}, 4).to(DType::float32), {}, type);
    std::int64_t n = 0;  // which residual
    expect_as_one_by_one(x, [&](const Tensor& each) {
      const Tensor added = each.size(0) == 2 ? residual : residual.rows(n, n + 1);
      if (each.size(0) == 1) ++n;
      return conv.run(each, {added, true});
    });
  }
}

TEST(StreamedResults, Normalise) {
  for (const DType type : {DType::float32, DType::bfloat16})
    for (const std::int64_t channels : {32, 40, 544, 600}) {
      const std::int64_t side = channels > 500 ? 10 : 26;
      const Tensor x = random_tensor({3, side, side, channels}, 1).to(type);
      const Tensor residual = random_tensor({3, side, side, channels}, 2).to(type);
      const auto parameter = [&](std::uint64_t seed) {
        return random_tensor({channels}, seed, {0.5, 2}).to(DType::float32);
      };
      const Tensor weight = parameter(3);
      const Tensor bias = parameter(4);
      tensor::RunningStats stats{parameter(5), parameter(6)};
      std::int64_t n = 0;  // which residual
      expect_as_one_by_one(x, [&](const Tensor& each) {
        const Tensor added = each.size(0) == 3 ? residual : residual.rows(n, n + 1);
        if (each.size(0) == 1) ++n;
        return cpu::batch_norm_act(each, weight, bias, stats, {.training = false, .relu = true}, added).y;
      });
    }
}

// Gradients, which are written past the caches where they have memory of their own.
TEST(StreamedResults, GradientsOfBatchNorm) {
  for (const DType type : {DType::float32, DType::bfloat16})
    for (const bool training : {true, false})
      for (const std::int64_t channels : {32, 40, 544, 600}) {
        const Tensor x = random_tensor({3, 9, 7, channels}, 1).to(type);
        const Tensor grad_y = random_tensor({3, 9, 7, channels}, 2).to(type);
        const auto parameter = [&](std::uint64_t seed) {
          return random_tensor({channels}, seed, {0.5, 2}).to(DType::float32);
        };
        const Tensor weight = parameter(3);
        const Tensor bias = parameter(4);
        const Tensor statistics = parameter(5).reshape({1, channels});
        const auto run = [&](Tensor saved_x) {
          return cpu::batch_norm_act_backward(grad_y,
                                              {std::move(saved_x), weight, bias, statistics, statistics, {}},
                                              {.training = training, .relu = true})
              .x;
        };
        const Tensor expected = run(x);
        const StreamedFrom smallest(1);
        expect_same_bits(run(x), expected);
        Tensor own = x.clone();
        const void* const memory = own.raw();
        const Tensor in_place = run(std::move(own));
        EXPECT_EQ(in_place.raw(), memory);
        expect_same_bits(in_place, expected, "in the memory of x");
      }
}

TEST(StreamedResults, GradientsOfLinearWeights) {
  for (const DType type : {DType::float32, DType::bfloat16})
    for (const std::int64_t in : {48, 39}) {
      const Tensor x = random_tensor({5, in}, 1).to(type);
      const Tensor grad_y = random_tensor({5, 67}, 2).to(type);
      const Tensor expected = cpu::linear_backward_weight(grad_y, x);
      const StreamedFrom smallest(1);
      expect_same_bits(cpu::linear_backward_weight(grad_y, x), expected);
    }
}

}  // namespace
}  // namespace dcl::test
