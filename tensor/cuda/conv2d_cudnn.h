// The three passes of a convolution on cuDNN.
#pragma once

#include "tensor/cuda/cudnn_graph.h"
#include "tensor/ops/conv2d.h"

namespace dcl::tensor::cuda {

/// What a pass computes and what it computes it from, of one type, float32 or bfloat16; handles. The bias is
/// float32, for the forward pass only, and may be undefined.
struct Conv2dOperands {
  Tensor x, weight, y;
  Tensor bias = {};
};

/// Writes the operand that `pass` computes. False, and nothing is done, where cuDNN has no plan that keeps to
/// PlanRules: float32 without tensor cores, the same bits in every run.
bool conv2d_cudnn(ConvolutionPass pass, const Conv2dSizes& z, Conv2dOperands operands);

/// The graph of that pass; its tensors x, weight, y and bias have the ids 1, 2, 3 and 4.
CudnnGraph conv2d_graph(ConvolutionPass pass, const Conv2dSizes& z, DType type, bool bias);
PlanRules conv2d_rules(DType type);

}  // namespace dcl::tensor::cuda
