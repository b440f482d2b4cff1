#include "nn/module.h"

namespace dcl::nn {

namespace {
std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}
}  // namespace

std::vector<NamedParameter> Module::parameters(const std::string& prefix) const {
  std::vector<NamedParameter> all;
  for (const auto& [name, variable] : parameters_) all.push_back({joined(prefix, name), variable});
  for (const auto& [name, child] : children_)
    for (auto& parameter : child->parameters(joined(prefix, name))) all.push_back(std::move(parameter));
  return all;
}

std::vector<NamedState> Module::state(const std::string& prefix) const {
  std::vector<NamedState> all;
  for (const auto& [name, variable] : parameters_) all.push_back({joined(prefix, name), variable.value()});
  for (const auto& [name, tensor] : buffers_) all.push_back({joined(prefix, name), tensor});
  for (const auto& [name, child] : children_)
    for (auto& entry : child->state(joined(prefix, name))) all.push_back(std::move(entry));
  return all;
}

void Module::set_training(bool training) {
  training_ = training;
  for (const auto& [name, child] : children_) child->set_training(training);
}

void Module::set_requires_grad(bool requires_grad) {
  for (auto& [name, variable] : parameters_) variable.set_requires_grad(requires_grad);
  for (const auto& [name, child] : children_) child->set_requires_grad(requires_grad);
}

Variable Module::add_parameter(std::string name, Tensor value) {
  Variable variable(std::move(value), true);
  parameters_.push_back({std::move(name), variable});
  return variable;
}

Tensor Module::add_buffer(std::string name, Tensor value) {
  buffers_.push_back({std::move(name), value});
  return value;
}

void Module::add_module(std::string name, Module& child) { children_.emplace_back(std::move(name), &child); }

}  // namespace dcl::nn
