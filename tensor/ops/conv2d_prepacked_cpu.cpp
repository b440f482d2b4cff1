#include <algorithm>
#include <mutex>
#include <optional>
#include <type_traits>

#include "tensor/cpu/conv2d_fast.h"
#include "tensor/cpu/conv2d_path.h"
#include "tensor/cpu/tiles/conv2d_tiles.h"
#include "tensor/cpu/winograd.h"
#include "tensor/ops/conv2d_prepacked.h"

namespace dcl::tensor {

/// The weight in the orders that the kernels read; which of them depends on the picture.
class PackedConv2d::Forms {
 public:
  Forms() = default;
  virtual ~Forms() = default;
  Forms(const Forms&) = delete;
  Forms& operator=(const Forms&) = delete;
  virtual void run(const Conv2dSizes& z, const Tensor& x, const End& end, Tensor& y) = 0;
};

namespace {

// `bias` may be undefined.
template <class T>
cpu::Epilogue<T> epilogue_of(const Tensor& bias, const PackedConv2d::End& end) {
  return {.bias = bias.defined() ? bias.data<Compute<T>>() : nullptr,
          .residual = end.residual.defined() ? end.residual.data<T>() : nullptr,
          .relu = end.relu};
}

// y = act(y + residual) of sums that the plain path has left in `sums`.
template <class T>
void finish(const Tensor& sums, const cpu::Epilogue<T>& end, Tensor& y) {
  const auto* const from = sums.data<Compute<T>>();
  T* const to = y.data<T>();
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    Compute<T> u = from[i];
    if (end.residual != nullptr) u += widened(end.residual[i]);
    to[i] = static_cast<T>(end.relu && u < 0 ? Compute<T>(0) : u);
  }
}

// A weight's transformed kernels, made when they are first wanted.
template <class T>
class TransformedOnce {
 public:
  const cpu::TransformedWeights<T>& of(const Tensor& weight) {
    std::call_once(once_, [&] {
      kernels_.emplace(
          cpu::WeightTransform<T>::forward(weight.size(3), weight.size(0), weight.data<Compute<T>>()));
    });
    return *kernels_;
  }

 private:
  std::once_flag once_;
  std::optional<cpu::TransformedWeights<T>> kernels_;
};

}  // namespace

template <class T>
class PackedConv2d::FormsOf final : public Forms {
 public:
  FormsOf(const Tensor& weight, const Tensor& bias) : weight_(weight), bias_(bias), tiles_(weight) {}

  void run(const Conv2dSizes& z, const Tensor& x, const End& end, Tensor& y) override {
    const auto epilogue = epilogue_of<T>(bias_, end);
    const cpu::Conv2dPath path = cpu::prepacked_conv2d_path(z);
    if constexpr (std::is_same_v<T, float>)
      if (cpu::tiles_pay(z, path)) return tiles_.conv2d(z, x.data<float>(), epilogue, y.data<float>());
    switch (path) {
      case cpu::Conv2dPath::plain:
        return run_plain(z, x, epilogue, y);
      case cpu::Conv2dPath::packed:
        return cpu::conv2d_fast<T>(z, x.data<T>(), packed(z.params.groups), epilogue, y.data<T>());
      case cpu::Conv2dPath::winograd:
        return cpu::conv2d_winograd<T>(z, x.data<T>(), transformed_.of(weight_), epilogue, y.data<T>());
    }
  }

 private:
  const std::vector<cpu::PackedMatrix<T>>& packed(std::int64_t groups) {
    std::call_once(packed_once_,
                   [&] { packed_ = cpu::pack_weight<T>(weight_.shape(), groups, weight_.data<T>()); });
    return packed_;
  }

  // The formula, one part after the other: the reference of the other two.
  void run_plain(const Conv2dSizes& z, const Tensor& x, const cpu::Epilogue<T>& end, Tensor& y) const {
    finish<T>(cpu::conv2d(x, weight_, bias_, z.params), end, y);
  }

  const Tensor weight_, bias_;
  std::once_flag packed_once_;
  std::vector<cpu::PackedMatrix<T>> packed_;
  TransformedOnce<T> transformed_;
  cpu::TileWeight<float> tiles_;  // of T float
};

class PackedConv2d::Bfloat16Forms final : public Forms {
 public:
  Bfloat16Forms(const Tensor& weight, const Tensor& bias) : weight_(weight), bias_(bias), tiles_(weight) {}

