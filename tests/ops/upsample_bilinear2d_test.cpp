#include "tensor/ops/upsample_bilinear2d.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::UpsampleParams;
namespace cpu = tensor::cpu;

struct Row {
  const char* name;
  Shape x;
  std::int64_t out_h, out_w;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{
      {"twice", {1, 2, 3, 2}, 4, 6},          {"odd sizes", {2, 3, 5, 1}, 7, 4},
      {"smaller", {1, 5, 6, 2}, 2, 3},        {"same size", {1, 3, 3, 2}, 3, 3},
      {"from one pixel", {2, 1, 1, 3}, 3, 2}, {"to one pixel", {1, 4, 3, 2}, 1, 1},
      {"one row", {1, 1, 4, 1}, 3, 7}};
  return table;
}

// The tent function max(0, 1 − |h − i|) over all input pixels, with h clamped to the picture.
double position(std::int64_t out, std::int64_t in_size, std::int64_t out_size, bool align_corners) {
  const double in = static_cast<double>(in_size), p = static_cast<double>(out),
               n = static_cast<double>(out_size);
  const double h = align_corners ? (out_size > 1 ? p * (in - 1) / (n - 1) : 0.0) : (p + 0.5) * in / n - 0.5;
  return std::clamp(h, 0.0, in - 1);
}

Tensor reference(const Tensor& x, const UpsampleParams& p) {
  const std::int64_t height = x.size(1), width = x.size(2), channels = x.size(3);
  Tensor y = Tensor::zeros({x.size(0), p.out_h, p.out_w, channels}, x.options());
  double* out = y.data<double>();
  for (std::int64_t n = 0; n < x.size(0); ++n)
    for (std::int64_t i = 0; i < p.out_h; ++i)
      for (std::int64_t j = 0; j < p.out_w; ++j)
        for (std::int64_t c = 0; c < channels; ++c, ++out)
          for (std::int64_t h = 0; h < height; ++h)
            for (std::int64_t w = 0; w < width; ++w) {
              const double dh =
                  std::abs(position(i, height, p.out_h, p.align_corners) - static_cast<double>(h));
              const double dw =
                  std::abs(position(j, width, p.out_w, p.align_corners) - static_cast<double>(w));
              *out += std::max(0.0, 1 - dh) * std::max(0.0, 1 - dw) *
                      x.data<double>()[((n * height + h) * width + w) * channels + c];
            }
  return y;
}

TEST(UpsampleBilinear2d, ValuesAndGradients) {
  for (const auto& row : rows())
    for (const bool align_corners : {false, true}) {
      const UpsampleParams params{row.out_h, row.out_w, align_corners};
      const std::string name = fmt::format("{}{}", row.name, align_corners ? ", corners aligned" : "");
      const Tensor x = random_tensor(row.x, 1);
      expect_close(cpu::upsample_bilinear2d(x, params), reference(x, params), {1e-12, 1e-13}, name);
      const auto upsample = [&](const auto& in) { return autograd::upsample_bilinear2d(in[0], params); };
      run_gradcheck("upsample_bilinear2d", name, upsample, {x});
      run_float_check("upsample_bilinear2d", name, upsample, {x});
    }
}

TEST(UpsampleBilinear2d, DoesNotDependOnThreads) {
  const UpsampleParams params{9, 11, false};
  const Tensor x = random_tensor({5, 4, 6, 3}, 2), grad_y = random_tensor({5, 9, 11, 3}, 3);
  const int before = cpu::num_threads();
  cpu::set_num_threads(1);
  const Tensor y = cpu::upsample_bilinear2d(x, params);
  const Tensor grad_x = cpu::upsample_bilinear2d_backward(grad_y, x.shape(), params);
  cpu::set_num_threads(3);
  expect_same_bits(cpu::upsample_bilinear2d(x, params), y);
  expect_same_bits(cpu::upsample_bilinear2d_backward(grad_y, x.shape(), params), grad_x);
  cpu::set_num_threads(before);
}

TEST(UpsampleBilinear2d, EmptyAndErrors) {
  EXPECT_EQ(cpu::upsample_bilinear2d(Tensor::empty({0, 2, 2, 3}), {4, 4}).shape(), (Shape{0, 4, 4, 3}));
  const Tensor x = Tensor::zeros({1, 2, 2, 3});
  expect_error([&] { cpu::upsample_bilinear2d(x, {0, 4}); }, {"upsample_bilinear2d", "0x4"});
  expect_error([&] { cpu::upsample_bilinear2d(Tensor::zeros({2, 2, 3}), {4, 4}); },
               {"upsample_bilinear2d", "[2,2,3]", "4 dimensions"});
  expect_error([&] { cpu::upsample_bilinear2d(Tensor::zeros({1, 0, 2, 3}), {4, 4}); },
               {"upsample_bilinear2d", "[1,0,2,3]", "no pixels"});
  expect_error([&] { cpu::upsample_bilinear2d_backward(Tensor::zeros({1, 4, 5, 3}), {1, 2, 2, 3}, {4, 4}); },
               {"upsample_bilinear2d", "grad_y", "[1,4,5,3]", "[1,4,4,3]"});
  expect_error([&] { cpu::upsample_bilinear2d(Tensor::zeros({1, 2, 2, 3}, {DType::uint8, {}}), {4, 4}); },
               {"upsample_bilinear2d", "float32 or float64", "uint8"});
  expect_error([&] { autograd::upsample_bilinear2d(Variable(), {1, 1}); },
               {"upsample_bilinear2d", "undefined"});
}

}  // namespace
}  // namespace dcl::test
