// The two products of info_nce by tiles of bfloat16 (tensor/cpu/tiles/): scores of a strip of queries against
// a block of keys become weights at once, and weigh the same keys, so that neither leaves the second-level
// cache.
#pragma once

#include "tensor/cpu/tiles/split.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cpu {

/// T is bfloat16, or float for float32's accuracy (split.h). Queries times 1/temperature are rounded (or
/// split), keys are, and the weights are.
template <class T>
class TileAttention {
 public:
  /// query [rows,channels]
  TileAttention(const float* query, std::int64_t rows, std::int64_t channels, double temperature);

  /// Of every query: the largest score, Σ e^(score − maximum), and Σ e^(score − maximum)·key or null when it
  /// is not wanted.
  struct Sums {
    float* maximum;   // [rows]
    double* sum;      // [rows]
    float* weighted;  // [rows,channels]
  };
  /// Over `keys` rows of the queue. Overwrites what `sums` points to; may be called from several threads.
  void attend(const float* queue, std::int64_t keys, const Sums& sums) const;

 private:
  struct Scratch;
  void weigh_by_scores(Scratch& scratch, std::int64_t strip, const Sums& sums) const;
  bool weigh_in_registers(Scratch& scratch, std::int64_t strip, const Sums& sums) const;
  void add_weighted_keys(Scratch& scratch, std::int64_t rows, const Sums& sums) const;
  void rescale(const Sums& sums, std::int64_t row, float correction) const;
  std::int64_t rows_of(std::int64_t strip) const;
  const bfloat16* queries_of(std::int64_t strip) const;

  std::int64_t rows_, channels_;
  std::int64_t height_;  // of a strip
  Tensor query_;         // [strip][part][channel/32][row][32]
};

}  // namespace dcl::tensor::cpu
