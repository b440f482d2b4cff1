// SGD against torch.optim.SGD (tests/golden/optim/make.py) and its state.
#include "optim/sgd.h"

#include <cmath>
#include <fstream>
#include <map>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using nlohmann::json;
using optim::Sgd;
using tensor::DType;

const json& golden() {
  static const json file = json::parse(std::ifstream(DCL_SOURCE_DIR "/tests/golden/optim/sgd.json"));
  return file;
}

void append(const json& value, std::vector<double>& out) {
  if (value.is_array()) {
    for (const auto& item : value) append(item, out);
  } else {
    out.push_back(value.get<double>());
  }
}

Tensor tensor_of(const json& value, const std::string& name, DType dtype = DType::float64) {
  std::vector<double> numbers;
  append(value, numbers);
  return Tensor::from(numbers, Shape(golden().at("shapes").at(name).get<std::vector<std::int64_t>>()))
      .to(dtype);
}

tensor::SgdParams params_of(const json& options) {
  return {.momentum = options.value("momentum", 0.0),
          .weight_decay = options.value("weight_decay", 0.0),
          .dampening = options.value("dampening", 0.0),
          .nesterov = options.value("nesterov", false)};
}

Sgd::Parameters parameters_of(const json& start, DType dtype = DType::float64) {
  Sgd::Parameters parameters;
  for (const auto& [name, value] : start.items())
    parameters.emplace_back(name, Variable(tensor_of(value, name, dtype), true));
  return parameters;
}

// Gradients reach a leaf through backward() only.
void set_gradients(Sgd& sgd, Sgd::Parameters& parameters, const json& gradients) {
  sgd.zero_grad();
  for (auto& [name, variable] : parameters)
    if (gradients.contains(name))
      backward(variable, tensor_of(gradients.at(name), name, variable.value().dtype()));
}

std::map<std::string, Tensor> buffers_of(const Sgd& sgd) {
  const auto state = sgd.state();
  return {state.begin(), state.end()};
}

void expect_step(const json& step, const Sgd& sgd, const Sgd::Parameters& parameters, Tolerance tolerance) {
  for (const auto& [name, variable] : parameters)
    expect_close(variable.value(), tensor_of(step.at("parameters").at(name), name), tolerance, name);
  const auto buffers = buffers_of(sgd);
  EXPECT_EQ(buffers.size(), step.at("momentum_buffers").size());
  for (const auto& [name, value] : step.at("momentum_buffers").items()) {
    ASSERT_TRUE(buffers.contains(name)) << name;
    expect_close(buffers.at(name), tensor_of(value, name), tolerance, name + "'s momentum buffer");
  }
}

TEST(Sgd, StepsAreTorchs) {
  for (const auto& [type, tolerance] : {std::pair(DType::float64, Tolerance{1e-14, 1e-15}),
                                        std::pair(DType::float32, Tolerance{2e-6, 1e-6})}) {
    for (const auto& [name, c] : golden().at("cases").items()) {
      SCOPED_TRACE(name);
      auto parameters = parameters_of(c.at("start"), type);
      Sgd sgd(parameters, params_of(c.at("options")));
      for (const auto& step : c.at("steps")) {
        set_gradients(sgd, parameters, step.at("gradients"));
        sgd.step(Tensor::scalar(step.at("lr").get<double>(), {type, {}}));
        expect_step(step, sgd, parameters, tolerance);
      }
    }
  }
}

TEST(Sgd, GoesOnFromSavedState) {
  const auto& c = golden().at("cases").at("nesterov");
  const auto& steps = c.at("steps");
  for (std::size_t saved = 0; saved + 1 < steps.size(); ++saved) {
    auto parameters = parameters_of(saved == 0 ? c.at("start") : steps[saved - 1].at("parameters"));
    Sgd sgd(parameters, params_of(c.at("options")));
    Sgd::State state;
    if (saved > 0)
      for (const auto& [name, value] : steps[saved - 1].at("momentum_buffers").items())
        state.emplace_back(name, tensor_of(value, name));
    sgd.load_state(state);
    for (std::size_t s = saved; s < steps.size(); ++s) {
      set_gradients(sgd, parameters, steps[s].at("gradients"));
      sgd.step(Tensor::scalar(steps[s].at("lr").get<double>(), {DType::float64, {}}));
      expect_step(steps[s], sgd, parameters, {1e-14, 1e-15});
    }
    for (const auto& [name, buffer] : state)
      EXPECT_FALSE(buffers_of(sgd).at(name).shares_with(buffer)) << name;
  }
}

TEST(Sgd, RaisesTheVersionOfWhatItChanges) {
  Variable with(random_tensor({3}), true);
  Variable without(random_tensor({3}), true);
  Sgd sgd({{"with", with}, {"without", without}}, {.momentum = 0.9});
  backward(with, random_tensor({3}, 1));
  const auto before = without.value().clone();
  const auto version = with.version();
  sgd.step(Tensor::scalar(0.1));
  EXPECT_EQ(with.version(), version + 1);
  EXPECT_EQ(without.version(), 0U);
  expect_same_bits(without.value(), before);
  sgd.zero_grad();
  EXPECT_FALSE(with.grad().defined());
  sgd.step(Tensor::scalar(0.1));
  EXPECT_EQ(with.version(), version + 1);
}

TEST(Sgd, TakesAnyListOfNamesAndVariables) {
  struct Named {
    std::string name;
    Variable variable;
  };
  const std::vector<Named> named{{"a", Variable(Tensor::full({2}, 1), true)}};
  Sgd sgd(named, {});
  backward(named[0].variable, Tensor::full({2}, 2));
  sgd.step(Tensor::scalar(0.25));
  expect_same_bits(named[0].variable.value(), Tensor::full({2}, 0.5));
  EXPECT_TRUE(sgd.state().empty());
}

TEST(Sgd, Errors) {
  const Variable a(random_tensor({3}), true);
  const auto make = [&](tensor::SgdParams params) { return [&a, params] { Sgd({{"a", a}}, params); }; };
  expect_error(make({.momentum = -0.1}), {"sgd: momentum is -0.1"});
  expect_error(make({.weight_decay = -1}), {"sgd: weight_decay is -1"});
  expect_error(make({.momentum = NAN}), {"sgd: momentum is nan"});
  expect_error(make({.nesterov = true}), {"sgd: Nesterov needs momentum"});
  expect_error(make({.momentum = 0.9, .dampening = 0.1, .nesterov = true}), {"no dampening", "0.1"});
  expect_error([&] { Sgd({{"a", a}, {"a", a}}, {}); }, {"sgd: there are two parameters called a"});
  expect_error([&] { Sgd({{"b", Variable()}}, {}); }, {"sgd: parameter b is undefined"});
  Sgd sgd({{"a", a}}, {.momentum = 0.9});
  backward(a, random_tensor({3}, 1));
  expect_error([&] { sgd.step(Tensor::zeros({2})); }, {"lr is float32 [2]"});
  EXPECT_TRUE(sgd.state().empty());
  expect_error([&] { sgd.load_state({{"b", random_tensor({3})}}); },
               {"momentum buffer for b", "no such parameter"});
  expect_error([&] { sgd.load_state({{"a", random_tensor({4})}}); }, {"buffer of a", "[4]", "[3]"});
  expect_error([&] { sgd.load_state({{"a", Tensor::zeros({3})}}); }, {"buffer of a", "float32", "float64"});
  expect_error([&] { sgd.load_state({{"a", random_tensor({3})}, {"a", random_tensor({3})}}); },
               {"two momentum buffers"});
}

}  // namespace
}  // namespace dcl::test
