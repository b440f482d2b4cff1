#include "tensor/ops/upsample_bilinear2d.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::UpsampleParams;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  const char* name;
  Shape x;
  std::int64_t out_h;
  std::int64_t out_w;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {"twice", {1, 2, 3, 4}, 4, 6},          {"odd sizes", {2, 3, 5, 1}, 7, 4},
      {"much larger", {1, 3, 2, 2}, 29, 33},  {"smaller", {1, 5, 6, 12}, 2, 3},
      {"much smaller", {1, 29, 31, 2}, 3, 2}, {"same size", {1, 3, 3, 2}, 3, 3},
      {"from one pixel", {2, 1, 1, 3}, 3, 2}, {"to one pixel", {1, 4, 3, 2}, 1, 1},
      {"one row", {1, 1, 4, 1}, 3, 7},        {"wide rows", {1, 2, 100, 8}, 3, 150},
      {"no pictures", {0, 2, 2, 3}, 4, 4},    {"no channels", {1, 2, 2, 0}, 4, 4}};
  return all;
}

TEST(CudaUpsampleBilinear2d, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64})
    for (const bool align_corners : {false, true})
      for (const Row& row : rows()) {
        SCOPED_TRACE(row.name);
        const UpsampleParams params{row.out_h, row.out_w, align_corners};
        const Tensor x = random_tensor(row.x, 1).to(type);
        const Tensor expected = cpu::upsample_bilinear2d(x, params);
        expect_close(to_host(cuda::upsample_bilinear2d(on_device(x), params)), expected,
                     cuda_tolerance(type, 4));
        const Tensor grad_y = random_tensor(expected.shape(), 2).to(type);
        expect_close(to_host(cuda::upsample_bilinear2d_backward(on_device(grad_y), row.x, params)),
                     cpu::upsample_bilinear2d_backward(grad_y, row.x, params), cuda_tolerance(type, 100));
      }
}

// The kernel guesses which outputs to ask; none may be missing, whatever the two sizes.
TEST(CudaUpsampleBilinear2d, GradientsFindAllThatTookFromAPixel) {
  DCL_NEEDS_DEVICE();
  for (const bool align_corners : {false, true})
    for (std::int64_t in = 1; in <= 8; ++in)
      for (std::int64_t out = 1; out <= 25; ++out) {
        SCOPED_TRACE(fmt::format("{} to {}", in, out));
        const UpsampleParams params{out, 1, align_corners};
        const Tensor ones = Tensor::full({1, out, 1, 1}, 1, {DType::float64, {}});
        expect_close(to_host(cuda::upsample_bilinear2d_backward(on_device(ones), {1, in, 1, 1}, params)),
                     cpu::upsample_bilinear2d_backward(ones, {1, in, 1, 1}, params), {1e-12, 1e-13});
      }
}

TEST(CudaUpsampleBilinear2d, Errors) {
  DCL_NEEDS_DEVICE();
  const Tensor x = on_device(Tensor::zeros({1, 2, 2, 3}));
  expect_error([&] { cuda::upsample_bilinear2d(x, {0, 4}); }, {"upsample_bilinear2d", "0x4"});
  expect_error([&] { cuda::upsample_bilinear2d_backward(x, {1, 2, 2, 3}, {4, 4}); },
               {"upsample_bilinear2d", "grad_y", "[1,2,2,3]", "[1,4,4,3]"});
  expect_error([&] { cuda::upsample_bilinear2d(x.reshape({2, 2, 3}), {4, 4}); },
               {"upsample_bilinear2d", "[2,2,3]", "4 dimensions"});
}

}  // namespace
}  // namespace dcl::test
