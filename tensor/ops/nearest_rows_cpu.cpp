#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "tensor/cpu/features.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/row_sums.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/linear_kernels.h"
#include "tensor/ops/nearest_rows.h"
#include "tensor/ops/nearest_rows_sizes.h"

namespace dcl::tensor::cpu {

namespace {

template <class T>
std::vector<T> inverse_norms(const T* x, std::int64_t rows, std::int64_t channels) {
  std::vector<T> inverse(static_cast<std::size_t>(rows));
  for (std::int64_t i = 0; i < rows; ++i) {
    const double squares = row_sums<T>().dot(channels, x + i * channels, x + i * channels);
    inverse[static_cast<std::size_t>(i)] =
        static_cast<T>(1.0 / std::max(std::sqrt(squares), kNearestRowsEps));
  }
  return inverse;
}

// a·bᵀ [rows_a,rows_b]. Rows are long and few: packing them, as gemm does, costs as much as the product. Each
// few rows of b pass by all of a, which has to stay in the second-level cache.
template <class T>
std::vector<T> products_of(const T* a, const T* b, const NearestRowsSizes& s) {
  std::vector<T> products(static_cast<std::size_t>(s.rows_a * s.rows_b));
  if constexpr (std::is_same_v<T, float>) {
    if (fast_paths() && s.rows_a * s.channels * 4 <= second_level_cache() / 2) {
      few_rows_kernels(false).forward(s.rows_a, s.rows_b, s.channels, {a, s.channels}, {b, s.channels},
                                      {products.data(), s.rows_b});
      return products;
    }
  }
  gemm<T>(false, true, s.rows_a, s.rows_b, s.channels, T(1), a, s.channels, b, s.channels, T(0),
          products.data(), s.rows_b);
  return products;
}

// One entry: index[i] and the gap between its two best cosines.
template <class T>
double match_entry(const T* a, const T* b, const NearestRowsSizes& s, std::int64_t first,
                   std::int64_t* index) {
  const auto scale_a = inverse_norms(a, s.rows_a, s.channels);
  const auto scale_b = inverse_norms(b, s.rows_b, s.channels);
  const auto products = products_of(a, b, s);
  double margin = std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < s.rows_a; ++i) {
    T best = -std::numeric_limits<T>::infinity();
    T second = best;
    std::int64_t at = 0;
    for (std::int64_t j = 0; j < s.rows_b; ++j) {
      const T cosine = products[static_cast<std::size_t>(i * s.rows_b + j)] *
                       scale_b[static_cast<std::size_t>(j)] * scale_a[static_cast<std::size_t>(i)];
      if (cosine > best) {
        second = best;
        best = cosine;
        at = j;
      } else if (cosine > second) {
        second = cosine;
      }
    }
    index[i] = first + at;
    margin = std::min(margin, static_cast<double>(best - second));
  }
  return margin;
}

}  // namespace

NearestRows nearest_rows(const Tensor& a, const Tensor& b, std::int64_t entries, bool want_margin) {
  const auto s = nearest_rows_sizes(a, b, entries);
  count_work({2 * static_cast<double>(a.numel() * s.rows_b), bytes_of({&a, &b})});
  NearestRows result;
  result.index = Tensor::empty({a.size(0)}, {DType::int64, a.device()});
  std::vector<double> margins(static_cast<std::size_t>(entries));
  dispatch_float(a.dtype(), "nearest_rows", [&]<class T>() {
    const T* from = a.data<T>();
    const T* to = b.data<T>();
    auto* index = result.index.data<std::int64_t>();
    parallel_for(entries, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n)
        margins[static_cast<std::size_t>(n)] =
            match_entry(from + n * s.rows_a * s.channels, to + n * s.rows_b * s.channels, s, n * s.rows_b,
                        index + n * s.rows_a);
    });
  });
  if (want_margin)
    result.margin = Tensor::scalar(*std::min_element(margins.begin(), margins.end()), a.options());
  return result;
}

}  // namespace dcl::tensor::cpu
