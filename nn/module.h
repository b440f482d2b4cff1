// Module: something with named parameters, buffers and sub-modules. Names and their order are PyTorch's, so
// that weights can be exchanged.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"
#include "tensor/tensor.h"

namespace dcl::nn {

using autograd::Variable;
using tensor::Tensor;

struct NamedParameter {
  std::string name;
  Variable variable;
};

/// A piece of state that no gradient reaches: running statistics, counters.
struct NamedBuffer {
  std::string name;
  Tensor tensor;
};

/// A parameter or a buffer, as state files see them.
struct NamedState {
  std::string name;
  Tensor tensor;
};

/// Sub-modules are members of their parent, which registers them by reference: a Module therefore stays where
/// it was made, neither copied nor moved.
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// All parameters, depth first, with dotted names ("layer1.0.conv1.weight").
  std::vector<NamedParameter> parameters(const std::string& prefix = "") const;
  /// Parameters and buffers in the order of PyTorch's state_dict: a module's parameters, its buffers, then
  /// its children. The tensors share memory with the module.
  std::vector<NamedState> state(const std::string& prefix = "") const;

  /// Training mode: batch norm uses and tracks the statistics of the batch. True at first.
  void set_training(bool training);
  bool training() const { return training_; }
  /// For encoders that only follow another one.
  void set_requires_grad(bool requires_grad);

 protected:
  Variable add_parameter(std::string name, Tensor value);
  Tensor add_buffer(std::string name, Tensor value);
  void add_module(std::string name, Module& child);

 private:
  std::vector<NamedParameter> parameters_;
  std::vector<NamedBuffer> buffers_;
  std::vector<std::pair<std::string, Module*>> children_;
  bool training_ = true;
};

/// A Module of one input and one output.
class Layer : public Module {
 public:
  virtual Variable forward(const Variable& x) = 0;
};

}  // namespace dcl::nn
