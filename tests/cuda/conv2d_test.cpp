#include "tensor/ops/conv2d.h"

#include <cmath>
#include <string>
#include <vector>

#include "tensor/ops/elementwise.h"
#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::Conv2dParams;
using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  const char* name;
  Shape x;       // [N,H,W,I]
  Shape weight;  // [O,kH,kW,I/groups]
  Conv2dParams params;
  bool bias = false;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {"1x1", {2, 3, 4, 5}, {6, 1, 1, 5}, {}, true},
      {"1x1, stride 2", {2, 5, 4, 3}, {4, 1, 1, 3}, {.stride = 2}},
      {"1x1, padding 1", {1, 3, 2, 2}, {3, 1, 1, 2}, {.padding = 1}, true},
      {"1x1, channels in eights", {2, 7, 7, 64}, {32, 1, 1, 64}, {}, true},
      {"3x3", {2, 5, 4, 3}, {4, 3, 3, 3}, {.padding = 1}},
      {"3x3, no padding", {1, 5, 6, 2}, {3, 3, 3, 2}, {}, true},
      {"3x3, stride 2", {2, 7, 6, 3}, {2, 3, 3, 3}, {.stride = 2, .padding = 1}},
      {"3x3, stride 3", {1, 8, 7, 2}, {3, 3, 3, 2}, {.stride = 3, .padding = 1}, true},
      {"3x3, stride above the kernel", {1, 9, 10, 2}, {2, 3, 3, 2}, {.stride = 4, .padding = 1}},
      {"2x2, padding above the kernel", {1, 3, 2, 2}, {2, 2, 2, 2}, {.padding = 3}, true},
      {"3x3, dilation 2", {1, 6, 7, 2}, {3, 3, 3, 2}, {.padding = 2, .dilation = 2}},
      {"3x3, dilation 3, stride 2", {1, 9, 8, 2}, {2, 3, 3, 2}, {.stride = 2, .padding = 3, .dilation = 3}},
      {"3x3, two groups", {2, 4, 5, 4}, {6, 3, 3, 2}, {.padding = 1, .groups = 2}, true},
      {"3x3, two groups of eight", {3, 5, 5, 16}, {16, 3, 3, 8}, {.stride = 2, .padding = 1, .groups = 2}},
      {"3x3, depthwise", {2, 4, 3, 5}, {5, 3, 3, 1}, {.padding = 1, .groups = 5}, true},
      {"3x3, depthwise, two outputs each", {1, 5, 4, 3}, {6, 3, 3, 1}, {.stride = 2, .groups = 3}},
      {"7x7 stem", {3, 21, 23, 3}, {8, 7, 7, 3}, {.stride = 2, .padding = 3}, true},
      {"3x3, channels in eights", {5, 9, 11, 16}, {24, 3, 3, 16}, {.padding = 1}, true},
      {"3x3, odd channels", {4, 8, 9, 33}, {37, 3, 3, 33}, {.padding = 1}, true},
      {"3x3, pictures in several parts", {7, 4, 5, 3}, {4, 3, 3, 3}, {.padding = 1}, true},
      {"kernel of 2x3", {1, 5, 4, 2}, {3, 2, 3, 2}, {.padding = 1}},
      {"kernel of 1x3, stride 2", {1, 5, 7, 2}, {3, 1, 3, 2}, {.stride = 2}},
      {"pictures of one pixel", {3, 1, 1, 4}, {5, 3, 3, 4}, {.padding = 1}, true},
      {"one of everything", {1, 1, 1, 1}, {1, 1, 1, 1}, {}, true},
      {"one row of pixels", {1, 1, 6, 2}, {3, 3, 3, 2}, {.padding = 1}},
      {"no pictures", {0, 5, 6, 3}, {4, 3, 3, 3}, {.stride = 2, .padding = 1}, true},
      {"no pictures, two groups", {0, 5, 6, 4}, {4, 3, 3, 2}, {.padding = 1, .groups = 2}},
  };
  return all;
}

// Random inputs of a row: activations of `type`, parameters of parameter_dtype(type).
struct Inputs {
  Tensor x, weight, bias, dy;
  Inputs(const Row& row, DType type)
      : x(random_tensor(row.x, 1).to(type)),
        weight(random_tensor(row.weight, 2).to(parameter_dtype(type))),
        dy(random_tensor(tensor::conv2d_sizes(row.x, row.weight, row.params).out_shape(), 3).to(type)) {
    if (row.bias) bias = random_tensor({row.weight[0]}, 4).to(parameter_dtype(type));
  }
};

// A sum of `terms` products of numbers below 1, which may be rounded to bfloat16 before the bias joins it.
Tolerance tolerance(DType type, std::int64_t terms, bool bias) {
  const double scale = std::sqrt(static_cast<double>(terms));
  Tolerance t = cuda_tolerance(type, terms, std::max(scale, 1.0));
  if (bias && type == DType::bfloat16) t.atol += std::ldexp(scale, -8);
  return t;
}

