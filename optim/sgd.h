// Stochastic gradient descent with momentum over a model's named parameters; the formula and PyTorch's
// details are in tensor/ops/sgd_update.h. Weight decay covers every parameter, biases and batch norm too.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"
#include "tensor/ops/sgd_update.h"

namespace dcl::optim {

using autograd::Variable;
using tensor::SgdParams;
using tensor::Tensor;

class Sgd {
 public:
  using Parameters = std::vector<std::pair<std::string, Variable>>;
  using State = std::vector<std::pair<std::string, Tensor>>;

  /// Throws when a name comes twice, a parameter is undefined, or as tensor::check_sgd_params.
  Sgd(const Parameters& parameters, const SgdParams& params);
  /// From any list of {name, variable}, such as nn::Module::parameters().
  template <class Named>
  Sgd(const std::vector<Named>& named, const SgdParams& params) : Sgd(to_parameters(named), params) {}

  /// One step with the gradients that the parameters have now; those without one stay as they are. `lr` [1].
  /// Raises the version of each parameter that it changes.
  void step(const Tensor& lr);
  /// Drops all gradients.
  void zero_grad();

  /// The momentum buffers by their parameter's name, in the parameters' order; they share memory with the
  /// optimizer. A parameter that has not had a gradient yet has none.
  State state() const;
  /// Takes copies of buffers that state() gave. Parameters that are not named start without one. Throws,
  /// changing nothing, for a name that no parameter has or that comes twice, and for another shape or type.
  void load_state(const State& state);

 private:
  struct Slot {
    std::string name;
    Variable parameter;
    Tensor momentum_buffer;  // undefined before the first gradient, and always when momentum is 0
  };

  template <class Named>
  static Parameters to_parameters(const std::vector<Named>& named) {
    Parameters parameters;
    for (const auto& [name, variable] : named) parameters.emplace_back(name, variable);
    return parameters;
  }

  std::vector<Slot> slots_;
  SgdParams params_;
};

}  // namespace dcl::optim
