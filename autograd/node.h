// The graph behind Variable; only the engine and Variable look inside.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "autograd/variable.h"

namespace dcl::autograd {

/// One operation (or leaf). It knows the shape of its result but does not hold it: a value lives as long as
/// some Variable, or some backward function that has captured it, wants it.
struct Node {
  Node() = default;
  /// Lets go of the inputs one by one: left to themselves, the destructors of a long chain that backward()
  /// never walked would call each other down the whole stack.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const char* op = "leaf";
  std::string_view part;  // of the computation that it was recorded in (tensor/profile.h)
  tensor::Shape shape;
  tensor::DType dtype = tensor::DType::float32;
  Tensor grad;                 // of a leaf; accumulates over calls of backward()
  bool requires_grad = false;  // of a leaf: asked for; of a result: some input asks for it
  std::uint64_t order = 0;     // nodes are numbered as they are made, so inputs come before results
  std::vector<std::shared_ptr<Node>> inputs;
  BackwardFunction backward;  // empty for a leaf
  bool released = false;      // backward() has passed here and dropped inputs and saved tensors
};

}  // namespace dcl::autograd
