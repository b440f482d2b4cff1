// Values and gradients against PyTorch's, from tests/golden/ops/references.json (made by
// make_references.py).
#include <fstream>
#include <map>

#include <nlohmann/json.hpp>

#include "autograd/ops.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using nlohmann::json;

Tensor tensor_of(const json& value) {
  return Tensor::from(value.at("values").get<std::vector<double>>(),
                      Shape(value.at("shape").get<std::vector<std::int64_t>>()));
}

Tensor index_of(const json& value) {
  const auto numbers = value.get<std::vector<std::int64_t>>();
  return Tensor::from(numbers, {static_cast<std::int64_t>(numbers.size())});
}

Variable call(const std::string& op, const json& params, const std::vector<Variable>& in) {
  using namespace autograd;
  if (op == "upsample_bilinear2d")
    return upsample_bilinear2d(in.at(0),
                               {params.at("out_h"), params.at("out_w"), params.at("align_corners")});
  if (op == "normalize") return normalize(in.at(0), params.at("eps"));
  if (op == "cross_entropy") return cross_entropy(in.at(0), index_of(params.at("targets")));
  if (op == "gather_rows") return gather_rows(in.at(0), index_of(params.at("index")));
  if (op == "linear") return linear(in.at(0), in.at(1), in.at(2));
  if (op == "sum") return sum(in.at(0), params.at("dims").get<std::vector<int>>());
  if (op == "mean") return mean(in.at(0), params.at("dims").get<std::vector<int>>());
  using Unary = Variable (*)(const Variable&);
  using Binary = Variable (*)(const Variable&, const Variable&);
  static const std::map<std::string, Unary> unary{
      {"softmax", softmax}, {"log_softmax", log_softmax}, {"exp", exp},   {"log", log}, {"sqrt", sqrt},
      {"tanh", tanh},       {"sigmoid", sigmoid},         {"relu", relu}, {"neg", neg}};
  static const std::map<std::string, Binary> binary{{"add", add}, {"sub", sub}, {"mul", mul}, {"div", div}};
  if (unary.contains(op)) return unary.at(op)(in.at(0));
  return binary.at(op)(in.at(0), in.at(1));
}

TEST(TorchReferences, ValuesAndGradients) {
  const json file = json::parse(std::ifstream(DCL_SOURCE_DIR "/tests/golden/ops/references.json"));
  ASSERT_EQ(file.at("cases").size(), 28U);
  for (const auto& c : file.at("cases")) {
    const std::string what = fmt::format("{} {}", c.at("op").get<std::string>(), c.at("params").dump());
    std::vector<Variable> inputs;
    for (const auto& input : c.at("inputs")) inputs.emplace_back(tensor_of(input), true);
    const Variable y = call(c.at("op"), c.at("params"), inputs);
    expect_close(y.value(), tensor_of(c.at("y")), {1e-12, 1e-13}, what);
    backward(y, tensor_of(c.at("grad_y")));
    for (std::size_t i = 0; i < inputs.size(); ++i)
      expect_close(inputs[i].grad(), tensor_of(c.at("grads").at(i)), {1e-12, 1e-13},
                   fmt::format("{}: gradient {}", what, i));
  }
}

}  // namespace
}  // namespace dcl::test
