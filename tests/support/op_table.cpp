#include "tests/ops/op_table.h"

#include <cmath>
#include <cstring>

#include "autograd/gradcheck.h"
#include "tensor/random.h"

namespace dcl::test {

namespace {

tensor::RandomStream stream(std::uint64_t seed) {
  return tensor::RandomStream({.seed = seed, .purpose = tensor::Purpose::test});
}

void report(const source_location& where, const std::string& message) {
  ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line())) << message;
}

// Values and gradients of `function` at `inputs`, the output weighted by the same numbers for every type.
std::vector<Tensor> values_and_gradients(const Function& function, const std::vector<Tensor>& inputs) {
  std::vector<Variable> variables;
  for (const auto& input : inputs) variables.emplace_back(input, true);
  const Variable output = function(variables);
  std::vector<Tensor> results{output.value()};
  if (output.requires_grad()) backward(output, random_tensor(output.shape(), 77).to(output.value().dtype()));
  for (const auto& variable : variables) results.push_back(variable.grad());
  return results;
}

}  // namespace

Tensor random_tensor(Shape shape, std::uint64_t seed, Range range) {
  Tensor x = Tensor::empty(std::move(shape), {tensor::DType::float64, {}});
  auto random = stream(seed);
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = random.uniform(range.low, range.high);
  return x;
}

Tensor random_index(Shape shape, std::int64_t bound, std::uint64_t seed) {
  Tensor x = Tensor::empty(std::move(shape), {tensor::DType::int64, {}});
  auto random = stream(seed);
  for (std::int64_t i = 0; i < x.numel(); ++i)
    x.data<std::int64_t>()[i] = random.below(static_cast<std::uint32_t>(bound));
  return x;
}

Tensor distinct_tensor(Shape shape, std::uint64_t seed) {
  Tensor x = Tensor::empty(std::move(shape), {tensor::DType::float64, {}});
  const auto order = stream(seed).permutation(x.numel());
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const double rank = static_cast<double>(order[static_cast<std::size_t>(i)] - x.numel() / 2);
    x.data<double>()[i] = 0.01 * (rank + 0.5);
  }
  return x;
}

void expect_close(const Tensor& actual, const Tensor& expected, Tolerance tolerance, std::string_view what,
                  source_location where) {
  if (!actual.defined() || !expected.defined() || actual.shape() != expected.shape()) {
    report(where, fmt::format("{}: got {}, expected {}", what, actual.str(), expected.str()));
    return;
  }
  const auto a = actual.to_vector<double>();
  const auto e = expected.to_vector<double>();
  double worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == e[i] || (std::isnan(a[i]) && std::isnan(e[i]))) continue;
    const double error = std::abs(a[i] - e[i]) / (tolerance.atol + tolerance.rtol * std::abs(e[i]));
    const double score = std::isnan(error) ? INFINITY : error;
    if (score > worst) {
      worst = score;
      at = i;
    }
  }
  if (worst > 1)
    report(where, fmt::format("{} {}: element {} is {:.17g}, expected {:.17g} ({:.3g} times the tolerance)",
                              what, actual.shape().str(), at, a[at], e[at], worst));
}

void expect_same_bits(const Tensor& actual, const Tensor& expected, std::string_view what,
                      source_location where) {
  if (!actual.defined() || !expected.defined() || actual.shape() != expected.shape() ||
      actual.dtype() != expected.dtype()) {
    report(where, fmt::format("{}: got {}, expected {}", what, actual.str(), expected.str()));
    return;
  }
  const auto bytes = static_cast<std::size_t>(actual.nbytes());
  if (bytes > 0 && std::memcmp(actual.raw(), expected.raw(), bytes) != 0)
    report(where, fmt::format("{} {}: the bits differ", what, actual.str()));
}

void expect_error(const std::function<void()>& call, std::initializer_list<std::string_view> parts,
                  source_location where) {
  try {
    call();
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const auto part : parts)
      if (message.find(part) == std::string::npos)
        report(where, fmt::format("the error \"{}\" does not say \"{}\"", message, part));
    if (message.find('\n') != std::string::npos)
      report(where, fmt::format("the error \"{}\" has more than one line", message));
    return;
  }
  report(where, "nothing was thrown, expected dcl::Error");
}

void run_gradcheck(const char* op, const std::string& row, const Function& function,
                   const std::vector<Tensor>& inputs, source_location where) {
  const auto result = autograd::gradcheck(function, inputs, {.step = 1e-6, .atol = 1e-6, .rtol = 1e-4});
  if (!result.ok)
    report(where, fmt::format("gradient check of {}, row \"{}\": {} (worst {:.3g})", op, row, result.message,
                              result.worst));
}

void run_float_check(const char* op, const std::string& row, const Function& function,
                     const std::vector<Tensor>& inputs, Tolerance tolerance, source_location where) {
  std::vector<Tensor> floats;
  std::vector<Tensor> doubles;  // the same numbers: rounded to float32 first
  for (const auto& input : inputs) {
    floats.push_back(input.to(tensor::DType::float32));
    doubles.push_back(floats.back().to(tensor::DType::float64));
  }
  const auto actual = values_and_gradients(function, floats);
  const auto expected = values_and_gradients(function, doubles);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const std::string what = i == 0 ? "values" : fmt::format("gradient of input {}", i - 1);
    if (!actual[i].defined() && !expected[i].defined()) continue;
    expect_close(actual[i], expected[i], tolerance,
                 fmt::format("{} in float32, row \"{}\": {}", op, row, what), where);
    if (actual[i].dtype() != tensor::DType::float32)
      report(where, fmt::format("{}, row \"{}\": {} are {}", op, row, what, actual[i].str()));
  }
}

}  // namespace dcl::test
