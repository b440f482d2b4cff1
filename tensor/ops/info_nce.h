// InfoNCE against a queue of negatives (van den Oord et al. 2018; MoCo, eq. 1), without ever holding the
// M × K logits:
//
//   l0[i] = q_i·k⁺_i / T      l[i,j] = q_i·queue_j / T
//   L[i]  = log(e^l0[i] + Σ_j e^l[i,j])
//   loss  = mean_i (L[i] − l0[i])
//   dq_i  = (Σ_j e^(l[i,j] − L[i]) queue_j  −  (1 − e^(l0[i] − L[i])) k⁺_i) / (T·M)
//
// dq is attention with K = V = queue: blocks of the queue pass by each block of queries, with a running
// maximum, a running sum of exponentials and a running weighted sum of queue rows, the latter two scaled
// whenever the maximum moves (Dao et al., FlashAttention, 2022). Memory is O(M·C).
//
// query, positive [M,C], queue [K,C], one of float32 and float64; rows are usually of length 1, but need not
// be. Throws unless the shapes fit together, M >= 1, C >= 1 and params.temperature > 0. K may be 0 (the loss
// is 0).
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

struct InfoNceParams {
  double temperature = 0.2;  // T
  /// Products of numbers rounded to bfloat16 (queries times 1/T, keys, softmax weights), summed in float32;
  /// for float32 arguments only.
  bool bfloat16_products = false;
};

struct InfoNceResult {
  Tensor loss;        // [1]
  Tensor top1;        // [1], share of rows with l0[i] > l[i,j] for all j
  Tensor grad_query;  // [M,C], d loss / d query; undefined unless asked for
};

/// Throws as above.
void check_info_nce(const Tensor& query, const Tensor& positive, const Tensor& queue,
                    const InfoNceParams& params);

namespace cpu {
InfoNceResult info_nce(const Tensor& query, const Tensor& positive, const Tensor& queue,
                       const InfoNceParams& params, bool want_grad);
}  // namespace cpu

namespace cuda {
InfoNceResult info_nce(const Tensor& query, const Tensor& positive, const Tensor& queue,
                       const InfoNceParams& params, bool want_grad);
}  // namespace cuda

}  // namespace dcl::tensor
