// The contrastive losses of a step. DenseCL, eq. 1 (global), eq. 2 (dense), eq. 3 (their sum), eq. 4 (which
// cell is matched to which).
#pragma once

#include "autograd/ops.h"
#include "autograd/variable.h"
#include "densecl/encoder.h"
#include "tensor/tensor.h"

namespace dcl::densecl {

/// What the key encoder gives for a batch, in the batch's own order, without gradients; S² cells a picture.
struct Keys {
  Tensor global;       // [N, dim], unit vectors
  Tensor dense;        // [N·S², dim], unit vectors; undefined without the dense half, like those below
  Tensor dense_means;  // [N, dim], mean of the dense projections over the cells, then normalised
  Tensor features;     // [N·S², C], backbone features
};

struct DenseLoss {
  Variable loss;  // [1]
  Tensor match;   // int64 [N·S²], row of Keys::dense that each query cell is matched to
  Tensor margin;  // [1], see tensor/ops/nearest_rows.h; undefined unless asked for
};

/// InfoNCE of each query vector against its key and the queue [K, dim].
autograd::InfoNce global_loss(const EncoderOutput& query, const Keys& keys, const Tensor& queue,
                              const tensor::InfoNceParams& params);

/// InfoNCE of each query cell against the key cell with the most similar backbone feature and the queue [K,
/// dim].
DenseLoss dense_loss(const EncoderOutput& query, const Keys& keys, const Tensor& queue,
                     const tensor::InfoNceParams& params, bool want_margin = false);

/// (1 - λ) · global + λ · dense, eq. 3; `lambda` is [1].
Variable total_loss(const Variable& global, const Variable& dense, const Tensor& lambda);

}  // namespace dcl::densecl
