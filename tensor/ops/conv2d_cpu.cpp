// The plain path: im2col of one picture, then one product for each group. tensor/cpu/conv2d_fast.cpp computes
// the same tile by tile; this one is its reference. Of an epilogue it has the bias only.
#include <algorithm>
#include <type_traits>

#include "tensor/cpu/conv2d_fast.h"
#include "tensor/cpu/conv2d_path.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/threads.h"
#include "tensor/cpu/tiles/conv2d_tiles.h"
#include "tensor/cpu/tiles/tile_kernel.h"
#include "tensor/cpu/winograd.h"
#include "tensor/ops/conv2d.h"
#include "tensor/ops/elementwise.h"

namespace dcl::tensor::cpu {

namespace {

// Calls f(row, column, x offset) for every run of group_in channels of group `g` that lies inside the
// picture; `row` and `column` are those of the group's im2col matrix [Ho·Wo, kH·kW·I/groups].
template <class F>
void for_each_tap(const Conv2dSizes& z, std::int64_t g, F&& f) {
  const auto& p = z.params;
  for (std::int64_t row = 0; row < z.out_h * z.out_w; ++row)
    for (std::int64_t r = 0; r < z.kernel_h; ++r)
      for (std::int64_t s = 0; s < z.kernel_w; ++s) {
        const std::int64_t h = row / z.out_w * p.stride + r * p.dilation - p.padding;
        const std::int64_t w = row % z.out_w * p.stride + s * p.dilation - p.padding;
        if (h < 0 || h >= z.in_h || w < 0 || w >= z.in_w) continue;
        f(row, (r * z.kernel_w + s) * z.group_in(), (h * z.in_w + w) * z.in_channels + g * z.group_in());
      }
}

// columns[row, :] = the window of output pixel `row`, zeros where it leaves the picture.
template <class T>
void im2col(const Conv2dSizes& z, std::int64_t g, const T* x, T* columns) {
  const std::int64_t depth = z.kernel_h * z.kernel_w * z.group_in();
  std::fill_n(columns, z.out_h * z.out_w * depth, T(0));
  for_each_tap(z, g, [&](std::int64_t row, std::int64_t column, std::int64_t offset) {
    std::copy_n(x + offset, z.group_in(), columns + row * depth + column);
  });
}

// The transpose of im2col: adds each window back to where it came from.
template <class T>
void col2im(const Conv2dSizes& z, std::int64_t g, const T* columns, T* x) {
  const std::int64_t depth = z.kernel_h * z.kernel_w * z.group_in();
  for_each_tap(z, g, [&](std::int64_t row, std::int64_t column, std::int64_t offset) {
    for (std::int64_t c = 0; c < z.group_in(); ++c) x[offset + c] += columns[row * depth + column + c];
  });
}

// Sizes of one picture and one group as matrices: columns [rows,depth], weight [O/groups,depth], y [rows,O].
struct PictureSizes {
  std::int64_t rows, depth, x, y, group_weight;
  explicit PictureSizes(const Conv2dSizes& z)
      : rows(z.out_h * z.out_w),
        depth(z.kernel_h * z.kernel_w * z.group_in()),
        x(z.in_h * z.in_w * z.in_channels),
        y(rows * z.out_channels),
        group_weight(z.group_out() * depth) {}
};

template <class T>
void conv2d_plain(const Conv2dSizes& z, const T* x, const T* weight, const Epilogue<T>& end, T* y) {
  const PictureSizes size(z);
  parallel_for(z.batch, 1, [&](std::int64_t first, std::int64_t last) {
    Tensor columns = Tensor::empty({size.rows, size.depth}, {dtype_of<T>, {}});
    for (std::int64_t n = first; n < last; ++n)
      for (std::int64_t g = 0; g < z.params.groups; ++g) {
        im2col(z, g, x + n * size.x, columns.data<T>());
        // y = columns · weightᵀ
        gemm<T>(false, true, size.rows, z.group_out(), size.depth, 1, columns.data<T>(), size.depth,
                weight + g * size.group_weight, size.depth, 0, y + n * size.y + g * z.group_out(),
                z.out_channels);
      }
    if (end.bias == nullptr) return;
    for (std::int64_t row = first * size.rows; row < last * size.rows; ++row)
      for (std::int64_t o = 0; o < z.out_channels; ++o) y[row * z.out_channels + o] += end.bias[o];
  });
}

template <class T>
void conv2d_backward_input_plain(const Conv2dSizes& z, const T* dy, const T* weight, T* dx) {
  const PictureSizes size(z);
  std::fill_n(dx, z.batch * size.x, T(0));
  parallel_for(z.batch, 1, [&](std::int64_t begin, std::int64_t end) {
    Tensor dcolumns = Tensor::empty({size.rows, size.depth}, {dtype_of<T>, {}});
    for (std::int64_t n = begin; n < end; ++n)
      for (std::int64_t g = 0; g < z.params.groups; ++g) {
        // dcolumns = dy · weight
        gemm<T>(false, false, size.rows, size.depth, z.group_out(), 1, dy + n * size.y + g * z.group_out(),
                z.out_channels, weight + g * size.group_weight, size.depth, 0, dcolumns.data<T>(),
                size.depth);
        col2im(z, g, dcolumns.data<T>(), dx + n * size.x);
      }
  });
}

template <class T>
void conv2d_backward_weight_plain(const Conv2dSizes& z, const T* dy, const T* x, T* dweight) {
  const PictureSizes size(z);
  std::fill_n(dweight, z.params.groups * size.group_weight, T(0));
  Tensor columns = Tensor::empty({size.rows, size.depth}, {dtype_of<T>, {}});
  for (std::int64_t n = 0; n < z.batch; ++n)
    for (std::int64_t g = 0; g < z.params.groups; ++g) {
      im2col(z, g, x + n * size.x, columns.data<T>());
      // dweight += dyᵀ · columns
      parallel_gemm<T>(true, false, z.group_out(), size.depth, size.rows, 1,
                       dy + n * size.y + g * z.group_out(), z.out_channels, columns.data<T>(), size.depth, 1,
                       dweight + g * size.group_weight, size.depth);
    }
}

// One of the functions of the same signature; `pay` says when float32 takes tiles.
template <class T, class F>
F choose(const Conv2dSizes& z, decltype(tiles_pay) pay, F plain, F packed, F winograd, F tiles) {
  const Conv2dPath path = conv2d_path(z);
  if (std::is_same_v<T, float> && pay(z, path)) return tiles;
  return path == Conv2dPath::plain ? plain : path == Conv2dPath::packed ? packed : winograd;
}

// float32 by tiles; there are no tiles of doubles, and nobody chooses them.
template <class T>
struct Tiles {
  static constexpr decltype(&conv2d_plain<T>) forward = nullptr;
  static constexpr decltype(&conv2d_backward_input_fast<T>) backward_input = nullptr;
  static constexpr decltype(&conv2d_backward_weight_plain<T>) backward_weight = nullptr;
};
template <>
struct Tiles<float> {
  static constexpr auto forward = &conv2d_tiles<float>;
  static constexpr auto backward_input = &conv2d_backward_input_tiles<float>;
  static constexpr auto backward_weight = &conv2d_backward_weight_tiles<float>;
};

template <class T>
using Forward = void(const Conv2dSizes&, const T*, const Compute<T>*, const Epilogue<T>&, T*);

// In bfloat16, where the plain path is not taken.
bool by_winograd(const Conv2dSizes& z) { return bfloat16_conv2d_path(z) == Conv2dPath::winograd; }

template <class T>
Forward<T>* forward_of(const Conv2dSizes& z) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    if (by_winograd(z)) return &conv2d_winograd<bfloat16>;
    return &conv2d_tiles<bfloat16>;
  } else {
    return choose<T, Forward<T>*>(z, &tiles_pay, &conv2d_plain<T>, &conv2d_fast<T>, &conv2d_winograd<T>,
                                  Tiles<T>::forward);
  }
}

