// A convolution as one matrix product, by BLAS (Chellapilla et al., "High Performance Convolutional Neural
// Networks for Document Processing", 2006): the rows of the left operand are the windows.
#include <algorithm>

#include "bench/ladder/rung.h"
#include "bench/ladder/taps.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/im2col.h"
#include "tensor/cpu/threads.h"

namespace dcl::bench {

namespace {

namespace cpu = tensor::cpu;

std::int64_t depth_of(const Conv2dSizes& z) { return z.kernel_h * z.kernel_w * z.in_channels; }

// y = columns · weightᵀ, dcolumns = dy · weight, or dweight = dyᵀ · columns, with `columns` [rows,depth].
void multiply(const Problem& p, const float* columns, float* result) {
  const std::int64_t rows = p.sizes.out_rows();
  const std::int64_t depth = depth_of(p.sizes);
  const std::int64_t out = p.sizes.out_channels;
  const float* const weight = p.weight.data<float>();
  const float* const dy = p.dy.data<float>();
  const cpu::FastPathsScope by_library(false);
  switch (p.pass) {
    case Pass::forward:
      cpu::parallel_gemm(false, true, rows, out, depth, 1.0F, columns, depth, weight, depth, 0.0F, result,
                         out);
      break;
    case Pass::input_gradient:
      cpu::parallel_gemm(false, false, rows, depth, out, 1.0F, dy, out, weight, depth, 0.0F, result, depth);
      break;
    case Pass::weight_gradient:
      cpu::parallel_gemm(true, false, out, depth, rows, 1.0F, dy, out, columns, depth, 0.0F, result, depth);
      break;
  }
}

// columns[row,:] = the window of output pixel `row`.
void im2col(const Problem& p, float* columns) {
  const auto windows = cpu::forward_windows(p.sizes, p.x.data<float>(), 0);
  const std::int64_t depth = windows.depth();
  cpu::parallel_for(p.sizes.out_rows(), 1, [&](std::int64_t begin, std::int64_t end) {
    cpu::WindowReader<float> reader(windows, begin, 0, depth);
    for (std::int64_t row = begin; row < end; ++row) reader.read(columns + row * depth);
  });
}

// The transpose of im2col: adds each window back to where it came from.
void col2im(const Conv2dSizes& z, const float* columns, float* dx) {
  const std::int64_t depth = depth_of(z);
  const std::int64_t rows = z.out_h * z.out_w;
  const std::int64_t picture = z.in_h * z.in_w * z.in_channels;
  cpu::parallel_for(z.batch, 1, [&](std::int64_t begin, std::int64_t end) {
    std::fill(dx + begin * picture, dx + end * picture, 0.0F);
    for (std::int64_t row = begin * rows; row < end * rows; ++row)
      for_each_tap(z, row, [&](std::int64_t tap, std::int64_t offset) {
        const float* const from = columns + row * depth + tap * z.in_channels;
        for (std::int64_t c = 0; c < z.in_channels; ++c) dx[offset + c] += from[c];
      });
  });
}

}  // namespace

Tensor im2col_product(const Problem& p) {
  Tensor columns = Tensor::empty({p.sizes.out_rows(), depth_of(p.sizes)});
  Tensor result = p.result();
  if (p.pass == Pass::input_gradient) {
    multiply(p, nullptr, columns.data<float>());
    col2im(p.sizes, columns.data<float>(), result.data<float>());
  } else {
    im2col(p, columns.data<float>());
    multiply(p, columns.data<float>(), result.data<float>());
  }
  return result;
}

bool has_rows_in_place(const Conv2dSizes& z) {
  return cpu::forward_windows<float>(z, nullptr, 0).plain_rows();
}

Tensor product_in_place(const Problem& p) {
  Tensor result = p.result();
  multiply(p, p.x.data<float>(), result.data<float>());
  return result;
}

}  // namespace dcl::bench
