// Tensor: a contiguous block of numbers with a shape, a type and a device. No strides: every kernel sees
// plain arrays. Pictures are [N,H,W,C], convolution weights [O,kH,kW,I], dense features [N·H·W,C].
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/storage.h"

namespace dcl::tensor {

struct TensorOptions {
  DType dtype = DType::float32;
  Device device = {};
};

/// A handle: copies share the numbers. Reshapes and slices of leading rows share them too; everything else
/// that makes a new tensor copies, and says so by its name.
class Tensor {
 public:
  /// An undefined tensor: `defined()` is false and nothing else may be asked of it.
  Tensor() = default;

  static Tensor empty(Shape shape, TensorOptions options = {});
  static Tensor zeros(Shape shape, TensorOptions options = {});
  static Tensor full(Shape shape, double value, TensorOptions options = {});
  /// [1]-shaped; for numbers that change from step to step (learning rate, lambda, queue pointer).
  static Tensor scalar(double value, TensorOptions options = {}) { return full({1}, value, options); }
  /// Copies `values`; throws unless there are shape.numel() of them.
  template <class T>
  static Tensor from(std::span<const T> values, Shape shape);
  template <class T>
  static Tensor from(const std::vector<T>& values, Shape shape) {
    return from(std::span<const T>(values), std::move(shape));
  }

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int dim() const { return shape_.dim(); }
  /// Size of dimension i; negative counts from the end.
  std::int64_t size(int i) const { return shape_[i]; }
  std::int64_t numel() const { return numel_; }
  std::int64_t nbytes() const { return numel_ * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_ ? storage_->device() : Device{}; }
  TensorOptions options() const { return {dtype_, device()}; }

  /// The numbers; throws when T is not the tensor's type.
  template <class T>
  T* data() {
    check_type(dtype_of<T>);
    return static_cast<T*>(raw());
  }
  template <class T>
  const T* data() const {
    check_type(dtype_of<T>);
    return static_cast<const T*>(raw());
  }
  void* raw() { return static_cast<std::byte*>(storage_->data()) + offset_; }
  const void* raw() const { return static_cast<const std::byte*>(storage_->data()) + offset_; }

  /// The same numbers under another shape; one size may be -1. Shares.
  Tensor reshape(std::vector<std::int64_t> sizes) const;
  Tensor reshape(std::initializer_list<std::int64_t> sizes) const { return reshape(std::vector(sizes)); }
  Tensor reshape(const Shape& shape) const { return reshape(shape.sizes()); }
  /// Rows [begin, end) of the first dimension. Shares.
  Tensor rows(std::int64_t begin, std::int64_t end) const;

  /// A copy with memory of its own.
  Tensor clone() const;
  /// A copy in another type (round to nearest even for bfloat16, truncation for integers); itself when it
  /// already has it.
  Tensor to(DType dtype) const;
  /// A copy on another device; itself when it is there already.
  Tensor to(Device device) const;
  /// Overwrites the numbers with those of a tensor of the same shape, converting the type where it differs
  /// and moving them where the device does. A host tensor may be changed as soon as this returns; only a copy
  /// to the host waits for the GPU.
  void copy_from(const Tensor& source);
  void fill(double value);

  /// The only element, as double. Throws unless numel() == 1. This and to_vector() wait for the GPU.
  double item() const;
  /// All elements, converted to T.
  template <class T>
  std::vector<T> to_vector() const;

  /// True when no other tensor shares the memory, so that it may be written in place.
  bool is_unique() const { return storage_.use_count() == 1; }
  bool shares_with(const Tensor& other) const { return defined() && storage_ == other.storage_; }
  /// "float32 [8,224,224,3]", or "undefined".
  std::string str() const;

 private:
  void check_type(DType wanted) const {
    check(defined(), "tensor: data of an undefined tensor");
    // Not check(): it would build str() on every access.
    if (wanted != dtype_) [[unlikely]]
      fail("tensor: data of {} asked for as {}", str(), name_of(wanted));
  }

  std::shared_ptr<Storage> storage_;
  std::int64_t offset_ = 0;  // bytes
  std::int64_t numel_ = 0;
  Shape shape_;
  DType dtype_ = DType::float32;
};

/// An uninitialised tensor of the same shape, type and device.
inline Tensor empty_like(const Tensor& x) { return Tensor::empty(x.shape(), x.options()); }
inline Tensor zeros_like(const Tensor& x) { return Tensor::zeros(x.shape(), x.options()); }

/// The memory of those that are defined, together; what an op tells of itself (tensor/profile.h).
double bytes_of(std::initializer_list<const Tensor*> tensors);

/// Throws unless `x` is defined and has type `dtype`: "op: weight is float64, expected float32 …".
void check_dtype(const char* op, const char* argument, const Tensor& x, DType dtype);
/// Throws unless `x` has exactly this shape, naming the op, the argument and both.
void check_shape(const char* op, const char* argument, const Tensor& x, const Shape& shape);
/// Throws unless `x` is where `other` is, or undefined.
void check_same_device(const char* op, const char* argument, const Tensor& x, const Tensor& other);
/// Throws unless `x` has `dim` dimensions.
void check_dim(const char* op, const char* argument, const Tensor& x, int dim);

}  // namespace dcl::tensor
