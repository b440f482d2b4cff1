#include "tensor/ops/linear.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  Shape x;
  std::int64_t out;
};

// Also sizes that are no multiple of a tile or a pack, more rows than one block sums, and nothing at all.
const std::vector<Row>& rows() {
  static const std::vector<Row> table{{{3, 4}, 5},    {{1, 4}, 2},        {{4}, 3},         {{1}, 1},
                                      {{67}, 33},     {{2, 3, 2}, 4},     {{5, 1}, 1},      {{1, 1, 1}, 7},
                                      {{9, 8}, 16},   {{130, 70}, 91},    {{257, 128}, 64}, {{3, 43, 65}, 17},
                                      {{3001, 5}, 3}, {{0, 3}, 5},        {{2, 0, 3}, 4},   {{4, 3}, 0},
                                      {{4, 0}, 3},    {{5, 3, 600}, 130}, {{2, 513}, 1},    {{6, 1}, 1025}};
  return table;
}

TEST(CudaLinear, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16})
    for (const Row& row : rows()) {
      SCOPED_TRACE(fmt::format("{} {} to {}", name_of(type), row.x.str(), row.out));
      const std::int64_t in = row.x[-1];
      // The CPU has no layer of 0 features in bfloat16.
      if (type == DType::bfloat16 && (in == 0 || row.out == 0)) continue;
      const DType type_beside = parameter_dtype(type);
      const Tensor x = random_tensor(row.x, 1).to(type);
      const Tensor weight = random_tensor({row.out, in}, 2).to(type_beside);
      for (const Tensor& bias : {random_tensor({row.out}, 3).to(type_beside), Tensor()}) {
        const Tensor y = to_host(cuda::linear(on_device(x), on_device(weight), on_device(bias)));
        EXPECT_EQ(y.dtype(), type);
        expect_close(y, cpu::linear(x, weight, bias), cuda_tolerance(type, in), "y");
      }
      const Tensor grad_y = random_tensor(with_last_size(row.x, row.out), 4).to(type);
      const std::int64_t count = in == 0 ? row.x[0] : x.numel() / in;
      const Tensor grad_x = to_host(cuda::linear_backward_x(on_device(grad_y), on_device(weight)));
      EXPECT_EQ(grad_x.dtype(), type);
      expect_close(grad_x, cpu::linear_backward_x(grad_y, weight), cuda_tolerance(type, row.out), "grad_x");
      const Tensor grad_weight = to_host(cuda::linear_backward_weight(on_device(grad_y), on_device(x)));
      EXPECT_EQ(grad_weight.dtype(), type_beside);
      expect_close(grad_weight, cpu::linear_backward_weight(grad_y, x), cuda_tolerance(type_beside, count),
                   "grad_weight");
      const Tensor grad_bias = to_host(cuda::linear_backward_bias(on_device(grad_y)));
      EXPECT_EQ(grad_bias.dtype(), type_beside);
      expect_close(grad_bias, cpu::linear_backward_bias(grad_y), cuda_tolerance(type_beside, count),
                   "grad_bias");
    }
}

// The bias is added before the sum is rounded to bfloat16: 256 + 1 + 1 is 258, not (256 + 1 = 256) + 1.
TEST(CudaLinear, RoundsOnce) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  const Tensor x = Tensor::from(std::vector<float>{256, 1}, {1, 2}).to(DType::bfloat16);
  const Tensor weight = Tensor::from(std::vector<float>{1, 1}, {1, 2});
  const Tensor bias = Tensor::from(std::vector<float>{1}, {1});
  expect_close(to_host(cuda::linear(on_device(x), on_device(weight), on_device(bias))),
               Tensor::from(std::vector<float>{258}, {1, 1}), {0, 0});
}

TEST(CudaLinear, ErrorsAreTheCpus) {
  DCL_NEEDS_DEVICE();
  const auto text_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const auto zeros = [](const Shape& shape, DType type = DType::float32) {
    return Tensor::zeros(shape, {type, {}});
  };
  const auto forward = [&](const Tensor& x, const Tensor& weight, const Tensor& bias, const auto&... parts) {
    const auto call = [&] { cuda::linear(on_device(x), on_device(weight), on_device(bias)); };
    expect_error(call, {"linear", parts...});
    EXPECT_EQ(text_of(call), text_of([&] { cpu::linear(x, weight, bias); }));
  };
  const Tensor x = zeros({2, 3}), weight = zeros({5, 4});
  forward(x, weight, {}, "4 features", "[2,3]", "[5,4]");
  forward(x, zeros({5, 3}), zeros({4}), "bias", "[4]", "[5]");
  forward(x, zeros({5, 3}), zeros({5}, DType::bfloat16), "bias", "bfloat16", "float32");
  forward(x, zeros({3}), {}, "weight", "[3]", "2 dimensions");
  forward(zeros({}), weight, {}, "x is []");
  forward({}, weight, {}, "x is undefined");
  forward(x, {}, {}, "weight is undefined");
  forward(x, zeros({5, 3}, DType::float64), {}, "weight", "float64", "float32");
  forward(zeros({2, 2}, DType::bfloat16), zeros({2, 2}, DType::bfloat16), {}, "weight", "float32",
          "bfloat16");
  forward(zeros({2, 2}, DType::int64), zeros({2, 2}, DType::int64), {}, "float32, float64 or bfloat16",
          "int64");

  const auto backward = [&](const auto& on_gpu, const auto& on_cpu, const Tensor& a, const Tensor& b,
                            const auto&... parts) {
    const auto call = [&] { on_gpu(on_device(a), on_device(b)); };
    expect_error(call, {"linear", parts...});
    EXPECT_EQ(text_of(call), text_of([&] { on_cpu(a, b); }));
  };
  backward(cuda::linear_backward_x, cpu::linear_backward_x, x, weight, "grad_y", "[2,3]", "[5,4]");
  backward(cuda::linear_backward_weight, cpu::linear_backward_weight, zeros({4, 5}), x, "[4,5]", "[2,3]");
  backward(cuda::linear_backward_weight, cpu::linear_backward_weight, zeros({2, 5}, DType::float64), x,
           "grad_y", "float64", "float32");
  expect_error([&] { cuda::linear_backward_bias(on_device(zeros({}))); }, {"linear", "grad_y is", "[]"});
}

}  // namespace
}  // namespace dcl::test
