#include <cmath>
#include <limits>

#include "tensor/cuda/kernel.h"
#include "tensor/ops/info_nce_cuda.h"

namespace dcl::tensor::cuda {

namespace {

constexpr int kRowThreads = 128;
constexpr int kSumThreads = 512;

template <class T>
struct Rows {
  std::int64_t count, channels, parts, width;  // M, C, and the size of a weighted sum
  const T* query;
  const T* positive;
  double temperature;
  bool bfloat16_products;
  const T* maximum;
  const double* sum;
  const T* weighted;
  T* grad_query;  // null: not wanted
  double* loss;   // [M]
  double* top1;   // [M]
};

// q·k⁺/T, rounded as the product rounds the others, so that equal vectors have equal logits.
template <class T>
__device__ T positive_logit(const Rows<T>& in, const T* query, const T* positive) {
  const T factor = static_cast<T>(1 / in.temperature);
  double dot = 0;
  for (std::int64_t c = threadIdx.x; c < in.channels; c += kRowThreads) {
    if (in.bfloat16_products) {
      const auto rounded = [](T x) {
        return static_cast<double>(static_cast<float>(bfloat16(static_cast<float>(x))));
      };
      dot += rounded(query[c] * factor) * rounded(positive[c]);
    } else {
      dot += static_cast<double>(query[c]) * static_cast<double>(positive[c]);
    }
  }
  dot = block_sum<kRowThreads>(dot);
  return in.bfloat16_products ? static_cast<T>(dot) : static_cast<T>(dot) * factor;
}

// Puts the parts of one query, a block's, together with its positive, relative to the largest of all logits:
//   dq = (Σ_parts weighted − negatives·k⁺) / (all·T·M),  all = negatives + e^(l0 − largest)
template <class T>
__global__ void __launch_bounds__(kRowThreads) finish_rows(Rows<T> in) {
  __shared__ T tops[kMostParts];
  __shared__ double factors[kMostParts];
  const std::int64_t row = blockIdx.x;
  const T* positive = in.positive + row * in.channels;
  for (std::int64_t i = threadIdx.x; i < in.parts; i += kRowThreads) tops[i] = in.maximum[i * in.count + row];
  const T l0 = positive_logit(in, in.query + row * in.channels, positive);  // its barriers are for tops too
  T negative = -std::numeric_limits<T>::infinity();
  for (std::int64_t i = 0; i < in.parts; ++i) negative = tops[i] > negative ? tops[i] : negative;
  const double largest = static_cast<double>(l0 < negative ? negative : l0);
  for (std::int64_t i = threadIdx.x; i < in.parts; i += kRowThreads)
    factors[i] = exp(static_cast<double>(tops[i]) - largest);
  __syncthreads();
  double negatives = 0;
  for (std::int64_t i = 0; i < in.parts; ++i) negatives += factors[i] * in.sum[i * in.count + row];
  const double above = largest - static_cast<double>(l0);
  const double all = negatives + exp(-above);
  if (threadIdx.x == 0) {
    in.loss[row] = above == 0 ? log1p(negatives) : above + log(all);
    in.top1[row] = l0 > negative ? 1 : 0;
  }
  if (in.grad_query == nullptr) return;
  const double scale = 1 / (all * in.temperature * static_cast<double>(in.count));
  for (std::int64_t c = threadIdx.x; c < in.channels; c += kRowThreads) {
    T grad = static_cast<T>(-negatives * scale * static_cast<double>(positive[c]));
    for (std::int64_t i = 0; i < in.parts; ++i)
      grad += static_cast<T>(factors[i] * scale) * in.weighted[(i * in.count + row) * in.width + c];
    in.grad_query[row * in.channels + c] = grad;
  }
}

// One block: the means of the rows, always added in the same order.
template <class T>
__global__ void __launch_bounds__(kSumThreads)
    mean_of_rows(std::int64_t rows, const double* loss, const double* top1, T* mean_loss, T* mean_top1) {
  double losses = 0;
  double hits = 0;
  for (std::int64_t row = threadIdx.x; row < rows; row += kSumThreads) {
    losses += loss[row];
    hits += top1[row];
  }
  losses = block_sum<kSumThreads>(losses);
  hits = block_sum<kSumThreads>(hits);
  if (threadIdx.x != 0) return;
  *mean_loss = static_cast<T>(losses / static_cast<double>(rows));
  *mean_top1 = static_cast<T>(hits / static_cast<double>(rows));
}

template <class T>
InfoNceResult finish(const Tensor& query, const Tensor& positive, const InfoNceParams& params,
                     const AttentionParts& parts) {
  const std::int64_t rows = query.size(0);
  const bool want_grad = parts.weighted.defined();
  InfoNceResult result{Tensor::empty({1}, query.options()), Tensor::empty({1}, query.options()), {}};
  if (want_grad) result.grad_query = empty_like(query);
  Tensor of_rows = Tensor::empty({2, rows}, {DType::float64, query.device()});  // loss, top1
  double* loss = of_rows.data<double>();
  const Rows<T> in{.count = rows,
                   .channels = query.size(1),
                   .parts = parts.maximum.size(0),
                   .width = want_grad ? parts.weighted.size(2) : 0,
                   .query = query.data<T>(),
                   .positive = positive.data<T>(),
                   .temperature = params.temperature,
                   .bfloat16_products = params.bfloat16_products,
                   .maximum = parts.maximum.data<T>(),
                   .sum = parts.sum.data<double>(),
                   .weighted = want_grad ? parts.weighted.data<T>() : nullptr,
                   .grad_query = want_grad ? result.grad_query.data<T>() : nullptr,
                   .loss = loss,
                   .top1 = loss + rows};
  launch("info_nce", finish_rows<T>, {.grid = dim3(static_cast<unsigned>(rows)), .block = dim3(kRowThreads)},
         in);
  launch("info_nce", mean_of_rows<T>, {.block = dim3(kSumThreads)}, rows, loss, loss + rows,
         result.loss.data<T>(), result.top1.data<T>());
  return result;
}

}  // namespace

// The grid runs in waves of as many blocks as an H200 holds at once, two on each of 132 multiprocessors: the
// fewest tiles one after another, with what a block costs before and after them counted as two tiles.
std::int64_t attention_parts(std::int64_t row_blocks, std::int64_t tiles) {
  constexpr std::int64_t kSlots = std::min<std::int64_t>(kMostBlocks, 264);
  constexpr std::int64_t kAround = 2;
  const auto cost = [&](std::int64_t parts) {
    return (row_blocks * parts + kSlots - 1) / kSlots * ((tiles + parts - 1) / parts + kAround);
  };
  std::int64_t best = std::min<std::int64_t>(tiles, 1);
  for (std::int64_t parts = 2; parts <= std::min(tiles, kMostParts); ++parts)
    if (cost(parts) < cost(best)) best = parts;
  return best;
}

InfoNceResult info_nce(const Tensor& query, const Tensor& positive, const Tensor& queue,
                       const InfoNceParams& params, bool want_grad) {
  check_info_nce(query, positive, queue, params);
  return dispatch_float(query.dtype(), "info_nce", [&]<class T>() {
    // q·queueᵀ, and for the gradient its softmax·queue.
    count_work({(want_grad ? 4.0 : 2.0) * static_cast<double>(query.numel() * queue.size(0)),
                bytes_of({&query, &positive, &queue})});
    const bool tensor_cores = params.bfloat16_products && query.size(1) <= kTensorCoreChannels;
    return finish<T>(query, positive, params,
                     tensor_cores ? attend_by_tensor_cores(query, queue, params, want_grad)
                                  : attend(query, queue, params, want_grad));
  });
}

}  // namespace dcl::tensor::cuda
