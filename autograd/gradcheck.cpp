#include "autograd/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "tensor/random.h"

namespace dcl::autograd {

namespace {

using Function = std::function<Variable(const std::vector<Variable>&)>;

Tensor random_weights(const Tensor& like) {
  Tensor weights = tensor::empty_like(like);
  tensor::RandomStream random({.seed = 1, .purpose = tensor::Purpose::test});
  for (std::int64_t i = 0; i < weights.numel(); ++i) weights.data<double>()[i] = random.uniform(-1, 1);
  return weights;
}

double weighted_sum(const Tensor& values, const Tensor& weights) {
  double sum = 0;
  for (std::int64_t i = 0; i < values.numel(); ++i)
    sum += values.data<double>()[i] * weights.data<double>()[i];
  return sum;
}

double evaluate(const Function& function, const std::vector<Tensor>& inputs, const Tensor& weights) {
  const NoGradGuard no_grad;
  return weighted_sum(function({inputs.begin(), inputs.end()}).value(), weights);
}

}  // namespace

GradcheckResult gradcheck(const Function& function, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options) {
  std::vector<Variable> variables;
  std::vector<Tensor> moved;
  for (const auto& input : inputs) {
    tensor::check_dtype("gradcheck", "input", input, tensor::DType::float64);
    variables.emplace_back(input.clone(), true);
    moved.push_back(input.clone());
  }
  const Variable output = function(variables);
  const Tensor weights = random_weights(output.value());
  if (output.requires_grad()) backward(output, weights);

  GradcheckResult result;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& grad = variables[i].grad();
    for (std::int64_t j = 0; j < inputs[i].numel(); ++j) {
      double& x = moved[i].data<double>()[j];
      const double before = x;
      x = before + options.step;
      const double above = evaluate(function, moved, weights);
      x = before - options.step;
      const double below = evaluate(function, moved, weights);
      x = before;
      const double numeric = (above - below) / (2 * options.step);
      const double analytic = grad.defined() ? grad.data<double>()[j] : 0.0;
      const double error = std::abs(analytic - numeric) / (options.atol + options.rtol * std::abs(numeric));
      const bool bad = !(error <= 1);  // NaN counts as bad
      if (bad && result.ok)
        result.message = fmt::format("input {} element {}: backward gives {:.9g}, differences give {:.9g}", i,
                                     j, analytic, numeric);
      result.ok = result.ok && !bad;
      result.worst = std::isnan(error) ? error : std::max(result.worst, error);
    }
  }
  return result;
}

}  // namespace dcl::autograd
