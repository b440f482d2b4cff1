#include "tests/support/reference_case.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "densecl/model.h"
#include "densecl/state_file.h"
#include "nn/init.h"
#include "optim/sgd.h"
#include "tensor/random.h"

namespace dcl::test {

using densecl::ContrastiveModel;
using densecl::NamedTensor;
using nlohmann::json;
using tensor::DType;
using tensor::Tensor;

std::vector<double> stream(const std::string& name, std::int64_t n) {
  std::vector<double> values(static_cast<std::size_t>(n));
  std::uint64_t state = tensor::hash_name(name);
  for (auto& value : values) {
    state += 0x9E3779B97F4A7C15;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    value = static_cast<double>(z >> 11) * 0x1p-53 * 2 - 1;
  }
  return values;
}

namespace {

// Writes file-layout numbers into a tensor of the model.
void write_file_layout(Tensor& target, const std::string& name, const std::vector<double>& values) {
  const tensor::Shape file_shape = densecl::to_file_layout(name, target).shape();
  target.copy_from(densecl::from_file_layout(name, Tensor::from(values, file_shape)));
}

void fill_parameter(const std::string& name, Tensor& target) {
  std::vector<double> s = stream(name, target.numel());
  const double scale = target.dim() > 1 ? std::sqrt(6.0 / static_cast<double>(nn::fan_in(target))) : 0.1;
  const double shift = target.dim() == 1 && name.ends_with("weight") ? 1.0 : 0.0;
  for (auto& value : s) value = value * scale + shift;
  write_file_layout(target, name, s);
}

void fill_queue(const std::string& name, Tensor& target) {  // [K, C]; the protocol's is [C, K]
  const std::int64_t keys = target.size(0);
  const std::int64_t dim = target.size(1);
  std::vector<double> s = stream(name, target.numel());
  for (std::int64_t k = 0; k < keys; ++k) {
    double squares = 0;
    for (std::int64_t c = 0; c < dim; ++c) squares += std::pow(s[static_cast<std::size_t>(c * keys + k)], 2);
    const double norm = std::max(std::sqrt(squares), 1e-12);
    for (std::int64_t c = 0; c < dim; ++c) s[static_cast<std::size_t>(c * keys + k)] /= norm;
  }
  write_file_layout(target, name, s);
}

bool is_statistic(const std::string& name) {
  return name.find("running_") != std::string::npos || name.ends_with("tracked") || name.ends_with("_ptr");
}

void fill_model(ContrastiveModel& model) {
  const std::string key_prefix = "encoder_k.";
  for (auto& [name, tensor] : model.state()) {
    if (is_statistic(name)) continue;
    if (name == "queue" || name == "queue2")
      fill_queue(name, tensor);
    else if (name.starts_with(key_prefix))
      fill_parameter("encoder_q." + name.substr(key_prefix.size()), tensor);  // a copy of the query encoder
    else
      fill_parameter(name, tensor);
  }
  model.bump_versions();
}

densecl::ModelOptions model_options(const json& c, tensor::TensorOptions options) {
  densecl::ModelOptions o;
  const auto method = c.at("method").get<std::string>();
  check(method == "densecl" || method == "moco_v2" || method == "mocov2",
        "case: method is '{}', expected densecl or moco_v2", method);
  o.method = method == "densecl" ? densecl::Method::densecl : densecl::Method::mocov2;
  o.arch = c.at("arch").get<std::string>();
  o.dim = c.at("dim").get<std::int64_t>();
  o.hidden = c.at("hidden").get<std::int64_t>();
  o.queue = c.at("queue").get<std::int64_t>();
  o.temperature = c.at("temperature").get<double>();
  o.momentum = c.at("momentum_encoder").get<double>();
  o.bn_groups = c.value("bn_groups", std::int64_t{1});
  // As in the reference, null and 0 mean the map's own cells.
  if (c.contains("num_grid") && !c["num_grid"].is_null() && c["num_grid"] != 0)
    o.num_grid = c["num_grid"].get<std::int64_t>();
  o.options = options;
  return o;
}

json summary(const std::string& name, const Tensor& tensor) {
  const std::vector<double> values = densecl::to_file_layout(name, tensor).to_vector<double>();
  const std::vector<double> probe = stream("probe/" + name, tensor.numel());
  double squares = 0;
  double product = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    squares += values[i] * values[i];
    product += values[i] * probe[i];
  }
  return json::array({std::sqrt(squares), product});
}

// The reference counts cells within a picture; ours are rows among all key cells.
double match_sum(const Tensor& match, std::int64_t batch) {
  const std::int64_t cells = match.numel() / batch;
  double sum = 0;
  for (const auto row : match.to_vector<std::int64_t>()) sum += static_cast<double>(row % cells);
  return sum;
}

json step_numbers(const ContrastiveModel& model, const densecl::StepOutput& out, std::int64_t batch) {
  json row;
  row["loss_global"] = out.loss_global.item();
  row["loss"] = out.loss.value().item();
  if (model.dense()) {
    row["loss_dense"] = out.loss_dense.item();
    row["match_sum"] = match_sum(out.match, batch);
    row["match_margin"] = out.match_margin.item();
  }
  for (const auto& [name, variable] : model.parameters()) {
    check(variable.grad().defined(), "case: {} has no gradient", name);
    row["grad"][name] = summary(name, variable.grad());
  }
  return row;
}

}  // namespace