// bfloat16 without tiles: the float32 convolution of the rounded numbers, rounded.
Tensor rounded(const Tensor& weight) { return weight.to(DType::bfloat16).to(DType::float32); }

// Any of the three passes; the operands are its tensors.
void count(const Conv2dSizes& z, std::initializer_list<const Tensor*> operands) {
  if (profiling()) count_work({z.flop(), bytes_of(operands)}, z.str());
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params,
              ChannelMoments* moments) {
  const Conv2dSizes z = check_conv2d(x, weight, bias, params);
  if (moments != nullptr) *moments = {};
  if (x.dtype() == DType::bfloat16 && conv2d_path(z) == Conv2dPath::plain)
    return conv2d(x.to(DType::float32), rounded(weight), bias, params).to(DType::bfloat16);
  Tensor y = Tensor::empty(z.out_shape(), x.options());
  count(z, {&x, &weight, &y});
  dispatch_activation(x.dtype(), "conv2d", [&]<class T>() {
    using P = Compute<T>;
    MomentSums<P> sums(z.out_channels);
    const Epilogue<T> end{.bias = bias.defined() ? bias.data<P>() : nullptr,
                          .moments = moments != nullptr ? &sums : nullptr};
    forward_of<T>(z)(z, x.data<T>(), weight.data<P>(), end, y.data<T>());
    if (!sums.empty()) *moments = sums.of(0, sums.parts());
  });
  return y;
}

