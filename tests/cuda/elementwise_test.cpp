#include "tensor/ops/elementwise.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::BinaryOp;
using tensor::DType;
using tensor::UnaryOp;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

constexpr std::array kTypes{DType::float32, DType::float64, DType::bfloat16};
constexpr std::array kUnaryOps{UnaryOp::neg,  UnaryOp::exp,     UnaryOp::log, UnaryOp::sqrt,
                               UnaryOp::tanh, UnaryOp::sigmoid, UnaryOp::relu};
constexpr std::array kBinaryOps{BinaryOp::add, BinaryOp::sub, BinaryOp::mul, BinaryOp::div};

// Less than a line of 16 bytes, lines and a rest, more than the grid holds at once.
TEST(CudaElementwise, UnaryIsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : kTypes)
    for (const UnaryOp op : kUnaryOps)
      for (const Shape& shape : {Shape{}, Shape{0}, Shape{5}, Shape{3, 1, 7}, Shape{16}, Shape{61, 67}}) {
        SCOPED_TRACE(fmt::format("{} of {} {}", name_of(op), name_of(type), shape.str()));
        const bool positive = op == UnaryOp::log || op == UnaryOp::sqrt;
        const Tensor x = random_tensor(shape, 1, {positive ? 0.1 : -3, 3}).to(type);
        const Tensor grad_y = random_tensor(shape, 2).to(type);
        const Tensor y = cpu::unary(op, x);
        expect_close(to_host(cuda::unary(op, on_device(x))), y, cuda_tolerance(type));
        const Tensor& saved = saves_output(op) ? y : x;
        expect_close(to_host(cuda::unary_backward(op, on_device(saved), on_device(grad_y))),
                     cpu::unary_backward(op, saved, grad_y), cuda_tolerance(type));
      }
}

struct Row {
  Shape a, b;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{{{2, 3, 4}, {2, 3, 4}},
                                    {{2, 3}, {}},
                                    {{}, {5}},
                                    {{1}, {3, 2}},
                                    {{2, 3, 4}, {4}},
                                    {{3, 4}, {3, 1}},
                                    {{2, 3, 4}, {2, 1, 4}},
                                    {{5, 1}, {1, 6}},
                                    {{2, 1, 4, 1}, {3, 1, 5}},
                                    {{1, 1}, {1}},
                                    {{3, 2, 2}, {3, 1, 1}},
                                    {{0, 3}, {3}},
                                    {{0}, {}},
                                    {{57, 64}, {64}},
                                    {{64}, {57, 64}},
                                    {{57, 64}, {57, 1}},
                                    {{7, 1, 16}, {1, 9, 16}},
                                    {{7, 1, 16}, {9, 1}},
                                    {{61, 67}, {61, 67}},
                                    {{1}, {61, 67}}};
  return all;
}

TEST(CudaElementwise, BinaryIsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : kTypes)
    for (const BinaryOp op : kBinaryOps)
      for (const Row& row : rows()) {
        SCOPED_TRACE(fmt::format("{} of {} {} and {}", name_of(op), name_of(type), row.a.str(), row.b.str()));
        const Tensor a = random_tensor(row.a, 3).to(type);
        const Tensor b = random_tensor(row.b, 4, {0.5, 2}).to(type);
        const Tensor y = cpu::binary(op, a, b);
        const Tensor grad_y = random_tensor(y.shape(), 5).to(type);
        const Tensor a_there = on_device(a), b_there = on_device(b), grad_there = on_device(grad_y);
        expect_close(to_host(cuda::binary(op, a_there, b_there)), y, cuda_tolerance(type));
        expect_close(to_host(cuda::binary_backward_a(op, a_there, b_there, grad_there)),
                     cpu::binary_backward_a(op, a, b, grad_y), cuda_tolerance(type));
        expect_close(to_host(cuda::binary_backward_b(op, a_there, b_there, grad_there)),
                     cpu::binary_backward_b(op, a, b, grad_y), cuda_tolerance(type));
      }
}

TEST(CudaElementwise, NamesOfBinaryOps) {
  DCL_NEEDS_DEVICE();
  const Tensor a = random_tensor({3, 5}, 6), b = random_tensor({5}, 7, {0.5, 2});
  const Tensor a_there = on_device(a), b_there = on_device(b);
  expect_same_bits(to_host(cuda::add(a_there, b_there)), cpu::add(a, b));
  expect_same_bits(to_host(cuda::sub(a_there, b_there)), cpu::sub(a, b));
  expect_same_bits(to_host(cuda::mul(a_there, b_there)), cpu::mul(a, b));
  expect_same_bits(to_host(cuda::div(a_there, b_there)), cpu::div(a, b));
}

