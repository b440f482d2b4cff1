#include "tensor/ops/reduce.h"

#include "tensor/cuda/column_sums.h"
#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  Shape x;
  std::vector<int> dims;
};

std::string name(const Row& row, DType type) {
  std::string text = fmt::format("{} {} over", name_of(type), row.x.str());
  for (const int d : row.dims) text += fmt::format(" {}", d);
  return row.dims.empty() ? text + " all" : text;
}

// Runs of reduced dimensions inside, outside and between; sizes of 1; columns that are whole lines of 16
// bytes and that are not; several blocks, and long sums that are cut into parts.
const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {{2, 3, 4}, {}},           {{2, 3, 4}, {0}},
      {{2, 3, 4}, {1}},          {{2, 3, 4}, {-1}},
      {{2, 3, 4}, {0, 2}},       {{2, 3, 4}, {0, 1}},
      {{2, 3, 4}, {1, 2}},       {{2, 3, 4, 2}, {0, 2}},
      {{2, 3, 4, 2}, {1, 3}},    {{7}, {0}},
      {{1, 5, 1}, {0, 2}},       {{1, 5, 1}, {1}},
      {{2, 1, 3}, {1}},          {{}, {}},
      {{2, 1, 3}, {}},           {{100000}, {0}},
      {{100001}, {0}},           {{3, 9000}, {1}},
      {{3001, 7}, {0}},          {{3000, 64}, {0}},
      {{300, 520}, {0}},         {{7, 999}, {1}},
      {{7, 1000}, {1}},          {{600, 5}, {1}},
      {{600, 8}, {1}},           {{3, 901, 5}, {1}},
      {{3, 1900, 12}, {1}},      {{600, 2, 3}, {1}},
      {{40, 9, 11, 10}, {1, 3}},
  };
  return all;
}

TEST(CudaReduce, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64})
    for (const Row& row : rows()) {
      const Tensor x = random_tensor(row.x, 1).to(type);
      const Tensor there = on_device(x);
      const std::string what = name(row, type);
      const auto summed = x.numel() / std::max<std::int64_t>(cpu::sum(x, row.dims).numel(), 1);
      const Tolerance tolerance =
          type == DType::float32 ? cuda_tolerance(type) : cuda_tolerance(type, summed);
      for (const bool keep : {false, true}) {
        const Tensor y = cpu::sum(x, row.dims, keep), mean = cpu::mean(x, row.dims, keep);
        expect_close(to_host(cuda::sum(there, row.dims, keep)), y, tolerance, what);
        expect_close(to_host(cuda::mean(there, row.dims, keep)), mean, tolerance, what);
        const Tensor grad_y = random_tensor(y.shape(), 2).to(type), grad_there = on_device(grad_y);
        expect_same_bits(to_host(cuda::sum_backward(grad_there, row.x, row.dims)),
                         cpu::sum_backward(grad_y, row.x, row.dims), what);
        expect_same_bits(to_host(cuda::mean_backward(grad_there, row.x, row.dims)),
                         cpu::mean_backward(grad_y, row.x, row.dims), what);
      }
    }
}

TEST(CudaReduce, SumsAreTheSameEachTime) {
  DCL_NEEDS_DEVICE();
  const Tensor x = on_device(random_tensor({20000, 3}, 3).to(DType::float32));
  expect_same_bits(to_host(cuda::sum(x)), to_host(cuda::sum(x)));
  expect_same_bits(to_host(cuda::sum(x, {0})), to_host(cuda::sum(x, {0})));
}

// A running float sum of more than 2^24 ones would stop growing; this one is rounded once.
TEST(CudaReduce, FloatSumsAreRoundedOnce) {
  DCL_NEEDS_DEVICE();
  const Tensor x = random_tensor({5000, 4}, 4, {0, 1}).to(DType::float32);
  const Tensor exact = cpu::sum(x.to(DType::float64), {0});
  expect_close(to_host(cuda::sum(on_device(x), {0})), exact.to(DType::float32), {0, 0});
  const Tensor large = Tensor::from(std::vector<double>{1 << 24, 1, 1, 1, 1, 1}, {6}).to(DType::float32);
  EXPECT_EQ(to_host(cuda::sum(on_device(large))).item(), (1 << 24) + 4);  // 5, to even
}