namespace {

template <class T>
using BackwardInput = void(const Conv2dSizes&, const T*, const Compute<T>*, T*, bool);

// Null for the plain path.
template <class T>
BackwardInput<T>* backward_input_of(const Conv2dSizes& z) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    if (conv2d_path(z) == Conv2dPath::plain) return nullptr;
    if (by_winograd(z)) return &conv2d_backward_input_winograd<bfloat16>;
    return &conv2d_backward_input_tiles<bfloat16>;
  } else {
    return choose<T, BackwardInput<T>*>(z, &tiles_pay, nullptr, &conv2d_backward_input_fast<T>,
                                        &conv2d_backward_input_winograd<T>, Tiles<T>::backward_input);
  }
}

Tensor plain_backward_input(const Conv2dSizes& z, const Tensor& dy, const Tensor& weight,
                            const Shape& x_shape) {
  if (dy.dtype() == DType::bfloat16)
    return plain_backward_input(z, dy.to(DType::float32), rounded(weight), x_shape).to(DType::bfloat16);
  Tensor dx = Tensor::empty(x_shape, dy.options());
  dispatch_float(dy.dtype(), "conv2d_backward_input", [&]<class T>() {
    conv2d_backward_input_plain(z, dy.data<T>(), weight.data<T>(), dx.data<T>());
  });
  return dx;
}

}  // namespace

Tensor conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                             const Conv2dParams& params, Tensor sum) {
  const Conv2dSizes z = check_conv2d_backward_input(dy, weight, x_shape, params, sum);
  return dispatch_activation(dy.dtype(), "conv2d_backward_input", [&]<class T>() {
    const auto run = backward_input_of<T>(z);
    const auto into = [&](Tensor dx, bool add) {
      run(z, dy.data<T>(), weight.data<Compute<T>>(), dx.data<T>(), add);
      return dx;
    };
    if (run != nullptr && sum.is_unique()) {
      count(z, {&dy, &weight, &sum, &sum});  // read and written
      return into(std::move(sum), true);
    }
    Tensor dx = run == nullptr ? plain_backward_input(z, dy, weight, x_shape)
                               : into(Tensor::empty(x_shape, dy.options()), false);
    count(z, {&dy, &weight, &dx, &sum});
    if (sum.defined()) add_inplace(dx, sum);
    return dx;
  });
}

Tensor conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Shape& weight_shape,
                              const Conv2dParams& params) {
  const Conv2dSizes z = check_conv2d_backward_weight(dy, x, weight_shape, params);
  Tensor dweight = Tensor::empty(weight_shape, {parameter_dtype(dy.dtype()), dy.device()});
  count(z, {&dy, &x, &dweight});
  if (dy.dtype() == DType::bfloat16) {
    if (conv2d_path(z) == Conv2dPath::plain)
      return conv2d_backward_weight(dy.to(DType::float32), x.to(DType::float32), weight_shape, params);
    const auto run =
        by_winograd(z) ? &conv2d_backward_weight_winograd<bfloat16> : &conv2d_backward_weight_tiles<bfloat16>;
    run(z, dy.data<bfloat16>(), x.data<bfloat16>(), dweight.data<float>());
    return dweight;
  }
  dispatch_float(dy.dtype(), "conv2d_backward_weight", [&]<class T>() {
    const auto run =
        choose<T>(z, &gradient_tiles_pay, &conv2d_backward_weight_plain<T>, &conv2d_backward_weight_fast<T>,
                  &conv2d_backward_weight_winograd<T>, Tiles<T>::backward_weight);
    run(z, dy.data<T>(), x.data<T>(), dweight.data<T>());
  });
  return dweight;
}

}  // namespace dcl::tensor::cpu