  void run(const Conv2dSizes& z, const Tensor& x, const End& end, Tensor& y) override {
    const auto epilogue = epilogue_of<bfloat16>(bias_, end);
    switch (cpu::bfloat16_prepacked_conv2d_path(z)) {
      case cpu::Conv2dPath::plain:
        return run_plain(z, x, epilogue, y);
      case cpu::Conv2dPath::packed:
        return tiles_.conv2d(z, x.data<bfloat16>(), epilogue, y.data<bfloat16>());
      case cpu::Conv2dPath::winograd:
        return cpu::conv2d_winograd<bfloat16>(z, x.data<bfloat16>(), transformed_.of(weight_), epilogue,
                                              y.data<bfloat16>());
    }
  }

 private:
  void run_plain(const Conv2dSizes& z, const Tensor& x, const cpu::Epilogue<bfloat16>& end, Tensor& y) const {
    const Tensor rounded = weight_.to(DType::bfloat16).to(DType::float32);
    finish<bfloat16>(cpu::conv2d(x.to(DType::float32), rounded, bias_, z.params), end, y);
  }

  const Tensor weight_, bias_;
  cpu::TileWeight<bfloat16> tiles_;
  TransformedOnce<bfloat16> transformed_;
};

PackedConv2d::PackedConv2d(const Tensor& weight, const Tensor& bias, const Conv2dParams& params)
    : PackedConv2d(weight, bias, params, weight.dtype()) {}

PackedConv2d::PackedConv2d(const Tensor& weight, const Tensor& bias, const Conv2dParams& params,
                           DType activations)
    : weight_(weight), bias_(bias), params_(params), activations_(activations) {
  check_dim("conv2d_prepacked", "weight", weight, 4);
  check(weight.numel() > 0, "conv2d_prepacked: weight is empty, {}", weight.str());
  check(weight.device().is_cpu(), "conv2d_prepacked: weight is on {}, expected the cpu",
        weight.device().str());
  // All that can be wrong with the weight shows with a picture of one pixel, padded until it fits.
  Conv2dParams roomy = params;
  roomy.padding += params.dilation * std::max(weight.size(1), weight.size(2));
  conv2d_sizes({1, 1, 1, weight.size(3) * params.groups}, weight.shape(), roomy);
  check(params.padding >= 0, "conv2d_prepacked: padding {} is negative", params.padding);
  if (bias.defined()) {
    check_dtype("conv2d_prepacked", "bias", bias, weight.dtype());
    check_shape("conv2d_prepacked", "bias", bias, {weight.size(0)});
  }
  if (activations == DType::bfloat16) {
    check_dtype("conv2d_prepacked", "weight", weight, DType::float32);
    forms_ = std::make_shared<Bfloat16Forms>(weight, bias);
    return;
  }
  check_dtype("conv2d_prepacked", "weight", weight, activations);
  forms_ = dispatch_float(weight.dtype(), "conv2d_prepacked", [&]<class T>() -> std::shared_ptr<Forms> {
    return std::make_shared<FormsOf<T>>(weight, bias);
  });
}

Shape PackedConv2d::out_shape(const Shape& x) const {
  return conv2d_sizes(x, weight_.shape(), params_).out_shape();
}

Tensor PackedConv2d::run(const Tensor& x, const End& end) const {
  check(x.defined(), "conv2d_prepacked: x is undefined");
  Tensor y = Tensor::empty(out_shape(x.shape()), {activations_, weight_.device()});
  run(x, end, y);
  return y;
}

void PackedConv2d::run(const Tensor& x, const End& end, Tensor& y) const {
  const ProfileScope profile_scope("conv2d_prepacked(");
  check_dtype("conv2d_prepacked", "x", x, activations_);
  check(x.device().is_cpu(), "conv2d_prepacked: x is on {}, expected the cpu", x.device().str());
  const Conv2dSizes z = conv2d_sizes(x.shape(), weight_.shape(), params_);
  check_dtype("conv2d_prepacked", "y", y, activations_);
  check_shape("conv2d_prepacked", "y", y, z.out_shape());
  if (end.residual.defined()) {
    check_dtype("conv2d_prepacked", "residual", end.residual, activations_);
    check_shape("conv2d_prepacked", "residual", end.residual, z.out_shape());
    check(y.numel() == 0 || end.residual.raw() != y.raw(),
          "conv2d_prepacked: residual and y are the same memory");
  }
  if (profiling()) count_work({z.flop(), bytes_of({&x, &weight_, &y, &end.residual})}, z.str());
  forms_->run(z, x, end, y);
}

}  // namespace dcl::tensor
