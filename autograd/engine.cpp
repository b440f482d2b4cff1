// backward(): reverse-mode differentiation. Nodes are numbered as they are made, so going through them from
// the highest number down meets every result before its inputs; each node's gradient is then complete when
// its turn comes.
#include <map>

#include "autograd/node.h"
#include "autograd/variable.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"

namespace dcl::autograd {

namespace {

struct Pending {
  std::shared_ptr<Node> node;
  Tensor grad;
};
using Queue = std::map<std::uint64_t, Pending, std::greater<>>;

// grad += part, in place only where nobody else holds the memory (an op may return one tensor for two
// inputs).
void accumulate(Tensor& grad, Tensor part) {
  if (!grad.defined()) {
    grad = std::move(part);
  } else if (grad.is_unique()) {
    DCL_ON_DEVICE(grad.device(), add_inplace(grad, part));
  } else {
    grad = DCL_ON_DEVICE(grad.device(), add(grad, part));
  }
}

// Sums a gradient over the dimensions that were broadcast, once for all ops.
Tensor fit(const Node& node, const Tensor& grad, const Node& input) {
  check(grad.dtype() == input.dtype, "backward: {} returned a gradient of {} for an input of {} {}", node.op,
        grad.str(), name_of(input.dtype), input.shape.str());
  if (grad.shape() == input.shape) return grad;
  check(tensor::broadcast_shapes(grad.shape(), input.shape, node.op) == grad.shape(),
        "backward: {} returned a gradient of {} for an input of {}", node.op, grad.str(), input.shape.str());
  return DCL_ON_DEVICE(grad.device(), sum_to(grad, input.shape));
}

// Calls a node's backward function and drops what it had saved.
std::vector<Tensor> differentiate(Node& node, Tensor grad, Needs& needs) {
  const BackwardFunction backward = std::exchange(node.backward, nullptr);
  node.released = true;
  const tensor::ProfilePart part(node.part);
  std::vector<Tensor> grads = backward(std::move(grad), needs);
  check(grads.size() == needs.size(), "backward: {} returned {} gradients for {} inputs", node.op,
        grads.size(), needs.size());
  for (std::size_t i = 0; i < needs.size(); ++i)
    check(!needs[i] || grads[i].defined(), "backward: {} returned no gradient for input {}", node.op, i);
  return grads;
}

// Which inputs need a gradient; what is pending for them goes with it where nobody else holds that.
Needs needs_of(const std::vector<std::shared_ptr<Node>>& inputs, Queue& queue) {
  std::vector<bool> needed;
  for (const auto& input : inputs) needed.push_back(input && input->requires_grad);
  Needs needs(std::move(needed));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto found = needs[i] ? queue.find(inputs[i]->order) : queue.end();
    if (found != queue.end() && found->second.grad.is_unique())
      needs.give_sum(i, std::exchange(found->second.grad, Tensor()));
  }
  return needs;
}

void step(Queue& queue) {
  const auto first = queue.begin();
  auto [node, grad] = std::move(first->second);
  queue.erase(first);
  if (!node->backward) {
    check(!node->released, "backward: the graph of {} was walked before and its tensors are gone", node->op);
    accumulate(node->grad, std::move(grad));
    return;
  }
  const auto inputs = std::exchange(node->inputs, {});
  Needs needs = needs_of(inputs, queue);
  std::vector<Tensor> grads = differentiate(*node, std::move(grad), needs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!needs[i]) continue;
    Pending& pending = queue[inputs[i]->order];
    pending.node = inputs[i];
    if (!pending.grad.defined()) pending.grad = needs.take_sum(i);
    accumulate(pending.grad, fit(*node, std::exchange(grads[i], Tensor()), *inputs[i]));
  }
}

}  // namespace

void backward(const Variable& root, Tensor seed) {
  check(root.requires_grad(), "backward: nothing that the root depends on requires a gradient");
  if (!seed.defined()) {
    check(root.value().numel() == 1, "backward: the root is {}; a seed is needed unless it has one element",
          root.value().str());
    seed = Tensor::full(root.shape(), 1.0, root.value().options());
  }
  tensor::check_shape("backward", "seed", seed, root.shape());
  const NoGradGuard no_grad;
  Queue queue;
  queue[root.node()->order] = {root.node(), std::move(seed)};
  while (!queue.empty()) step(queue);
}

}  // namespace dcl::autograd
