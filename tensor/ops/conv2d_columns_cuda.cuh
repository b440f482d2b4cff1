// conv2d as products with the matrix of windows (im2col), some pictures at a time: for float64, and for what
// cuDNN has no plan for. All tensors of a call have one type; that of dweight is parameter_dtype().
#pragma once

#include "tensor/cuda/blas.h"
#include "tensor/ops/conv2d_kernels_cuda.cuh"

namespace dcl::tensor::cuda {

#ifdef DCL_CUDA_EMULATED
constexpr std::int64_t kColumnBytes = 8 << 10;  // little, so that tests see many parts
#else
constexpr std::int64_t kColumnBytes = 256 << 20;
#endif

// The pictures that are turned into columns together, and the place of one group in them.
struct ColumnPart {
  Conv2dSizes z;       // batch: of the part
  std::int64_t begin;  // the first picture
  std::int64_t group;
  std::int64_t rows;   // of the matrix: batch·Ho·Wo
  std::int64_t depth;  // its columns: kH·kW·I/g

  std::int64_t at_x() const { return begin * z.in_h * z.in_w * z.in_channels; }
  std::int64_t at_y() const { return begin * z.out_h * z.out_w * z.out_channels + group * z.group_out(); }
  std::int64_t at_weight() const { return group * z.group_out() * depth; }
};

template <class F>
void for_each_part(const Conv2dSizes& z, const TensorOptions& column_options, F&& f) {
  const std::int64_t depth = z.kernel_h * z.kernel_w * z.group_in();
  const std::int64_t picture_rows = z.out_h * z.out_w;
  const std::int64_t fitting = kColumnBytes / (picture_rows * depth * size_of(column_options.dtype));
  const std::int64_t most = std::min(std::max<std::int64_t>(fitting, 1), z.batch);
  Tensor columns = Tensor::empty({most * picture_rows, depth}, column_options);
  for (std::int64_t begin = 0; begin < z.batch; begin += most)
    for (std::int64_t group = 0; group < z.params.groups; ++group) {
      ColumnPart part{.z = z, .begin = begin, .group = group, .rows = 0, .depth = depth};
      part.z.batch = std::min(most, z.batch - begin);
      part.rows = part.z.batch * picture_rows;
      f(part, columns);
    }
}

inline Launch launch_for(std::int64_t items) {
  return {.grid = blocks_for(items, kConv2dThreads), .block = dim3(kConv2dThreads)};
}

template <class T>
void launch_im2col(const char* op, const ColumnPart& part, const Tensor& x, Tensor& columns) {
  launch(op, im2col<T>, launch_for(part.rows * part.depth), part.z, part.group, x.data<T>() + part.at_x(),
         columns.data<T>());
}

template <class T>
void conv2d_columns(const Conv2dSizes& z, const Tensor& x, const Tensor& weight, Tensor& y) {
  for_each_part(z, x.options(), [&](const ColumnPart& part, Tensor& columns) {
    launch_im2col<T>("conv2d", part, x, columns);
    // y = columns · weightᵀ
    gemm("conv2d",
         {.m = part.rows,
          .n = z.group_out(),
          .k = part.depth,
          .transpose_b = true,
          .ldc = z.out_channels,
          .input = dtype_of<T>,
          .output = dtype_of<T>},
         columns.raw(), weight.data<T>() + part.at_weight(), y.data<T>() + part.at_y());
  });
}

template <class T>
void conv2d_backward_input_columns(const Conv2dSizes& z, const Tensor& dy, const Tensor& weight, Tensor& dx) {
  const TensorOptions sums{dtype_of<Compute<T>>, dy.device()};
  for_each_part(z, sums, [&](const ColumnPart& part, Tensor& dcolumns) {
    // dcolumns = dy · weight
    gemm("conv2d_backward_input",
         {.m = part.rows,
          .n = part.depth,
          .k = z.group_out(),
          .lda = z.out_channels,
          .input = dtype_of<T>,
          .output = sums.dtype},
         dy.data<T>() + part.at_y(), weight.data<T>() + part.at_weight(), dcolumns.raw());
    launch("conv2d_backward_input", col2im<T>, launch_for(part.z.batch * z.in_h * z.in_w * z.group_in()),
           part.z, part.group, dcolumns.data<Compute<T>>(), dx.data<T>() + part.at_x());
  });
}

template <class T>
void conv2d_backward_weight_columns(const Conv2dSizes& z, const Tensor& dy, const Tensor& x,
                                    Tensor& dweight) {
  for_each_part(z, x.options(), [&](const ColumnPart& part, Tensor& columns) {
    launch_im2col<T>("conv2d_backward_weight", part, x, columns);
    // dweight += dyᵀ · columns
    gemm("conv2d_backward_weight",
         {.m = z.group_out(),
          .n = part.depth,
          .k = part.rows,
          .transpose_a = true,
          .lda = z.out_channels,
          .input = dtype_of<T>,
          .output = dtype_of<Compute<T>>,
          .beta = part.begin == 0 ? 0.0 : 1.0},
         dy.data<T>() + part.at_y(), columns.raw(), dweight.data<Compute<T>>() + part.at_weight());
  });
}

}  // namespace dcl::tensor::cuda
