#include "tensor/cuda/conv2d_cudnn.h"

#include "tensor/cuda/plan_cache.h"

namespace dcl::tensor::cuda {

namespace {

const char* name_of(ConvolutionPass pass) {
  switch (pass) {
    case ConvolutionPass::forward:
      return "conv2d";
    case ConvolutionPass::backward_input:
      return "conv2d_backward_input";
    case ConvolutionPass::backward_weight:
      return "conv2d_backward_weight";
  }
  return "?";
}

PlanKey key_of(ConvolutionPass pass, const Conv2dSizes& z, const Tensor& x, bool bias) {
  constexpr PlanKind kinds[] = {PlanKind::conv2d, PlanKind::conv2d_backward_input,
                                PlanKind::conv2d_backward_weight};
  const auto [stride, padding, dilation, groups] = z.params;
  return {.kind = kinds[static_cast<std::size_t>(pass)],
          .dtype = x.dtype(),
          .device = x.device().index,
          .sizes = {z.batch, z.in_h, z.in_w, z.in_channels, z.out_channels, z.kernel_h, z.kernel_w, stride,
                    padding, dilation, groups, bias ? 1 : 0}};
}

// Plans are made for addresses that are multiples of 16; a slice of rows may begin elsewhere.
bool aligned(const Tensor& x) { return reinterpret_cast<std::uintptr_t>(x.raw()) % 16 == 0; }

}  // namespace

CudnnGraph conv2d_graph(ConvolutionPass pass, const Conv2dSizes& z, DType type, bool bias) {
  CudnnGraph graph(name_of(pass));
  const CudnnSizes y_sizes{z.batch, z.out_h, z.out_w, z.out_channels};
  const auto x = graph.picture(type, {z.batch, z.in_h, z.in_w, z.in_channels});
  const auto weight = graph.picture(type, {z.out_channels, z.kernel_h, z.kernel_w, z.group_in()});
  const auto y = graph.picture(type, y_sizes);
  const ConvolutionWindow window{
      .stride = z.params.stride, .padding = z.params.padding, .dilation = z.params.dilation};
  if (!bias) {
    graph.convolution(pass, window, {.x = x, .weight = weight, .y = y});
    return graph;
  }
  const auto added = graph.picture(DType::float32, {1, 1, 1, z.out_channels});
  const auto sums = graph.intermediate(DType::float32, y_sizes);
  graph.convolution(pass, window, {.x = x, .weight = weight, .y = sums});
  graph.add(sums, added, y);
  return graph;
}

PlanRules conv2d_rules(DType type) { return {.tensor_cores = type == DType::bfloat16}; }

bool conv2d_cudnn(ConvolutionPass pass, const Conv2dSizes& z, Conv2dOperands operands) {
  auto& [x, weight, y, bias] = operands;
  const DType type = x.dtype();
  if (type != DType::float32 && type != DType::bfloat16) return false;
  const std::string op = name_of(pass);
  const bool with_bias = bias.defined();
  const auto plan = cached_plan(
      op, key_of(pass, z, x, with_bias), [&] { return conv2d_graph(pass, z, type, with_bias); },
      conv2d_rules(type));
  if (!plan) return false;
  // What is written is fresh and therefore aligned.
  for (Tensor* operand : {&x, &weight, &y, &bias})
    if (operand->defined() && !aligned(*operand)) *operand = operand->clone();
  Tensor workspace = Tensor::empty({plan->workspace_bytes()}, {DType::uint8, x.device()});
  std::vector<CudnnBinding> bindings{{1, x.raw()}, {2, weight.raw()}, {3, y.raw()}};
  if (with_bias) bindings.push_back({4, bias.raw()});
  plan->execute(op, bindings, workspace.raw());
  return true;
}

}  // namespace dcl::tensor::cuda