void expect_the_cpus(const Row& row, DType type) {
  SCOPED_TRACE(std::string(row.name) + ", " + std::string(name_of(type)));
  const Inputs in(row, type);
  const auto z = tensor::conv2d_sizes(row.x, row.weight, row.params);
  const std::int64_t taps = z.kernel_h * z.kernel_w;
  const Tensor x = on_device(in.x);
  const Tensor weight = on_device(in.weight);
  const Tensor dy = on_device(in.dy);
  const Tensor y = to_host(cuda::conv2d(x, weight, on_device(in.bias), row.params));
  EXPECT_EQ(y.dtype(), type);
  expect_close(y, cpu::conv2d(in.x, in.weight, in.bias, row.params),
               tolerance(type, taps * z.group_in() + 1, row.bias), "y");
  const Tensor dx = to_host(cuda::conv2d_backward_input(dy, weight, row.x, row.params));
  EXPECT_EQ(dx.dtype(), type);
  expect_close(dx, cpu::conv2d_backward_input(in.dy, in.weight, row.x, row.params),
               tolerance(type, taps * z.group_out(), false), "dx");
  const Tensor sum = on_device(in.x);
  expect_close(to_host(cuda::conv2d_backward_input(dy, weight, row.x, row.params, sum)), cpu::add(dx, in.x),
               {1e-6, 1e-6}, "dx + sum");
  expect_same_bits(to_host(sum), in.x, "sum");
  const Tensor dweight = to_host(cuda::conv2d_backward_weight(dy, x, row.weight, row.params));
  EXPECT_EQ(dweight.dtype(), parameter_dtype(type));
  expect_close(dweight, cpu::conv2d_backward_weight(in.dy, in.x, row.weight, row.params),
               tolerance(type, z.out_rows(), false), "dweight");
}

TEST(CudaConv2d, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16})
    for (const Row& row : rows()) expect_the_cpus(row, type);
}

// A slice of rows begins at an address that no vector of numbers may begin at.
TEST(CudaConv2d, SlicesOfRows) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::bfloat16}) {
    const Row row{"slice", {3, 3, 3, 3}, {5, 3, 3, 3}, {.padding = 1}};
    const Inputs in(row, type);
    const Tensor x = on_device(in.x).rows(1, 3);
    const Tensor dy = on_device(in.dy).rows(1, 3);
    const Tensor weight = on_device(in.weight);
    const Tolerance close = tolerance(type, 27, false);
    expect_close(to_host(cuda::conv2d(x, weight, {}, row.params)),
                 cpu::conv2d(in.x.rows(1, 3), in.weight, {}, row.params), close, "y");
    expect_close(to_host(cuda::conv2d_backward_input(dy, weight, x.shape(), row.params)),
                 cpu::conv2d_backward_input(in.dy.rows(1, 3), in.weight, x.shape(), row.params), close, "dx");
    expect_close(to_host(cuda::conv2d_backward_weight(dy, x, row.weight, row.params)),
                 cpu::conv2d_backward_weight(in.dy.rows(1, 3), in.x.rows(1, 3), row.weight, row.params),
                 close, "dweight");
  }
}

TEST(CudaConv2d, SameBitsInEveryRun) {
  DCL_NEEDS_DEVICE();
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16}) {
    const Row row{"3x3", {6, 9, 11, 16}, {24, 3, 3, 16}, {.padding = 1}};
    const Inputs in(row, type);
    const Tensor x = on_device(in.x);
    const Tensor dy = on_device(in.dy);
    const Tensor weight = on_device(in.weight);
    const auto run = [&] {
      return std::vector<Tensor>{to_host(cuda::conv2d(x, weight, {}, row.params)),
                                 to_host(cuda::conv2d_backward_input(dy, weight, row.x, row.params)),
                                 to_host(cuda::conv2d_backward_weight(dy, x, row.weight, row.params))};
    };
    const auto once = run();
    const auto again = run();
    for (std::size_t i = 0; i < once.size(); ++i) expect_same_bits(again[i], once[i]);
  }
}

TEST(CudaConv2d, Errors) {
  DCL_NEEDS_DEVICE();
  const Tensor x = on_device(Tensor::zeros({1, 4, 4, 2}));
  const Tensor weight = on_device(Tensor::zeros({3, 1, 1, 2}));
  expect_error([&] { cuda::conv2d(x, on_device(Tensor::zeros({3, 1, 1, 4})), {}, {}); },
               {"conv2d: weight has 4 input channels, x has 2", "[1,4,4,2]"});
  expect_error([&] { cuda::conv2d(x, weight, on_device(Tensor::zeros({4})), {}); },
               {"conv2d", "bias", "[4]", "[3]"});
  expect_error([&] { cuda::conv2d_backward_input(x, weight, {1, 4, 4, 2}, {}); },
               {"conv2d_backward_input", "dy", "[1,4,4,2]", "[1,4,4,3]"});
  expect_error([&] { cuda::conv2d_backward_weight(x, x, {3, 1, 1, 2}, {}); },
               {"conv2d_backward_weight", "dy", "[1,4,4,2]", "[1,4,4,3]"});
}

}  // namespace
}  // namespace dcl::test
