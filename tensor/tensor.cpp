#include "tensor/tensor.h"

#include <algorithm>
#include <cstring>

#include "tensor/cuda/backend.h"

namespace dcl::tensor {

namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 56;  // so that sizes in bytes cannot overflow

void check_defined(const char* op, const Tensor& x) { check(x.defined(), "{}: the tensor is undefined", op); }

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, bfloat16>) {
    return convert<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bfloat16>) {
    return bfloat16(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace

Tensor Tensor::empty(Shape shape, TensorOptions options) {
  Tensor t;
  t.shape_ = std::move(shape);
  t.numel_ = t.shape_.numel();
  t.dtype_ = options.dtype;
  check(t.numel_ <= kMostElements, "tensor: {} is too large", t.shape_.str());
  t.storage_ = std::make_shared<Storage>(t.nbytes(), options.device);
  return t;
}

Tensor Tensor::zeros(Shape shape, TensorOptions options) {
  Tensor t = empty(std::move(shape), options);
  if (t.device().is_cuda())
    t.fill(0);
  else if (t.numel() > 0)
    std::memset(t.raw(), 0, static_cast<std::size_t>(t.nbytes()));
  return t;
}

Tensor Tensor::full(Shape shape, double value, TensorOptions options) {
  Tensor t = empty(std::move(shape), options);
  t.fill(value);
  return t;
}

template <class T>
Tensor Tensor::from(std::span<const T> values, Shape shape) {
  Tensor t = empty(std::move(shape), {dtype_of<T>, {}});
  check(static_cast<std::int64_t>(values.size()) == t.numel(), "tensor: {} values for shape {}",
        values.size(), t.shape().str());
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}
template Tensor Tensor::from(std::span<const float>, Shape);
template Tensor Tensor::from(std::span<const double>, Shape);
template Tensor Tensor::from(std::span<const bfloat16>, Shape);
template Tensor Tensor::from(std::span<const std::int64_t>, Shape);
template Tensor Tensor::from(std::span<const std::uint8_t>, Shape);

Tensor Tensor::reshape(std::vector<std::int64_t> sizes) const {
  check(defined(), "reshape: the tensor is undefined");
  std::int64_t known = 1;
  std::int64_t* inferred = nullptr;
  for (auto& size : sizes) {
    if (size == -1) {
      check(inferred == nullptr, "reshape: more than one size is -1");
      inferred = &size;
    } else {
      known *= size;
    }
  }
  if (inferred != nullptr) {
    check(known > 0 && numel_ % known == 0, "reshape: {} elements of {} do not divide by {}", numel_,
          shape_.str(), known);
    *inferred = numel_ / known;
  }
  Tensor t = *this;
  t.shape_ = Shape(std::move(sizes));
  check(t.shape_.numel() == numel_, "reshape: {} has {} elements, {} has {}", shape_.str(), numel_,
        t.shape_.str(), t.shape_.numel());
  return t;
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  check(dim() >= 1, "rows: a scalar has no rows");
  check(0 <= begin && begin <= end && end <= size(0), "rows: [{}, {}) of {}", begin, end, shape_.str());
  std::vector<std::int64_t> sizes = shape_.sizes();
  const std::int64_t row = size(0) > 0 ? numel_ / size(0) : 0;
  sizes[0] = end - begin;
  Tensor t = *this;
  t.shape_ = Shape(std::move(sizes));
  t.numel_ = t.shape_.numel();
  t.offset_ += begin * row * size_of(dtype_);
  return t;
}

Tensor Tensor::clone() const {
  Tensor t = empty(shape_, options());
  t.copy_from(*this);
  return t;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  Tensor t = empty(shape_, {dtype, device()});
  t.copy_from(*this);
  return t;
}

Tensor Tensor::to(Device device) const {
  check_defined("to", *this);
  if (device == this->device()) return *this;
  Tensor t = empty(shape_, {dtype_, device});
  t.copy_from(*this);
  return t;
}

void Tensor::copy_from(const Tensor& source) {
  check_defined("copy_from", *this);
  check_shape("copy_from", "source", source, shape_);
  if constexpr (has_cuda) {
    if (device().is_cuda() || source.device().is_cuda()) return cuda::copy(*this, source);
  }
  if (source.dtype_ == dtype_) {
    if (numel_ > 0) std::memmove(raw(), source.raw(), static_cast<std::size_t>(nbytes()));
    return;
  }
  dispatch_any(dtype_, "copy_from", [&]<class To>() {
    dispatch_any(source.dtype_, "copy_from", [&]<class From>() {
      std::transform(source.data<From>(), source.data<From>() + numel_, data<To>(), convert<To, From>);
    });
  });
}

void Tensor::fill(double value) {
  check_defined("fill", *this);
  dispatch_any(dtype_, "fill", [&]<class T>() {
    const T element = convert<T>(value);
    if constexpr (has_cuda) {
      if (device().is_cuda()) return cuda::fill(*this, &element);
    }
    std::fill_n(data<T>(), numel_, element);
  });
}

double Tensor::item() const {
  check_defined("item", *this);
  check(numel_ == 1, "item: {} has {} elements, expected 1", shape_.str(), numel_);
  if (device().is_cuda()) return to(Device{}).item();
  return dispatch_any(dtype_, "item", [&]<class T>() { return convert<double>(*data<T>()); });
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  check_defined("to_vector", *this);
  if (device().is_cuda()) return to(Device{}).to_vector<T>();
  std::vector<T> values(static_cast<std::size_t>(numel_));
  dispatch_any(dtype_, "to_vector", [&]<class From>() {
    std::transform(data<From>(), data<From>() + numel_, values.begin(), convert<T, From>);
  });
  return values;
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<std::int64_t> Tensor::to_vector() const;
template std::vector<std::uint8_t> Tensor::to_vector() const;

std::string Tensor::str() const {
  return defined() ? fmt::format("{} {}", name_of(dtype_), shape_.str()) : "undefined";
}

double bytes_of(std::initializer_list<const Tensor*> tensors) {
  double bytes = 0;
  for (const Tensor* tensor : tensors)
    if (tensor->defined()) bytes += static_cast<double>(tensor->nbytes());
  return bytes;
}

void check_dtype(const char* op, const char* argument, const Tensor& x, DType dtype) {
  check(x.defined(), "{}: {} is undefined", op, argument);
  check(x.dtype() == dtype, "{}: {} is {}, expected {}", op, argument, x.str(), name_of(dtype));
}

void check_shape(const char* op, const char* argument, const Tensor& x, const Shape& shape) {
  check(x.defined(), "{}: {} is undefined", op, argument);
  check(x.shape() == shape, "{}: {} is {}, expected {}", op, argument, x.shape().str(), shape.str());
}

void check_same_device(const char* op, const char* argument, const Tensor& x, const Tensor& other) {
  if (!x.defined() || x.device() == other.device()) return;
  fail("{}: {} is on {}, expected {}", op, argument, x.device().str(), other.device().str());
}

void check_dim(const char* op, const char* argument, const Tensor& x, int dim) {
  check(x.defined(), "{}: {} is undefined", op, argument);
  check(x.dim() == dim, "{}: {} is {}, expected {} dimensions", op, argument, x.shape().str(), dim);
}

}  // namespace dcl::tensor
