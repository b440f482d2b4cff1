// Compares the gradients that backward() computes with central differences, in double.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/variable.h"

namespace dcl::autograd {

struct GradcheckOptions {
  double step = 1e-6;
  double atol = 1e-6;
  double rtol = 1e-4;
};

struct GradcheckResult {
  bool ok = true;
  double worst = 0;     // largest |analytic - numeric| / (atol + rtol |numeric|); ok means <= 1
  std::string message;  // names the input and the element where it fails
};

/// `function` gets the inputs as Variables and returns one Variable of any shape; it must be a pure function
/// of them. Each element of each input is moved by ± step; the output is weighted by a fixed pseudo-random
/// tensor, so that all its elements count. Throws unless every input is float64.
GradcheckResult gradcheck(const std::function<Variable(const std::vector<Variable>&)>& function,
                          const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});

}  // namespace dcl::autograd
