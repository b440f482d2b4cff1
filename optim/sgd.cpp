#include "optim/sgd.h"

#include <map>
#include <set>
#include <string_view>

namespace dcl::optim {

Sgd::Sgd(const Parameters& parameters, const SgdParams& params) : params_(params) {
  tensor::check_sgd_params(params);
  std::set<std::string_view> names;
  for (const auto& [name, variable] : parameters) {
    check(names.insert(name).second, "sgd: there are two parameters called {}", name);
    check(variable.defined(), "sgd: parameter {} is undefined", name);
  }
  for (const auto& [name, variable] : parameters) slots_.push_back({name, variable, {}});
}

void Sgd::step(const Tensor& lr) {
  std::vector<tensor::SgdEntry> entries;
  std::vector<Slot*> stepped;
  for (auto& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    tensor::SgdEntry entry{slot.parameter.mutable_value(), slot.parameter.grad(), slot.momentum_buffer};
    if (params_.momentum != 0 && !entry.momentum_buffer.defined()) {
      entry.momentum_buffer = empty_like(entry.param);
      entry.first_step = true;
    }
    entries.push_back(std::move(entry));
    stepped.push_back(&slot);
  }
  if (entries.empty()) return;
  DCL_ON_DEVICE(entries.front().param.device(), sgd_update(entries, lr, params_));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    stepped[i]->momentum_buffer = entries[i].momentum_buffer;
    stepped[i]->parameter.bump_version();
  }
}

void Sgd::zero_grad() {
  for (auto& slot : slots_) slot.parameter.zero_grad();
}

Sgd::State Sgd::state() const {
  State state;
  for (const auto& slot : slots_)
    if (slot.momentum_buffer.defined()) state.emplace_back(slot.name, slot.momentum_buffer);
  return state;
}

void Sgd::load_state(const State& state) {
  std::map<std::string_view, const Slot*> known;
  for (const auto& slot : slots_) known[slot.name] = &slot;
  std::map<std::string_view, Tensor> buffers;
  for (const auto& [name, buffer] : state) {
    const auto found = known.find(name);
    check(found != known.end(), "sgd: there is a momentum buffer for {}, but no such parameter", name);
    const Tensor& value = found->second->parameter.value();
    check(buffer.defined() && buffer.shape() == value.shape() && buffer.dtype() == value.dtype(),
          "sgd: the momentum buffer of {} is {}, the parameter {}", name, buffer.str(), value.str());
    check(buffers.emplace(name, buffer).second, "sgd: there are two momentum buffers for {}", name);
  }
  for (auto& slot : slots_) {
    const auto found = buffers.find(slot.name);
    slot.momentum_buffer = found == buffers.end() ? Tensor() : empty_like(slot.parameter.value());
    if (slot.momentum_buffer.defined()) slot.momentum_buffer.copy_from(found->second);
  }
}

}  // namespace dcl::optim
