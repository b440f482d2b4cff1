// Tiles that go from registers to their rows, against the same products stored by way of memory.
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/moment_sums.h"
#include "tensor/cpu/streaming.h"
#include "tensor/cpu/tiles/split.h"
#include "tensor/cpu/tiles/tile_kernel.h"
#include "tests/ops/op_table.h"
#include "tests/support/tile_paths.h"

namespace dcl::test {
namespace {

namespace cpu = tensor::cpu;
using cpu::kBlockDepth;
using cpu::kHalfBlock;
using cpu::kTileCols;
using tensor::bfloat16;
using tensor::DType;

struct StoreCase {
  std::int64_t rows;
  bool bias, residual, relu, stream, moments, missing_rows;
};

std::string name_of(const StoreCase& of) {
  std::string name = std::to_string(of.rows) + " rows";
  for (const auto& [on, word] : {std::pair{of.bias, " bias"},
                                 {of.residual, " residual"},
                                 {of.relu, " relu"},
                                 {of.stream, " stream"},
                                 {of.moments, " moments"},
                                 {of.missing_rows, " missing rows"}})
    if (on) name += word;
  return name;
}

// Strips of a part one after the other, each a product of two blocks that are in memory the other way round.
// Some rows of y begin a cache line in the tile's column, others do not.
class Strips {
 public:
  explicit Strips(const StoreCase& of) : case_(of) {
    b_.data<bfloat16>()[2 * 4] = bfloat16(NAN);  // a column's
  }

  // y [kSteps, rows, kPitch], mean and squares.
  std::vector<Tensor> by_registers() {
    return each_strip(
        [&](const cpu::TileOperands& operands, bfloat16* const* y, const cpu::MomentColumns<float>* moments) {
          const cpu::TileStore store{.y = y,
                                     .column = kColumn,
                                     .bias = bias(),
                                     .residual = case_.residual ? residual() : nullptr,
                                     .origin = y_.data<bfloat16>(),
                                     .relu = case_.relu,
                                     .stream = case_.stream,
                                     .moments = moments};
          kernel_.multiply_store(operands, store);
        });
  }

  std::vector<Tensor> by_memory() {
    return each_strip([&](const cpu::TileOperands& operands, bfloat16* const* y,
                          const cpu::MomentColumns<float>* moments) { store_run(operands, y, moments); });
  }

 private:
  using Columns = cpu::MomentColumns<float>;
  static constexpr std::int64_t kSteps = 6;  // a shift, sums, and after the fourth sums in double
  static constexpr std::int64_t kColumn = 32, kPitch = 72, kDepth = 2 * kBlockDepth;

  const float* bias() const { return case_.bias ? std::as_const(bias_).data<float>() : nullptr; }
  const bfloat16* residual() const { return std::as_const(residual_).data<bfloat16>(); }

  void store_run(const cpu::TileOperands& operands, bfloat16* const* y, const Columns* moments) const {
    alignas(64) std::array<float, cpu::kTilePitch> c;
    kernel_.multiply(operands, c.data());
    std::array<bfloat16*, cpu::kMaxTileHeight> to;
    std::array<const bfloat16*, cpu::kMaxTileHeight> residuals;
    for (std::int64_t i = 0; i < case_.rows; ++i) {
      to[static_cast<std::size_t>(i)] = y[i] == nullptr ? nullptr : y[i] + kColumn;
      if (y[i] != nullptr)
        residuals[static_cast<std::size_t>(i)] =
            residual() + (y[i] + kColumn - std::as_const(y_).data<bfloat16>());
    }
    kernel_.store_run_bfloat16(
        {.c = c.data(), .tiles = 1, .rows = case_.rows, .y = to.data(), .moments = moments},
        {.bias = bias(), .residual = case_.residual ? residuals.data() : nullptr, .relu = case_.relu});
  }

  template <class Store>
  std::vector<Tensor> each_strip(Store&& store) {
    cpu::MomentSums<float> sums(kTileCols);
    if (case_.moments) sums.set_parts(1);
    for (std::int64_t step = 0; step < kSteps; ++step) {
      std::array<bfloat16*, cpu::kMaxTileHeight> y;
      for (std::int64_t i = 0; i < case_.rows; ++i)
        y[static_cast<std::size_t>(i)] =
            gone(i) ? nullptr : y_.data<bfloat16>() + (step * case_.rows + i) * kPitch;
      const std::array<std::int64_t, 2> a_at{kBlockDepth, 0};
      const std::array<std::int64_t, 2> b_at{2 * kHalfBlock, 0};
      const cpu::TileOperands operands{.a = std::as_const(a_).data<bfloat16>() + step * case_.rows * kDepth,
                                       .a_stride = kDepth,
                                       .a_at = a_at.data(),
                                       .b = std::as_const(b_).data<bfloat16>(),
                                       .b_half = kHalfBlock,
                                       .b_at = b_at.data(),
                                       .blocks = 2,
                                       .rows = case_.rows};
      Columns columns{};
      if (case_.moments) columns = sums.begin_tiles({0, step, 0, kTileCols}, stored());
      // The first strip's rows are read for the shift before they are summed.
      if (case_.moments && step == 0)
        store_run(operands, y.data(), &columns);
      else
        store(operands, y.data(), case_.moments ? &columns : nullptr);
    }
    cpu::flush_streams();
    if (!case_.moments) return {y_.clone()};
    const auto all = sums.of(0, 1);
    EXPECT_EQ(all.rows, kSteps * stored());
    return {y_.clone(), all.mean, all.squares};
  }

  bool gone(std::int64_t row) const { return case_.missing_rows && row % 3 == 1; }
  std::int64_t stored() const {
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < case_.rows; ++i) count += gone(i) ? 0 : 1;
    return count;
  }

  const cpu::TileKernel& kernel_ = cpu::tile_kernel();
  StoreCase case_;
  Tensor a_ = random_tensor({kSteps * case_.rows, kDepth}, 1).to(DType::bfloat16);
  Tensor b_ = random_tensor({2, 2 * kHalfBlock}, 2).to(DType::bfloat16);
  Tensor bias_ = random_tensor({kTileCols}, 3).to(DType::float32);
  Tensor residual_ = random_tensor({kSteps * case_.rows, kPitch}, 4).to(DType::bfloat16);
  Tensor y_ = Tensor::full({kSteps * case_.rows, kPitch}, 7, {DType::bfloat16, {}});
};

void expect_same_either_way(const StoreCase& of) {
  const auto actual = Strips(of).by_registers();
  const auto expected = Strips(of).by_memory();
  for (std::size_t i = 0; i < expected.size(); ++i)
    expect_same_bits(actual[i], expected[i], name_of(of) + ", result " + std::to_string(i));
}

// Every number of rows, with everything that may follow the sums, alone and together.
TEST(TileStores, AreProductsStoredByWayOfMemory) {
  bool any = false;
  for (const cpu::TilePath path : cpu::tile_paths()) {
    const OnTilePath chosen(path);
    if (cpu::tile_kernel().multiply_store == nullptr) continue;
    any = true;
    for (std::int64_t rows = 1; rows <= cpu::tile_kernel().rows; ++rows)
      for (int flags = 0; flags < 64; ++flags) {
        const auto on = [&](int bit) { return (flags >> bit & 1) != 0; };
        expect_same_either_way({rows, on(0), on(1), on(2), on(3), on(4), on(5)});
      }
  }
  if (!any) GTEST_SKIP() << "no sums in registers without AVX-512's bfloat16 instructions";
}

}  // namespace
}  // namespace dcl::test
