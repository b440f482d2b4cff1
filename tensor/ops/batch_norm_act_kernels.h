// The inner loops of batch_norm_act, compiled for several instruction sets; the best one for this processor
// is chosen at run time. All work on `rows` consecutive rows of `channels` numbers, and the vectors without a
// row index are [channels].
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace dcl::tensor::cpu {

/// Channels that are gone through together, so that what there is one of for each stays in the first-level
/// cache; how far ahead of them is asked for, and for how many lines of each row at once.
inline constexpr std::int64_t kBatchNormChannels = 512;
inline constexpr std::int64_t kBatchNormAheadBytes = 2048;
inline constexpr std::int64_t kBatchNormLines = 4;
/// Rows that `reduce` sums in registers.
inline constexpr int kBatchNormRows = 4;

/// A run of rows of x.
struct BatchNormRows {
  std::int64_t rows = 0;
  std::int64_t channels = 0;
};

/// What normalises one chunk: u = (x − mean)·scale + bias, scale = weight·invstd.
template <class T>
struct BatchNormAffine {
  const T* mean = nullptr;
  const T* scale = nullptr;
  const T* bias = nullptr;
};

/// How y, or the gradient of x, is made and stored.
struct BatchNormEnd {
  bool relu = false;
  bool stream = false;
};

/// What the gradient of x is made with: dx = scale·(g − mean_g − (x − mean)·slope), or scale·g in evaluation
/// (then both are null).
template <class T>
struct BatchNormSlopes {
  const T* mean_g = nullptr;  // mean of g
  const T* slope = nullptr;   // invstd²·mean of g·(x − mean)
};

/// X is the type of x, y and their gradients; the rest is Compute<X>.
template <class X>
struct BatchNormKernels {
  using T = Compute<X>;
  /// y = act(u + residual); `residual` may be null, y may be x unless it is streamed
  /// (tensor/cpu/streaming.h).
  void (*apply)(BatchNormRows size, const X* x, const X* residual, const BatchNormAffine<T>& affine,
                BatchNormEnd end, X* y);
  /// sum_g[c] = Σ g, sum_gx[c] = Σ g·(x − mean), with g = grad_y where the ReLU was open and 0 elsewhere. It
  /// was open where y > 0 when `y` is given (then g is also written to `grad_residual`, which may be grad_y),
  /// where u > 0 when `relu`, and everywhere otherwise.
  void (*reduce)(BatchNormRows size, const X* grad_y, const X* x, const X* y,
                 const BatchNormAffine<T>& affine, bool relu, X* grad_residual, double* sum_g,
                 double* sum_gx);
  /// grad_x, which may be x unless it is streamed, from grad_y, masked by u > 0 when `end.relu`.
  void (*apply_backward)(BatchNormRows size, const X* grad_y, const X* x, const BatchNormAffine<T>& affine,
                         const BatchNormSlopes<T>& slopes, BatchNormEnd end, X* grad_x);
};

/// The three of bfloat16 for multiples of 32 channels, where avx512_bf16_allowed() (tensor/cpu/features.h).
/// The sums have been set to 0.
void batch_norm_apply_avx512_bf16(BatchNormRows size, const bfloat16* x, const bfloat16* residual,
                                  const BatchNormAffine<float>& affine, BatchNormEnd end, bfloat16* y);
void batch_norm_reduce_avx512_bf16(BatchNormRows size, const bfloat16* grad_y, const bfloat16* x,
                                   const bfloat16* y, const BatchNormAffine<float>& affine, bool relu,
                                   bfloat16* grad_residual, double* sum_g, double* sum_gx);
void batch_norm_apply_backward_avx512_bf16(BatchNormRows size, const bfloat16* grad_y, const bfloat16* x,
                                           const BatchNormAffine<float>& affine,
                                           const BatchNormSlopes<float>& slopes, BatchNormEnd end,
                                           bfloat16* grad_x);

/// X is float, double or bfloat16.
template <class X>
const BatchNormKernels<X>& batch_norm_kernels();

}  // namespace dcl::tensor::cpu