Tensor case_pictures(const json& c, std::int64_t step, char view, DType dtype) {
  const auto n = c.at("batch").get<std::int64_t>();
  const auto h = c.at("size").get<std::int64_t>();
  const std::int64_t coarse_h = (h + 7) / 8;
  const auto coarse = stream("im/" + std::to_string(step), n * 3 * coarse_h * coarse_h);
  const auto fine = stream(std::string("im_") + view + "/" + std::to_string(step), n * 3 * h * h);
  std::vector<double> values(fine.size());
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t ch = 0; ch < 3; ++ch)
      for (std::int64_t y = 0; y < h; ++y)
        for (std::int64_t x = 0; x < h; ++x) {
          const auto from_coarse =
              static_cast<std::size_t>(((i * 3 + ch) * coarse_h + y / 8) * coarse_h + x / 8);
          const auto from_fine = static_cast<std::size_t>(((i * 3 + ch) * h + y) * h + x);
          values[static_cast<std::size_t>(((i * h + y) * h + x) * 3 + ch)] =
              2 * coarse[from_coarse] + 0.3 * fine[from_fine];
        }
  return Tensor::from(values, {n, h, h, 3}).to(dtype);
}

json run_case(const json& c, tensor::TensorOptions options) {
  ContrastiveModel model(model_options(c, options));
  model.set_want_match_margin(true);
  fill_model(model);
  optim::Sgd sgd(model.parameters(), {.momentum = c.at("sgd_momentum").get<double>(),
                                      .weight_decay = c.at("weight_decay").get<double>()});
  const Tensor lr = Tensor::scalar(c.at("lr").get<double>(), options);
  const Tensor lambda = Tensor::scalar(model.dense() ? c.at("lambda").get<double>() : 0.0, options);
  const auto pictures = [&](std::int64_t step, char view) {
    return case_pictures(c, step, view, options.dtype).to(options.device);
  };
  const auto batch = c.at("batch").get<std::int64_t>();
  json result;
  result["steps"] = json::array();
  for (std::int64_t s = 0; s < c.at("steps").get<std::int64_t>(); ++s) {
    const auto order = c.at("shuffle").at(static_cast<std::size_t>(s)).get<std::vector<std::int64_t>>();
    const auto size = static_cast<std::int64_t>(order.size());
    const auto out = model.forward(pictures(s, 'q'), pictures(s, 'k'),
                                   Tensor::from(order, {size}).to(options.device), lambda);
    sgd.zero_grad();
    autograd::backward(out.loss);
    result["steps"].push_back(step_numbers(model, out, batch));
    sgd.step(lr);
    model.enqueue(out.keys, out.dense_keys);
  }
  for (const auto& [name, tensor] : model.state()) {
    if (name == "queue_ptr") result["queue_ptr"] = tensor.item();
    if (!name.ends_with("tracked") && !name.ends_with("_ptr")) result["final"][name] = summary(name, tensor);
  }
  return result;
}

// Of the sources that the program was built from, or, where those are elsewhere now, of those that
// DCL_SOURCE_DIR names.
std::string golden_folder() {
  const char* moved = std::getenv("DCL_SOURCE_DIR");
  return std::string(moved != nullptr ? moved : DCL_SOURCE_DIR) + "/tests/golden";
}

std::vector<std::string> golden_case_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder()))
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

json read_json(const std::string& path) {
  std::ifstream in(path);
  return json::parse(in);
}

json golden_case(const std::string& name) { return read_json(golden_folder() + "/" + name + ".json"); }

namespace {

double difference(const json& a, const json& b) {
  if (!a.is_number() || !b.is_number()) return std::numeric_limits<double>::infinity();
  const auto x = a.get<double>();
  const auto y = b.get<double>();
  const double d = std::abs(x - y) / std::max({1.0, std::abs(x), std::abs(y)});
  return std::isnan(d) ? std::numeric_limits<double>::infinity() : d;
}

void note(Difference& worst, double d, const std::string& name, double tolerance) {
  const bool first = worst.name.empty();
  if (first || d * worst.tolerance > worst.worst * tolerance) worst = {d, name, tolerance};
}

// Every number of `expected` has its equal in `got`; what is missing or has another kind is infinitely far
// off.
void compare(const json& expected, const json& got, const std::string& name, double tolerance,
             Difference& worst) {
  if (expected.is_structured()) {
    if (got.type() != expected.type() || (expected.is_array() && got.size() != expected.size()))
      return note(worst, std::numeric_limits<double>::infinity(), name, tolerance);
    for (const auto& [key, value] : expected.items()) {
      const json* found = expected.is_array() ? &got[std::stoul(key)]
                          : got.contains(key) ? &got[key]
                                              : nullptr;
      const std::string path = name.empty() ? key : fmt::format("{}.{}", name, key);
      if (found == nullptr)
        note(worst, std::numeric_limits<double>::infinity(), path, tolerance);
      else
        compare(value, *found, path, tolerance, worst);
    }
    return;
  }
  note(worst, difference(expected, got), name, tolerance);
}

}  // namespace

Difference compare_case(const json& file, const json& got, DType dtype) {
  const json& expected = file.at("expected");
  Difference worst;
  if (dtype == DType::float64) {
    compare(expected, got, "", file.at("rtol").get<double>(), worst);
    return worst;
  }
  const json& tolerances = file.at("rtol_f32");
  const json& steps = expected.at("steps");
  check(tolerances.size() == steps.size(), "case: {} tolerances in rtol_f32 for {} steps", tolerances.size(),
        steps.size());
  for (std::size_t s = 0; s < steps.size(); ++s) {
    if (tolerances[s].is_null()) continue;
    for (const auto& [key, value] : steps[s].items())
      if (key.starts_with("loss"))
        compare(value, got.at("steps").at(s).value(key, json()), fmt::format("steps.{}.{}", s, key),
                tolerances[s].get<double>(), worst);
  }
  return worst;
}

}  // namespace dcl::test