TEST(CudaReduce, SumTo) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  const Tensor x = random_tensor({2, 3, 4}, 6), there = on_device(x);
  for (const Shape& shape : {Shape{3, 4}, Shape{4}, Shape{1, 3, 1}, Shape{}, Shape{2, 3, 4}, Shape{2, 1, 1}})
    expect_close(to_host(cuda::sum_to(there, shape)), cpu::sum_to(x, shape), {1e-14, 1e-14}, shape.str());
  expect_close(to_host(cuda::sum_to(on_device(Tensor::empty({0, 3})), {3})), Tensor::zeros({3}));
}

// Rows that begin between two lines of 16 bytes.
TEST(CudaReduce, OffTheLines) {
  DCL_NEEDS_DEVICE();
  const Tensor x = random_tensor({65, 70}, 7).to(DType::float32);
  for (const Tensor& part : {x.rows(1, 65), x.rows(1, 65).reshape({70, 64})}) {
    const Tensor there = on_device(x).rows(1, 65).reshape(part.shape());
    for (const std::vector<int>& dims : {std::vector{0}, std::vector{1}, std::vector{0, 1}})
      expect_close(to_host(cuda::sum(there, dims)), cpu::sum(part, dims), cuda_tolerance(DType::float32));
  }
}

// What bfloat16 is: sums of its exact numbers, four at a time in float.
TEST(CudaReduce, ColumnSums) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16})
    for (const Shape& shape : {Shape{1, 1}, Shape{5, 3}, Shape{0, 3}, Shape{3, 0}, Shape{2, 7, 5, 16},
                               Shape{3000, 64}, Shape{3001, 33}, Shape{70, 1030}, Shape{5000, 1}}) {
      const Tensor x = random_tensor(shape, 8).to(type);
      const std::int64_t columns = shape[-1], count = columns == 0 ? 0 : x.numel() / columns;
      const Tensor expected = cpu::sum_to(x.to(DType::float64), {columns});
      const Tensor actual = to_host(cuda::column_sums("test", on_device(x), columns));
      EXPECT_EQ(actual.dtype(), parameter_dtype(type));
      const DType sums = parameter_dtype(type);
      expect_close(actual, expected, cuda_tolerance(sums, count),
                   fmt::format("{} {}", name_of(type), shape.str()));
    }
}

TEST(CudaReduce, Empty) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  const auto empty = [](const Shape& shape) { return on_device(Tensor::empty(shape)); };
  expect_close(to_host(cuda::sum(empty({0, 3}), {0})), Tensor::zeros({3}));
  expect_close(to_host(cuda::sum(empty({0, 3, 4}), {0, 2})), Tensor::zeros({3}));
  expect_close(to_host(cuda::sum(empty({0, 3}), {1})), Tensor::zeros({0}));
  expect_close(to_host(cuda::sum(empty({0}))), Tensor::zeros({}));
  expect_error([&] { cuda::mean(empty({0, 3})); }, {"mean", "[0,3]", "no elements"});
}

TEST(CudaReduce, Errors) {
  DCL_NEEDS_DEVICE();
  const auto zeros = [](const Shape& shape, DType type = DType::float32) {
    return on_device(Tensor::zeros(shape, {type, {}}));
  };
  const Tensor x = zeros({2, 3});
  expect_error([&] { cuda::sum(x, {2}); }, {"sum", "dimension 2", "[2,3]"});
  expect_error([&] { cuda::sum(x, {1, -1}); }, {"sum", "dimension -1", "named twice"});
  expect_error([&] { cuda::sum_to(x, {2}); }, {"sum_to", "[2]", "[2,3]"});
  expect_error([&] { cuda::sum_backward(zeros({2}), {2, 3}, {0}); }, {"sum", "[2]", "[2,3]"});
  expect_error([&] { cuda::sum(zeros({2}, DType::int64)); }, {"sum", "float32 or float64", "int64"});
  expect_error([&] { cuda::mean(Tensor()); }, {"mean", "x is undefined"});
}

}  // namespace
}  // namespace dcl::test