// Rows that begin between two lines of 16 bytes.
TEST(CudaElementwise, TensorsOffTheLines) {
  DCL_NEEDS_DEVICE();
  for (const DType type : kTypes) {
    const Tensor a = random_tensor({40, 33}, 8).to(type), b = random_tensor({40, 33}, 9).to(type);
    const Tensor a_there = on_device(a), b_there = on_device(b);
    expect_same_bits(to_host(cuda::add(a_there.rows(1, 40), b_there.rows(0, 39))),
                     cpu::add(a.rows(1, 40), b.rows(0, 39)));
    expect_same_bits(to_host(cuda::add(a_there.rows(1, 40), b_there.rows(3, 4))),
                     cpu::add(a.rows(1, 40), b.rows(3, 4)));
  }
}

TEST(CudaElementwise, AddInplace) {
  DCL_NEEDS_DEVICE();
  for (const DType type : kTypes)
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{3, 3}, Shape{71, 73}}) {
      const Tensor a = random_tensor(shape, 10).to(type), b = random_tensor(shape, 11).to(type);
      Tensor sum = on_device(a.clone());
      cuda::add_inplace(sum, on_device(b));
      Tensor expected = a.clone();
      cpu::add_inplace(expected, b);
      expect_same_bits(to_host(sum), expected);
      Tensor twice = on_device(a.clone());
      cuda::add_inplace(twice, twice);
      expect_same_bits(to_host(twice), cpu::add(a, a));
    }
}

TEST(CudaElementwise, ScaleAndExpand) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64}) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{61, 67}}) {
      const Tensor x = random_tensor(shape, 12).to(type);
      expect_same_bits(to_host(cuda::scale(on_device(x), -0.3)), cpu::scale(x, -0.3));
    }
    for (const Row& row : {Row{{3, 1}, {2, 3, 2}},
                           {{}, {61, 67}},
                           {{16}, {70, 16}},
                           {{70, 1}, {70, 16}},
                           {{3, 5}, {3, 5}},
                           {{1, 4}, {0, 4}},
                           {{7, 1, 3, 1}, {2, 7, 4, 3, 8}}}) {
      const Tensor x = random_tensor(row.a, 13).to(type);
      expect_same_bits(to_host(cuda::expand(on_device(x), row.b)), cpu::expand(x, row.b));
    }
  }
}

TEST(CudaElementwise, ExtremesStayWhatTheyAre) {
  DCL_NEEDS_DEVICE();
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = Tensor::from(std::vector<double>{-1e4, 1e4, -inf, inf, nan}, {5});
  for (const DType type : kTypes)
    for (const UnaryOp op : {UnaryOp::sigmoid, UnaryOp::tanh, UnaryOp::relu, UnaryOp::exp})
      expect_close(to_host(cuda::unary(op, on_device(x.to(type)))), cpu::unary(op, x.to(type)));
  const Tensor y = cpu::unary(UnaryOp::relu, x), grad = Tensor::full({5}, inf, x.options());
  expect_close(to_host(cuda::unary_backward(UnaryOp::relu, on_device(y), on_device(grad))),
               cpu::unary_backward(UnaryOp::relu, y, grad));
}

TEST(CudaElementwise, Errors) {
  DCL_NEEDS_DEVICE();
  const Tensor a = on_device(Tensor::zeros({2, 3}));
  const auto zeros = [](const Shape& shape, DType type = DType::float32) {
    return on_device(Tensor::zeros(shape, {type, {}}));
  };
  expect_error([&] { cuda::add(a, zeros({2, 4})); }, {"add", "[2,3]", "[2,4]"});
  expect_error([&] { cuda::mul(a, zeros({2, 3}, DType::float64)); },
               {"mul", "float32 [2,3]", "float64 [2,3]"});
  expect_error([&] { cuda::div(Tensor(), a); }, {"div", "a is undefined"});
  Tensor into = a.clone();
  expect_error([&] { cuda::add_inplace(into, zeros({3})); }, {"add_inplace", "[3]", "[2,3]"});
  expect_error([&] { cuda::expand(a, {3}); }, {"expand", "[2,3]", "[3]"});
  expect_error([&] { cuda::unary(UnaryOp::relu, zeros({2}, DType::int64)); }, {"relu", "int64"});
  expect_error([&] { cuda::scale(zeros({2}, DType::bfloat16), 2); }, {"scale", "float32 or float64"});
}

}  // namespace
}  // namespace dcl::test
