// What lies around a product of tiles, each against the simpler way to the same bits: rows split while they
// are transposed or paired, pairs that begin a row later, and runs of tiles stored with their moments.
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/features.h"
#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/moment_sums.h"
#include "tensor/cpu/tiles/split.h"
#include "tensor/cpu/tiles/tile_kernel.h"
#include "tensor/cpu/tiles/transpose.h"
#include "tests/ops/op_table.h"
#include "tests/support/tile_paths.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

namespace cpu = tensor::cpu;
using cpu::kBlockDepth;
using cpu::kMaxTileHeight;
using cpu::kTileCols;
using cpu::kTilePitch;
using tensor::bfloat16;
using tensor::DType;

constexpr std::int64_t kParts = cpu::kParts<float>;

template <class X>
std::vector<const X*> rows_of(const X* values, std::int64_t count, std::int64_t stride) {
  std::vector<const X*> rows;
  for (std::int64_t i = 0; i < count; ++i) rows.push_back(values + i * stride);
  return rows;
}

// 32 rows of `cols` numbers, and each part of them as rows of bfloat16.
struct SplitRows {
  std::int64_t cols;
  Tensor values, parts;

  explicit SplitRows(std::int64_t count)
      : cols(count),
        values(random_tensor({kBlockDepth, count}, 1).to(DType::float32)),
        parts(Tensor::empty({kParts, kBlockDepth, count}, {DType::bfloat16, {}})) {
    cpu::split_to_bfloat16(std::as_const(values).data<float>(), values.numel(), parts.data<bfloat16>(),
                           values.numel());
  }
  std::vector<const float*> rows() const { return rows_of(values.data<float>(), kBlockDepth, cols); }
  std::vector<const bfloat16*> rows(std::int64_t part) const {
    return rows_of(parts.data<bfloat16>() + part * values.numel(), kBlockDepth, cols);
  }
};

// Whole vectors and others. Behind what is written stands what stood there.
TEST(TileRows, AreSplitAsTheyAreTransposed) {
  for (const std::int64_t cols : {1, 7, 16, 31, 33, 48, 100}) {
    const SplitRows split(cols);
    const Shape shape{kParts, cols + 1, kBlockDepth};
    Tensor actual = Tensor::full(shape, 7, {DType::bfloat16, {}});
    Tensor expected = actual.clone();
    const std::int64_t part_stride = (cols + 1) * kBlockDepth;
    cpu::transpose_rows(split.rows().data(), cols, actual.data<bfloat16>(), part_stride);
    for (std::int64_t part = 0; part < kParts; ++part)
      cpu::transpose_rows(split.rows(part).data(), cols, expected.data<bfloat16>() + part * part_stride);
    expect_same_bits(actual, expected, std::to_string(cols));
  }
}

TEST(TileRows, AreSplitAsTheyArePaired) {
  for (const std::int64_t cols : {1, 7, 16, 31, 33, 48, 100}) {
    const SplitRows split(cols);
    const std::int64_t chunks = (cols + 15) / 16;
    const std::int64_t chunk_stride = cpu::kHalfBlock + 32;
    const std::int64_t part_stride = chunks * chunk_stride;
    Tensor actual = Tensor::full({kParts, part_stride}, 7, {DType::bfloat16, {}});
    Tensor expected = actual.clone();
    cpu::interleave_rows(split.rows().data(), cols, actual.data<bfloat16>(), chunk_stride, part_stride);
    for (std::int64_t part = 0; part < kParts; ++part)
      cpu::interleave_rows(split.rows(part).data(), cols, expected.data<bfloat16>() + part * part_stride,
                           chunk_stride);
    expect_same_bits(actual, expected, std::to_string(cols));
  }
}

// Against pairs of the rows themselves, from the second one on and zeros behind the last.
TEST(TileRows, ArePairedARowLater) {
  on_every_vector_target(
      [] { return std::string(cpu::microkernel<float>().target); },
      [](const std::string& target) {
        const std::int64_t blocks = 3;
        const Tensor x = random_tensor({blocks * kBlockDepth + 1, 16}, 1).to(DType::bfloat16);
        Tensor last = x.rows(blocks * kBlockDepth, blocks * kBlockDepth + 1);
        last.fill(0);
        const auto pairs_from = [&](std::int64_t first) {
          Tensor pairs = Tensor::empty({blocks, cpu::kHalfBlock}, {DType::bfloat16, {}});
          for (std::int64_t block = 0; block < blocks; ++block)
            cpu::interleave_rows(
                rows_of(std::as_const(x).data<bfloat16>() + (first + block * kBlockDepth) * 16, kBlockDepth,
                        16)
                    .data(),
                16, pairs.data<bfloat16>() + block * cpu::kHalfBlock, cpu::kHalfBlock);
          return pairs;
        };
        Tensor later = Tensor::full({blocks, cpu::kHalfBlock}, 7, {DType::bfloat16, {}});
        cpu::pair_a_row_later(pairs_from(0).data<bfloat16>(), blocks * kBlockDepth / 2,
                              later.data<bfloat16>());
        expect_same_bits(later, pairs_from(1), target);
      });
}

// What follows the sums of a run.
struct RunEnd {
  bool bias, residual, relu, moments;
};

// Strips of a few tiles, of whose rows two go nowhere, one after the other as a part's.
template <class T>
class Run {
 public:
  Run(std::int64_t tiles, const RunEnd& end)
      : tiles_(tiles),
        end_(end),
        sums_(random_tensor({kSteps, cpu::kMaxTileRun * kTilePitch}, 1).to(DType::float32)),
        bias_(random_tensor({cols()}, 2).to(DType::float32)),
        residual_(random_tensor({kMaxTileHeight, cols()}, 3).to(tensor::dtype_of<T>)) {
    sums_.data<float>()[5 * kTileCols + 4] = NAN;
  }

