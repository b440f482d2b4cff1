#include "tensor/ops/ring_write.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

// No PoisonedMemory here: the op works in place and makes no tensors.

Tensor pointer(std::int64_t at) { return Tensor::from(std::vector<std::int64_t>{at}, {1}); }

struct Row {
  std::int64_t capacity, columns, count;
};

// Several batches one after the other, so that some of them wrap around the end.
TEST(CudaRingWrite, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16, DType::int64, DType::uint8})
    for (const Row& row :
         {Row{4, 2, 3}, {4, 2, 4}, {1, 3, 1}, {5, 1, 0}, {3, 0, 2}, {101, 16, 70}, {101, 17, 70}}) {
      SCOPED_TRACE(
          fmt::format("{} ring of {}, {} rows of {}", name_of(type), row.capacity, row.count, row.columns));
      Tensor ring = random_tensor({row.capacity, row.columns}, 1, {0, 200}).to(type);
      Tensor at = pointer(row.capacity - 1);
      Tensor ring_there = on_device(ring.clone()), at_there = on_device(at.clone());
      for (std::uint64_t step = 0; step < 3; ++step) {
        const Tensor rows = random_tensor({row.count, row.columns}, step, {0, 200}).to(type);
        cpu::ring_write(ring, at, rows);
        cuda::ring_write(ring_there, at_there, on_device(rows));
        expect_same_bits(to_host(ring_there), ring);
        expect_same_bits(to_host(at_there), at);
      }
    }
}

TEST(CudaRingWrite, APointerOutsideIsTakenModulo) {
  DCL_NEEDS_DEVICE();
  for (const std::int64_t outside : {7, -1, -8}) {
    Tensor ring = random_tensor({4, 2}, 1), at = pointer((outside + 8) % 4);
    Tensor ring_there = on_device(ring.clone()), at_there = on_device(pointer(outside));
    const Tensor rows = random_tensor({3, 2}, 2);
    cpu::ring_write(ring, at, rows);
    cuda::ring_write(ring_there, at_there, on_device(rows));
    expect_same_bits(to_host(ring_there), ring);
    expect_same_bits(to_host(at_there), at);
  }
}

TEST(CudaRingWrite, Errors) {
  DCL_NEEDS_DEVICE();
  Tensor ring = on_device(Tensor::zeros({4, 2})), at = on_device(pointer(0));
  const auto rows = [](const Shape& shape) { return on_device(Tensor::zeros(shape)); };
  expect_error([&] { cuda::ring_write(ring, at, rows({5, 2})); }, {"ring_write", "5 rows", "4"});
  expect_error([&] { cuda::ring_write(ring, at, rows({1, 3})); }, {"ring_write", "[1,3]", "[4,2]"});
  expect_error([&] { cuda::ring_write(ring, ring, rows({1, 2})); }, {"ring_write", "pointer", "[1]"});
  Tensor wrong = on_device(Tensor::zeros({1}));
  expect_error([&] { cuda::ring_write(ring, wrong, rows({1, 2})); }, {"ring_write", "pointer", "int64"});
  Tensor none = on_device(Tensor::zeros({0, 2}));
  expect_error([&] { cuda::ring_write(none, at, rows({0, 2})); }, {"ring_write", "[0,2]", "no rows"});
}

}  // namespace
}  // namespace dcl::test
