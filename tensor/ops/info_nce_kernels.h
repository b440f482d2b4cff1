// The step between the two products of info_nce: logits become weights. Compiled for several instruction
// sets; the best one for this processor is chosen at run time.
#pragma once

#include <cstdint>

namespace dcl::tensor::cpu {

/// Logits of some queries against a block of keys, row-major without gaps.
struct ScoreBlock {
  std::int64_t rows = 0;
  std::int64_t keys = 0;
};

/// For each row: m' = max(m, max_j l_j), l_j becomes w_j = e^(l_j − m'), sum = sum·e^(m − m') + Σ_j w_j, and
/// correction = e^(m − m'), what sums made with the old maximum have to be multiplied by. Starts with m = −∞,
/// sum = 0. NaN among the logits makes the sum NaN.
template <class T>
using FoldScores = void (*)(ScoreBlock size, T* scores, T* maximum, double* sum, T* correction);

/// T is float or double.
template <class T>
FoldScores<T> fold_scores();

}  // namespace dcl::tensor::cpu
