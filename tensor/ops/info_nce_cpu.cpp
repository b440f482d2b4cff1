#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include "tensor/cpu/features.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/info_nce.h"
#include "tensor/ops/info_nce_kernels.h"
#include "tensor/ops/info_nce_tiles.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kRows = 400;       // queries of a block
constexpr std::int64_t kKeys = 512;       // keys of a block: large products pack their operands less often
constexpr std::int64_t kPartKeys = 2048;  // keys of a part, at least
constexpr std::int64_t kLeastSplitRows = 128;  // queries from which on keys are split
constexpr std::int64_t kTasks = 32;            // wanted, so that threads are busy for the same time

// The work is cut into blocks of queries by parts of the queue, each a task that leaves a maximum, a sum and
// a weighted sum for each of its queries. The cuts depend on the sizes only, and so do the bits.
struct Plan {
  std::int64_t rows;      // M
  std::int64_t keys;      // K
  std::int64_t channels;  // C
  std::int64_t blocks;
  std::int64_t parts;

  Plan(const Tensor& query, const Tensor& queue, bool tiles)
      : rows(query.size(0)),
        keys(queue.size(0)),
        channels(query.size(1)),
        blocks(tiles ? 1 : (rows + kRows - 1) / kRows) {
    parts = std::clamp<std::int64_t>(std::min(kTasks / blocks, keys / kPartKeys), 1, kTasks);
  }
  std::int64_t row(std::int64_t block) const { return rows * block / blocks; }
  std::int64_t key(std::int64_t part) const { return keys * part / parts; }
};

// What the tasks leave: e^(l − maximum) summed over the keys of a part.
template <class T>
struct Partial {
  std::vector<T> maximum;   // [parts,M]
  std::vector<double> sum;  // [parts,M]
  Tensor weighted;          // [parts,M,C]; undefined when no gradient is wanted
};

struct Arguments {
  const Tensor& query;
  const Tensor& positive;
  const Tensor& queue;
  double temperature;
  bool bfloat16_products;
};

// The tiles' way goes through all queries at once, so that each key is packed once. Six of their products are
// faster than one of vectors only by AMX, where they spare 0.014 ns a number of a key and row, and writing
// its parts twice takes about 1.3 ns: they pay from about 90 rows on (computed, not measured).
bool by_tiles(const Arguments& in) {
  if (in.bfloat16_products) return true;
  const bool amx = tile_path() == TilePath::amx || tile_path() == TilePath::amx_emulated;
  return fast_paths() && amx && in.query.dtype() == DType::float32 && in.query.size(0) >= kLeastSplitRows;
}

// One task. Scores of a block of keys [rows,keys] = query·queueᵀ/T become weights, and the weighted sum of
// the queue's rows [rows,C] grows by weights·queue.
template <class T>
void attend(const Plan& plan, const Arguments& in, std::int64_t block, std::int64_t part, Partial<T>& out) {
  const std::int64_t row = plan.row(block);
  const std::int64_t rows = plan.row(block + 1) - row;
  const std::int64_t channels = plan.channels;
  const std::int64_t at = part * plan.rows + row;
  const T* query = in.query.data<T>() + row * channels;
  T* weighted = out.weighted.defined() ? out.weighted.template data<T>() + at * channels : nullptr;
  T* maximum = out.maximum.data() + at;
  double* sum = out.sum.data() + at;
  Tensor scratch = Tensor::empty({rows * (kKeys + 1)}, in.query.options());
  T* scores = scratch.data<T>();
  T* correction = scores + rows * kKeys;
  std::fill_n(maximum, rows, -std::numeric_limits<T>::infinity());
  if (weighted) std::fill_n(weighted, rows * channels, T(0));
  for (std::int64_t key = plan.key(part); key < plan.key(part + 1); key += kKeys) {
    const std::int64_t keys = std::min(kKeys, plan.key(part + 1) - key);
    const T* queue = in.queue.data<T>() + key * channels;
    gemm(false, true, rows, keys, channels, static_cast<T>(1 / in.temperature), query, channels, queue,
         channels, T(0), scores, keys);
    fold_scores<T>()({rows, keys}, scores, maximum, sum, correction);
    if (!weighted) continue;
    for (std::int64_t r = 0; r < rows; ++r) {
      if (correction[r] == T(1)) continue;
      for (std::int64_t c = 0; c < channels; ++c) weighted[r * channels + c] *= correction[r];
    }
    gemm(false, false, rows, channels, keys, T(1), scores, keys, queue, channels, T(1), weighted, channels);
  }
}

template <class T>
void attend_by_tiles(const Plan& plan, const Arguments& in, Partial<float>& out) {
  const TileAttention<T> attention(in.query.data<float>(), plan.rows, plan.channels, in.temperature);
  parallel_parts(static_cast<int>(plan.parts), [&](int part) {
    const std::int64_t at = part * plan.rows;
    attention.attend(in.queue.data<float>() + plan.key(part) * plan.channels,
                     plan.key(part + 1) - plan.key(part),
                     {out.maximum.data() + at, out.sum.data() + at,
                      out.weighted.defined() ? out.weighted.data<float>() + at * plan.channels : nullptr});
  });
}

