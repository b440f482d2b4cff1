// Variable: a tensor and its place in the graph of operations; backward() walks that graph.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace dcl::autograd {

using tensor::Tensor;

struct Node;

/// Which inputs a backward function has to return gradients for, and what these will be added to.
class Needs {
 public:
  /// needs[i]: input i's gradient is needed.
  explicit Needs(std::vector<bool> needed) : needed_(std::move(needed)), sums_(needed_.size()) {}

  std::size_t size() const { return needed_.size(); }
  bool operator[](std::size_t i) const { return needed_[i]; }
  const std::vector<bool>& needed() const { return needed_; }

  /// The sum of what other results have contributed to input i's gradient so far; undefined where there is
  /// none, or somebody else holds it too. Whoever takes it returns it with the gradient added, of the input's
  /// shape, which spares a sweep.
  Tensor take_sum(std::size_t i) { return std::exchange(sums_[i], Tensor()); }
  /// For the engine.
  void give_sum(std::size_t i, Tensor sum) { sums_[i] = std::move(sum); }

 private:
  std::vector<bool> needed_;
  std::vector<Tensor> sums_;
};

/// Gets the gradient of the output and returns one tensor an input (undefined where not needed). A returned
/// tensor may have the shape of the broadcast output: the engine sums it down to the input's.
/// It is called once, and where the engine alone holds the gradient it gives that up, for ops that work in
/// place.
using BackwardFunction = std::function<std::vector<Tensor>(Tensor grad_output, Needs& needs)>;

/// Computes an op's output once more, bit for bit, from what its backward function keeps anyway. Empty where
/// that is not known how.
using Remake = std::function<Tensor()>;

/// An input that a backward function will want: kept, or, where the op it came from knows how, made again, so
/// that it need not lie in memory until then (Chen et al., "Training Deep Nets with Sublinear Memory Cost",
/// 2016).
class Saved {
 public:
  Tensor get() const { return remake_ ? remake_() : value_; }
  /// get() for the last time: what nobody else keeps is then the caller's alone (Tensor::is_unique).
  Tensor take() { return remake_ ? remake_() : std::move(value_); }
  const tensor::Shape& shape() const { return shape_; }

 private:
  friend class Variable;
  tensor::Shape shape_;
  Tensor value_;  // undefined when it can be made again
  Remake remake_;
};

/// A handle, like Tensor. A default-made Variable is undefined and stands for "no such input" (no bias).
class Variable {
 public:
  Variable() = default;
  /// A leaf. Its gradient is kept after backward() when `requires_grad`. Throws for integer types that
  /// require one. (Implicit, so that constants can stand where a Variable is expected.)
  Variable(Tensor value, bool requires_grad = false);  // NOLINT(google-explicit-constructor)

  bool defined() const { return cell_ != nullptr; }
  const Tensor& value() const;
  /// For those who change a leaf in place: optimizers, momentum encoders, loaders of weights. Call
  /// bump_version() afterwards.
  Tensor& mutable_value();
  const tensor::Shape& shape() const { return value().shape(); }
  bool requires_grad() const;
  void set_requires_grad(bool requires_grad);
  /// The gradient of a leaf; undefined before the first backward().
  const Tensor& grad() const;
  void zero_grad();

  /// Raised by whoever overwrites the value, so that derived copies (packed, bfloat16) know that they are
  /// old.
  std::uint64_t version() const;
  void bump_version();

  /// The value for a backward function to capture.
  Saved save() const;

  /// A leaf that shares the value and has no history.
  Variable detach() const;

  /// The operation it came from (for the engine); null when undefined.
  std::shared_ptr<Node> node() const { return cell_ ? cell_->node : nullptr; }

 private:
  friend Variable record(const char* op, Tensor output, const std::vector<Variable>& inputs,
                         BackwardFunction backward, Remake remake);
  struct Cell {
    Tensor value;
    std::shared_ptr<Node> node;
    std::uint64_t version = 0;
    Remake remake;
  };
  std::shared_ptr<Cell> cell_;
};

/// What every differentiable op ends with: wraps `output`, and remembers how its gradient flows to `inputs`,
/// unless recording is off or none of them requires a gradient; then `backward` is dropped at once, with all
/// that it has captured. The graph keeps no values alive: what backward needs, it captures. An op whose
/// output is cheap to compute again says how by `remake`.
Variable record(const char* op, Tensor output, const std::vector<Variable>& inputs, BackwardFunction backward,
                Remake remake = {});

/// Adds d root / d leaf to the gradient of every leaf that requires one. `seed` is the gradient of `root`
/// itself (ones when undefined; then root must have one element). The graph is released on the way:
/// activations go as soon as the walk has passed them, and a second backward() through the same graph throws.
void backward(const Variable& root, Tensor seed = {});

/// While one is alive, ops on this thread record nothing.
class NoGradGuard {
 public:
  NoGradGuard();
  ~NoGradGuard();
  NoGradGuard(const NoGradGuard&) = delete;
  NoGradGuard& operator=(const NoGradGuard&) = delete;

 private:
  bool before_;
};
/// False under a NoGradGuard.
bool recording();

/// True when an op on these inputs would be recorded: for ops that save less when nobody will ask.
bool will_record(const std::vector<Variable>& inputs);

}  // namespace dcl::autograd
