// Between the files of info_nce on CUDA: who attends to the queue, and what that leaves.
#pragma once

#include "tensor/ops/info_nce.h"

namespace dcl::tensor::cuda {

/// The queue is cut into parts, so that few queries make enough blocks too. A part leaves for each query its
/// largest logit, and sums relative to that: e^(l − maximum), alone and times the rows of the queue.
struct AttentionParts {
  Tensor maximum;   // [parts,M], as the queries
  Tensor sum;       // [parts,M], float64
  Tensor weighted;  // [parts,M,C or more]; undefined when no gradient is wanted

  AttentionParts(std::int64_t parts, const Tensor& query, std::int64_t width, bool want_grad)
      : maximum(Tensor::empty({parts, query.size(0)}, query.options())),
        sum(Tensor::empty({parts, query.size(0)}, {DType::float64, query.device()})) {
    if (want_grad) weighted = Tensor::empty({parts, query.size(0), width}, query.options());
  }
};

inline constexpr std::int64_t kMostParts = 256;

/// Parts for a grid of `row_blocks` by parts, each of some of `tiles` tiles of the queue; 0 where there are
/// none. Depends on the sizes only, and so do the bits of the result.
std::int64_t attention_parts(std::int64_t row_blocks, std::int64_t tiles);

/// For float32 and float64, and any number of channels; rounds to bfloat16 where `params` say so.
AttentionParts attend(const Tensor& query, const Tensor& queue, const InfoNceParams& params, bool want_grad);

/// For bfloat16_products of so many channels at most.
inline constexpr std::int64_t kTensorCoreChannels = 128;
AttentionParts attend_by_tensor_cores(const Tensor& query, const Tensor& queue, const InfoNceParams& params,
                                      bool want_grad);

}  // namespace dcl::tensor::cuda
