#include "densecl/state_file.h"

#include <map>

#include "nn/state.h"

namespace dcl::densecl {

namespace {
bool is_queue(const std::string& name) { return name == "queue" || name == "queue2"; }
}  // namespace

Tensor to_file_layout(const std::string& name, const Tensor& tensor) {
  const Tensor host = tensor.to(tensor::Device{});
  if (is_queue(name)) return nn::transposed(host);
  const Tensor out = nn::to_pytorch_layout(host);
  return out.shares_with(tensor) ? out.clone() : out;
}

Tensor from_file_layout(const std::string& name, const Tensor& tensor) {
  return is_queue(name) ? nn::transposed(tensor) : nn::from_pytorch_layout(tensor);
}

std::vector<NamedTensor> to_file_layout(const std::vector<NamedTensor>& state) {
  std::vector<NamedTensor> all;
  for (const auto& [name, tensor] : state) all.push_back({name, to_file_layout(name, tensor)});
  return all;
}

void load_file_state(ContrastiveModel& model, const std::vector<NamedTensor>& file) {
  std::map<std::string, Tensor> by_name;
  for (const auto& [name, tensor] : file) by_name[name] = tensor;
  std::vector<std::pair<Tensor, Tensor>> copies;  // to, from
  for (auto& [name, target] : model.state()) {
    const auto found = by_name.find(name);
    check(found != by_name.end(), "state: tensor {} is missing", name);
    const Tensor source = from_file_layout(name, found->second);
    check(source.shape() == target.shape(), "state: tensor {} is {} in the file, the model's is {}", name,
          found->second.shape().str(), to_file_layout(name, target).shape().str());
    check(source.dtype() == target.dtype(), "state: tensor {} is {} in the file, the model's is {}", name,
          name_of(source.dtype()), name_of(target.dtype()));
    copies.emplace_back(target, source);
  }
  for (auto& [to, from] : copies) to.copy_from(from);
  model.bump_versions();
}

}  // namespace dcl::densecl