  // Rows [steps·32, cols] of y, then mean and squares of all.
  std::vector<Tensor> stored_as_runs() {
    return each_step([&](std::int64_t step, T* const* y, cpu::MomentSums<float>& sums) {
      cpu::TileRun<T> run{.c = at(step, 0), .tiles = tiles_, .rows = kMaxTileHeight, .y = y};
      cpu::MomentColumns<float> columns{};
      if (end_.moments) {
        columns = sums.begin_tiles({0, step, 0, cols()}, kMaxTileHeight - 2);
        run.moments = &columns;
      }
      const auto residual = residual_rows(0);
      if constexpr (std::is_same_v<T, float>)
        kernel_.store_run_float(run, end_at(0, residual));
      else
        kernel_.store_run_bfloat16(run, end_at(0, residual));
    });
  }

  std::vector<Tensor> stored_tile_by_tile() {
    return each_step([&](std::int64_t step, T* const* y, cpu::MomentSums<float>& sums) {
      for (std::int64_t tile = 0; tile < tiles_; ++tile) {
        const std::int64_t column = tile * kTileCols;
        std::array<T*, kMaxTileHeight> of_tile;
        std::vector<const T*> stored;
        for (std::size_t i = 0; i < of_tile.size(); ++i) {
          of_tile[i] = y[i] == nullptr ? nullptr : y[i] + column;
          if (y[i] != nullptr) stored.push_back(of_tile[i]);
        }
        const auto residual = residual_rows(column);
        if constexpr (std::is_same_v<T, float>)
          kernel_.store_float(at(step, tile), {kMaxTileHeight, kTileCols}, end_at(column, residual),
                              of_tile.data());
        else
          kernel_.store_bfloat16(at(step, tile), {kMaxTileHeight, kTileCols}, end_at(column, residual),
                                 of_tile.data());
        if (end_.moments)
          sums.add(0, step, column,
                   cpu::TileRows<T>{stored.data(), static_cast<std::int64_t>(stored.size()), kTileCols});
      }
    });
  }

 private:
  static constexpr std::int64_t kSteps =
      6;  // a shift and sums; at the fifth those go to double, and it begins with zeros

  std::int64_t cols() const { return tiles_ * kTileCols; }
  const float* at(std::int64_t step, std::int64_t tile) const {
    return std::as_const(sums_).template data<float>() + (step * cpu::kMaxTileRun + tile) * kTilePitch;
  }
  std::vector<const T*> residual_rows(std::int64_t column) const {
    return rows_of(std::as_const(residual_).template data<T>() + column, kMaxTileHeight, cols());
  }
  cpu::StoreEnd<T> end_at(std::int64_t column, const std::vector<const T*>& residual) const {
    return {.bias = end_.bias ? std::as_const(bias_).template data<float>() + column : nullptr,
            .residual = end_.residual ? residual.data() : nullptr,
            .relu = end_.relu};
  }

  template <class Store>
  std::vector<Tensor> each_step(Store&& store) {
    Tensor y = Tensor::full({kSteps * kMaxTileHeight, cols()}, 7, {tensor::dtype_of<T>, {}});
    cpu::MomentSums<float> sums(cols());
    if (end_.moments) sums.set_parts(1);
    for (std::int64_t step = 0; step < kSteps; ++step) {
      std::array<T*, kMaxTileHeight> rows;
      for (std::int64_t i = 0; i < kMaxTileHeight; ++i)
        rows[static_cast<std::size_t>(i)] =
            i == 0 || i == 17 ? nullptr : y.data<T>() + (step * kMaxTileHeight + i) * cols();
      store(step, rows.data(), sums);
    }
    if (!end_.moments) return {y};
    const auto moments = sums.of(0, 1);
    EXPECT_EQ(moments.rows, kSteps * (kMaxTileHeight - 2));
    return {y, moments.mean, moments.squares};
  }

  const cpu::TileKernel& kernel_ = cpu::tile_kernel();
  std::int64_t tiles_;
  RunEnd end_;
  Tensor sums_, bias_, residual_;
};

template <class T>
void expect_runs_are_their_tiles() {
  for (const cpu::TilePath path : cpu::tile_paths()) {
    const OnTilePath chosen(path);
    if (cpu::tile_kernel().store_run_float == nullptr) continue;
    for (std::int64_t tiles = 1; tiles <= cpu::kMaxTileRun; ++tiles)
      for (int flags = 0; flags < 16; ++flags) {
        const RunEnd end{(flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0};
        const auto actual = Run<T>(tiles, end).stored_as_runs();
        const auto expected = Run<T>(tiles, end).stored_tile_by_tile();
        for (std::size_t i = 0; i < expected.size(); ++i)
          expect_same_bits(actual[i], expected[i],
                           cpu::tile_kernel().name + ", " + std::to_string(tiles) + " tiles, " +
                               std::to_string(flags) + ", result " + std::to_string(i));
      }
  }
}

TEST(TileRuns, AreTheirTilesOneByOne) {
  if (!cpu::avx512_bf16_allowed()) GTEST_SKIP() << "no runs without AVX-512's bfloat16 instructions";
  expect_runs_are_their_tiles<float>();
  expect_runs_are_their_tiles<bfloat16>();
}

}  // namespace
}  // namespace dcl::test
