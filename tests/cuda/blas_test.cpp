#include "tensor/cuda/blas.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::cuda::gemm;
using tensor::cuda::GemmParams;

struct Types {
  DType input, output;
};
const std::vector<Types>& all_types() {
  static const std::vector<Types> all{{DType::float32, DType::float32},
                                      {DType::float64, DType::float64},
                                      {DType::bfloat16, DType::float32},
                                      {DType::bfloat16, DType::bfloat16}};
  return all;
}

// The matrices of a batch, `extra` numbers after each row.
Shape stored(std::int64_t batch, std::int64_t rows, std::int64_t columns, std::int64_t extra) {
  return {batch, rows, columns + extra};
}

struct Matrices {
  Tensor a, b, c, bias;  // float64, rounded to the types of the product
};

Tensor reference(const GemmParams& p, const Matrices& in) {
  Tensor y = in.c.clone();
  for (std::int64_t i = 0; i < p.batch; ++i)
    for (std::int64_t row = 0; row < p.m; ++row)
      for (std::int64_t column = 0; column < p.n; ++column) {
        double sum = 0;
        for (std::int64_t k = 0; k < p.k; ++k) {
          const std::int64_t at_a = p.transpose_a ? k * p.lda + row : row * p.lda + k;
          const std::int64_t at_b = p.transpose_b ? column * p.ldb + k : k * p.ldb + column;
          sum += in.a.data<double>()[i * p.stride_a + at_a] * in.b.data<double>()[i * p.stride_b + at_b];
        }
        double& to = y.data<double>()[i * p.stride_c + row * p.ldc + column];
        to = p.alpha * sum + (p.beta == 0 ? 0 : p.beta * to) +
             (in.bias.defined() ? in.bias.data<double>()[column] : 0);
      }
  return y;
}

// `extra` numbers after each row; with `shared` one B for the whole batch.
void compare(GemmParams p, std::int64_t extra, bool shared, bool with_bias) {
  const Shape a_shape = stored(p.batch, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, extra);
  const Shape b_shape =
      stored(shared ? 1 : p.batch, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, extra);
  const Shape c_shape = stored(p.batch, p.m, p.n, extra);
  p.lda = a_shape[2];
  p.ldb = b_shape[2];
  p.ldc = c_shape[2];
  p.stride_a = a_shape[1] * a_shape[2];
  p.stride_b = shared ? 0 : b_shape[1] * b_shape[2];
  p.stride_c = c_shape[1] * c_shape[2];
  const auto rounded = [](const Tensor& x, DType type) { return x.to(type).to(DType::float64); };
  Matrices in{rounded(random_tensor(a_shape, 1), p.input),
              rounded(random_tensor(b_shape, 2), p.input),
              rounded(random_tensor(c_shape, 3), p.output),
              {}};
  if (with_bias) in.bias = rounded(random_tensor({p.n}, 4), p.output);
  const Tensor a = on_device(in.a.to(p.input)), b = on_device(in.b.to(p.input));
  const Tensor bias = with_bias ? on_device(in.bias.to(p.output)) : Tensor();
  Tensor c = on_device(in.c.to(p.output));
  gemm("test", p, a.raw(), b.raw(), c.raw(), with_bias ? bias.raw() : nullptr);
  expect_close(to_host(c), reference(p, in), cuda_tolerance(p.output, p.k + 2),
               fmt::format("{} {} {}x{}x{}, {} times, {}{}, extra {}, bias {}", name_of(p.input),
                           name_of(p.output), p.m, p.k, p.n, p.batch, p.transpose_a ? "T" : "N",
                           p.transpose_b ? "T" : "N", extra, with_bias));
}

TEST(CudaBlas, ProductsOfAllTypesAndLayouts) {
  DCL_NEEDS_DEVICE();
  for (const Types& types : all_types())
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true})
        for (const auto& [m, k, n] : {std::array{3, 4, 5}, {1, 1, 1}, {7, 64, 1}, {1, 33, 9}, {70, 130, 48}})
          for (const bool with_bias : {false, true})
            compare({.m = m,
                     .n = n,
                     .k = k,
                     .transpose_a = transpose_a,
                     .transpose_b = transpose_b,
                     .input = types.input,
                     .output = types.output},
                    with_bias ? 3 : 0, false, with_bias);
}

TEST(CudaBlas, BatchesFactorsAndGaps) {
  DCL_NEEDS_DEVICE();
  for (const Types& types : all_types())
    for (const bool shared : {false, true})
      for (const double beta : {0.0, 1.0, -0.5})
        compare({.m = 9,
                 .n = 17,
                 .k = 20,
                 .transpose_b = shared,
                 .batch = 3,
                 .input = types.input,
                 .output = types.output,
                 .alpha = 1.5,
                 .beta = beta},
                5, shared, beta != 0);
}

TEST(CudaBlas, NothingToMultiply) {
  DCL_NEEDS_DEVICE();
  for (const Types& types : all_types())
    for (const bool with_bias : {false, true})
      for (const double beta : {0.0, 2.0})
        compare({.m = 3, .n = 5, .k = 0, .input = types.input, .output = types.output, .beta = beta}, 0,
                false, with_bias);
  compare({.m = 0, .n = 5, .k = 3}, 0, false, false);
  compare({.m = 5, .n = 0, .k = 3}, 0, false, false);
  compare({.m = 5, .n = 2, .k = 3, .batch = 0}, 0, false, false);
}

// Nobody has written C before.
TEST(CudaBlas, OnlyWritesWithoutBeta) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  const Tensor a = random_tensor({4, 4}, 1);
  const Tensor device_a = on_device(a);
  Tensor c = Tensor::empty({4, 4}, device_a.options());
  gemm("test", {.m = 4, .n = 4, .k = 4, .input = DType::float64, .output = DType::float64}, device_a.raw(),
       device_a.raw(), c.raw());
  for (const double value : to_host(c).to_vector<double>()) EXPECT_FALSE(std::isnan(value));
}

TEST(CudaBlas, Errors) {
  float x = 0;
  const auto call = [&x](const GemmParams& p) { return [&x, p] { gemm("conv2d", p, &x, &x, &x); }; };
  expect_error(call({.m = 1, .n = 1, .k = -1}), {"conv2d", "-1"});
  expect_error(call({.m = 2, .n = 2, .k = 3, .lda = 2}), {"conv2d", "lda", "2", "3"});
  expect_error(call({.m = 1, .n = 1, .k = 1, .output = DType::float64}), {"conv2d", "float32", "float64"});
  expect_error(call({.m = 1, .n = 1, .k = 1, .input = DType::int64, .output = DType::int64}), {"int64"});
}

}  // namespace
}  // namespace dcl::test
