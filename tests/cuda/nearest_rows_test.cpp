#include "tensor/ops/nearest_rows.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  std::int64_t entries, rows_a, rows_b, channels;
};

// Rows within a tile of 56 and in several, channels that a pack divides and that it does not, in one part and
// in several.
const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {1, 1, 1, 1},        {3, 4, 4, 8},     {2, 5, 3, 7},      {4, 1, 9, 2}, {1, 49, 49, 33},
      {1, 49, 49, 2048},   {1, 57, 130, 68}, {2, 113, 56, 301}, {1, 0, 3, 4}, {2, 3, 4, 0},
#ifndef DCL_CUDA_EMULATED  // it takes long there
      {256, 49, 49, 2048}, {600, 2, 3, 132},
#endif
  };
  return all;
}

TEST(CudaNearestRows, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64})
    for (const Row& r : rows()) {
      SCOPED_TRACE(
          fmt::format("{} entries, {} and {} rows of {}", r.entries, r.rows_a, r.rows_b, r.channels));
      const Tensor a = random_tensor({r.entries * r.rows_a, r.channels}, 1).to(type);
      const Tensor b = random_tensor({r.entries * r.rows_b, r.channels}, 2).to(type);
      const auto expected = cpu::nearest_rows(a, b, r.entries, true);
      const auto found = cuda::nearest_rows(on_device(a), on_device(b), r.entries, true);
      expect_same_bits(to_host(found.index), expected.index);
      expect_close(to_host(found.margin), expected.margin, cuda_tolerance(type, 4));
      const auto without = cuda::nearest_rows(on_device(a), on_device(b), r.entries);
      EXPECT_FALSE(without.margin.defined());
      expect_same_bits(to_host(without.index), expected.index);
    }
}

TEST(CudaNearestRows, TheFirstOfEqualsWinsAndLengthDoesNotCount) {
  DCL_NEEDS_DEVICE();
  const auto index = [](const Tensor& a, const Tensor& b) {
    return to_host(cuda::nearest_rows(on_device(a), on_device(b), 1).index).to_vector<std::int64_t>();
  };
  const Tensor a = Tensor::from<float>({1, 0}, {1, 2});
  EXPECT_EQ(index(a, Tensor::from<float>({5, 5, 0.5, 0, 2, 0}, {3, 2})), std::vector<std::int64_t>{1});
  // The same row at several places: of one thread (52), of others, of several tiles.
  const std::int64_t channels = 200;
  Tensor b = random_tensor({150, channels}, 1).to(DType::float32);
  for (const std::int64_t at : {52, 57, 58, 149}) b.rows(at, at + 1).copy_from(b.rows(20, 21));
  EXPECT_EQ(index(b.rows(149, 150), b), std::vector<std::int64_t>{20});
}

// Rows of zeros are near to nothing; where no cosine is a number, the first row is named.
TEST(CudaNearestRows, ZerosAndNan) {
  DCL_NEEDS_DEVICE();
  const Tensor a = Tensor::from<float>({0, 0, -1, 0, NAN, 1}, {3, 2});
  const Tensor b = Tensor::from<float>({1, 0, 0, 0, NAN, 0}, {3, 2});
  const auto expected = cpu::nearest_rows(a, b, 1, true);
  const auto found = cuda::nearest_rows(on_device(a), on_device(b), 1, true);
  expect_same_bits(to_host(found.index), expected.index);
  expect_close(to_host(found.margin), expected.margin, {1e-6, 0});
}

TEST(CudaNearestRows, Errors) {
  DCL_NEEDS_DEVICE();
  const Tensor a = on_device(Tensor::zeros({4, 3}));
  expect_error([&] { cuda::nearest_rows(a, on_device(Tensor::zeros({4, 2})), 1); },
               {"nearest_rows", "[4,3]", "[4,2]"});
  expect_error([&] { cuda::nearest_rows(a, a, 3); }, {"nearest_rows", "3 entries"});
}

}  // namespace
}  // namespace dcl::test