template <class T>
void attend_all(const Plan& plan, const Arguments& in, Partial<T>& out) {
  if constexpr (std::is_same_v<T, float>) {
    if (in.bfloat16_products) return attend_by_tiles<bfloat16>(plan, in, out);
    if (by_tiles(in)) return attend_by_tiles<float>(plan, in, out);
  }
  parallel_parts(static_cast<int>(plan.blocks * plan.parts),
                 [&](int task) { attend<T>(plan, in, task / plan.parts, task % plan.parts, out); });
}

// q·k⁺/T, rounded as the product rounds the others, so that equal vectors have equal logits.
template <class T>
T positive_logit(const Arguments& in, const T* query, const T* positive, std::int64_t channels) {
  const T factor = static_cast<T>(1 / in.temperature);
  double dot = 0;
  if (in.bfloat16_products) {
    const auto rounded = [](T x) {
      return static_cast<double>(static_cast<float>(bfloat16(static_cast<float>(x))));
    };
    for (std::int64_t c = 0; c < channels; ++c) dot += rounded(query[c] * factor) * rounded(positive[c]);
    return static_cast<T>(dot);
  }
  for (std::int64_t c = 0; c < channels; ++c)
    dot += static_cast<double>(query[c]) * static_cast<double>(positive[c]);
  return static_cast<T>(dot) * factor;
}

// What one query adds to the loss and to top1.
struct RowResult {
  double loss = 0;
  double top1 = 0;
};

// Puts the parts of one query together with its positive, relative to the largest of all logits:
//   dq = (Σ_parts weighted − negatives·k⁺) / (all·T·M),  all = negatives + e^(l0 − largest)
template <class T>
RowResult finish_row(const Plan& plan, const Arguments& in, const Partial<T>& partial, std::int64_t row,
                     T* grad_query) {
  const T* query = in.query.data<T>() + row * plan.channels;
  const T* positive = in.positive.data<T>() + row * plan.channels;
  const T l0 = positive_logit(in, query, positive, plan.channels);
  T negative = -std::numeric_limits<T>::infinity();
  for (std::int64_t i = row; i < plan.parts * plan.rows; i += plan.rows)
    negative = std::max(negative, partial.maximum[static_cast<std::size_t>(i)]);
  const double largest = static_cast<double>(std::max(l0, negative));
  const auto factor = [&](std::int64_t i) {
    return std::exp(static_cast<double>(partial.maximum[static_cast<std::size_t>(i)]) - largest);
  };
  double negatives = 0;
  for (std::int64_t i = row; i < plan.parts * plan.rows; i += plan.rows)
    negatives += factor(i) * partial.sum[static_cast<std::size_t>(i)];
  const double above = largest - static_cast<double>(l0);
  const double all = negatives + std::exp(-above);
  if (grad_query) {
    const double scale = 1 / (all * in.temperature * static_cast<double>(plan.rows));
    for (std::int64_t c = 0; c < plan.channels; ++c)
      grad_query[c] = static_cast<T>(-negatives * scale * static_cast<double>(positive[c]));
    for (std::int64_t i = row; i < plan.parts * plan.rows; i += plan.rows) {
      const T share = static_cast<T>(factor(i) * scale);
      const T* weighted = partial.weighted.template data<T>() + i * plan.channels;
      for (std::int64_t c = 0; c < plan.channels; ++c) grad_query[c] += share * weighted[c];
    }
  }
  return {above == 0 ? std::log1p(negatives) : above + std::log(all), l0 > negative ? 1.0 : 0.0};
}

}  // namespace

InfoNceResult info_nce(const Tensor& query, const Tensor& positive, const Tensor& queue,
                       const InfoNceParams& params, bool want_grad) {
  check_info_nce(query, positive, queue, params);
  const Arguments in{query, positive, queue, params.temperature, params.bfloat16_products};
  return dispatch_float(query.dtype(), "info_nce", [&]<class T>() {
    const Plan plan(query, queue, by_tiles(in));
    // q·queueᵀ, and for the gradient its softmax·queue.
    count_work({(want_grad ? 4.0 : 2.0) * static_cast<double>(query.numel() * queue.size(0)),
                bytes_of({&query, &positive, &queue})});
    const auto entries = static_cast<std::size_t>(plan.parts * plan.rows);
    Partial<T> partial{std::vector<T>(entries), std::vector<double>(entries), {}};
    InfoNceResult result;
    if (want_grad) {
      partial.weighted = Tensor::empty({plan.parts, plan.rows, plan.channels}, query.options());
      result.grad_query = empty_like(query);
    }
    attend_all(plan, in, partial);
    T* grad_data = want_grad ? result.grad_query.template data<T>() : nullptr;
    std::vector<RowResult> rows(static_cast<std::size_t>(plan.rows));
    parallel_for(
        plan.rows, 32768 / (plan.parts * plan.channels) + 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row)
            rows[static_cast<std::size_t>(row)] =
                finish_row<T>(plan, in, partial, row, grad_data ? grad_data + row * plan.channels : nullptr);
        });
    RowResult total;
    for (const auto& row : rows) {
      total.loss += row.loss;
      total.top1 += row.top1;
    }
    const double count = static_cast<double>(plan.rows);
    result.loss = Tensor::scalar(total.loss / count, query.options());
    result.top1 = Tensor::scalar(total.top1 / count, query.options());
    return result;
  });
}

}  // namespace dcl::tensor::cpu
