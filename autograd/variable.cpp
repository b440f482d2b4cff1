#include "autograd/variable.h"

#include <atomic>
#include <utility>

#include "autograd/node.h"

namespace dcl::autograd {

namespace {
thread_local bool recording_here = true;
std::atomic<std::uint64_t> next_order{1};
}  // namespace

Node::~Node() {
  std::vector<std::shared_ptr<Node>> dying = std::move(inputs);
  while (!dying.empty()) {
    const std::shared_ptr<Node> node = std::move(dying.back());
    dying.pop_back();
    if (node == nullptr || node.use_count() > 1) continue;
    for (auto& input : node->inputs) dying.push_back(std::move(input));
    node->inputs.clear();
  }
}

Variable::Variable(Tensor value, bool requires_grad) : cell_(std::make_shared<Cell>()) {
  check(value.defined(), "variable: the tensor is undefined");
  cell_->node = std::make_shared<Node>();
  cell_->node->shape = value.shape();
  cell_->node->dtype = value.dtype();
  cell_->node->order = next_order++;
  cell_->value = std::move(value);
  set_requires_grad(requires_grad);
}

const Tensor& Variable::value() const {
  check(defined(), "variable: the value of an undefined variable");
  return cell_->value;
}

Tensor& Variable::mutable_value() {
  check(defined(), "variable: the value of an undefined variable");
  check(!cell_->node->backward, "variable: the result of {} may not be changed in place", cell_->node->op);
  return cell_->value;
}

bool Variable::requires_grad() const { return defined() && cell_->node->requires_grad; }

void Variable::set_requires_grad(bool requires_grad) {
  check(defined(), "variable: requires_grad of an undefined variable");
  check(!requires_grad || tensor::is_floating(value().dtype()),
        "variable: {} cannot require a gradient, only floating types can", value().str());
  check(!cell_->node->backward || requires_grad,
        "variable: the result of {} cannot stop requiring a gradient", cell_->node->op);
  cell_->node->requires_grad = requires_grad;
}

const Tensor& Variable::grad() const {
  check(defined(), "variable: the gradient of an undefined variable");
  return cell_->node->grad;
}

void Variable::zero_grad() {
  check(defined(), "variable: the gradient of an undefined variable");
  cell_->node->grad = Tensor();
}

std::uint64_t Variable::version() const {
  check(defined(), "variable: the version of an undefined variable");
  return cell_->version;
}

void Variable::bump_version() {
  check(defined(), "variable: the version of an undefined variable");
  ++cell_->version;
}

Saved Variable::save() const {
  Saved saved;
  saved.shape_ = shape();
  saved.remake_ = cell_->remake;
  if (!saved.remake_) saved.value_ = value();
  return saved;
}

Variable Variable::detach() const { return Variable(value()); }

bool recording() { return recording_here; }

bool will_record(const std::vector<Variable>& inputs) {
  if (!recording()) return false;
  for (const auto& input : inputs)
    if (input.requires_grad()) return true;
  return false;
}

Variable record(const char* op, Tensor output, const std::vector<Variable>& inputs, BackwardFunction backward,
                Remake remake) {
  Variable result(std::move(output));
  if (!will_record(inputs)) return result;
  Node& node = *result.cell_->node;
  node.op = op;
  node.part = tensor::ProfilePart::current();
  node.requires_grad = true;
  for (const auto& input : inputs) node.inputs.push_back(input.node());
  node.backward = std::move(backward);
  result.cell_->remake = std::move(remake);
  return result;
}

NoGradGuard::NoGradGuard() : before_(recording_here) { recording_here = false; }
NoGradGuard::~NoGradGuard() { recording_here = before_; }

}  // namespace dcl::autograd
