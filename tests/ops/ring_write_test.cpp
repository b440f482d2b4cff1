#include "tensor/ops/ring_write.h"

#include "tests/ops/op_table.h"

namespace dcl::tensor {
namespace {

Tensor pointer(std::int64_t at) { return Tensor::from(std::vector<std::int64_t>{at}, {1}); }

TEST(RingWrite, WritesOverTheOldestAndWrapsInsideABatch) {
  const std::int64_t capacity = 7;
  for (const std::int64_t count : {0, 1, 3, 7}) {
    Tensor ring = Tensor::zeros({capacity, 2}, {DType::float64, {}});
    Tensor at = pointer(5);
    const Tensor rows = test::random_tensor({count, 2});
    cpu::ring_write(ring, at, rows);
    EXPECT_EQ(at.data<std::int64_t>()[0], (5 + count) % capacity);
    for (std::int64_t i = 0; i < capacity; ++i) {
      const std::int64_t from = (i - 5 + capacity) % capacity;  // row that belongs here
      for (std::int64_t c = 0; c < 2; ++c)
        EXPECT_EQ(ring.data<double>()[i * 2 + c], from < count ? rows.data<double>()[from * 2 + c] : 0.0);
    }
  }
}

TEST(RingWrite, RefusesWhatDoesNotFit) {
  Tensor ring = Tensor::zeros({4, 2});
  Tensor at = pointer(0);
  test::expect_error([&] { cpu::ring_write(ring, at, Tensor::zeros({5, 2})); },
                     {"ring_write", "5 rows", "4"});
  test::expect_error([&] { cpu::ring_write(ring, at, Tensor::zeros({1, 3})); },
                     {"ring_write", "[1,3]", "[4,2]"});
  Tensor outside = pointer(4);
  test::expect_error([&] { cpu::ring_write(ring, outside, Tensor::zeros({1, 2})); },
                     {"ring_write", "pointer", "4"});
}

}  // namespace
}  // namespace dcl::tensor
