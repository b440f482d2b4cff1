#include "tensor/cpu/gemm.h"

#include <algorithm>
#include <cstdlib>

#include "tensor/cpu/features.h"
#include "tensor/cpu/products.h"
#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

// The argument list is BLAS's own, which every reader knows.
// NOLINTBEGIN(readability-function-size)

namespace {

// c = beta · c, without reading c when beta is 0.
template <class T>
void scale(std::int64_t m, std::int64_t n, T beta, T* c, std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i) {
    T* row = c + i * ldc;
    for (std::int64_t j = 0; j < n; ++j) row[j] = beta == T(0) ? T(0) : beta * row[j];
  }
}

// What OpenBLAS's kernels need of a processor, by its names for them; those that are missing here (Prescott,
// Core2, Nehalem and the like) are older than AVX or of another architecture.
CpuLevel level_of_core(const std::string& core) {
  for (const char* name : {"SkylakeX", "Cooperlake", "SapphireRapids"})
    if (core == name) return CpuLevel::avx512;
  // The first four have AVX without AVX2, for which there is no step of its own.
  for (const char* name :
       {"Sandybridge", "Bulldozer", "Piledriver", "Steamroller", "Excavator", "Haswell", "Zen"})
    if (core == name) return CpuLevel::avx2;
  return CpuLevel::baseline;
}

// OpenBLAS picks its kernels when it is loaded, before anything of ours runs. Where DCL_CPU_FEATURES forbids
// those, Eigen multiplies instead. (Without that limit they are what the processor has.)
bool openblas_multiplies() {
  static const bool chosen = [] {
    const std::string core = openblas_core();
    if (core.empty()) return false;
    return std::getenv("DCL_CPU_FEATURES") == nullptr || level_of_core(core) <= cpu_level();
  }();
  return chosen;
}

// Below this many rows, columns or terms packing costs more than it gains.
constexpr std::int64_t kMinPacked = 32;

bool packs(std::int64_t m, std::int64_t n, std::int64_t k) {
  static const bool falls_short =
      library_falls_short(openblas_multiplies() ? openblas_core() : std::string(), cpu_level());
  return falls_short && fast_paths() && std::min({m, n, k}) >= kMinPacked;
}

// For the whole product, whatever ranges it is cut to.
template <class T>
MultiplyProduct<T> multiplier_of(const Product<T>& p) {
  if (packs(p.m, p.n, p.k)) return packed_product<T>;
  return openblas_multiplies() ? openblas_product<T> : eigen_product<T>;
}

// Work below this many multiplications is not worth waking another thread.
constexpr std::int64_t kMinProducts = 1 << 16;
// Cuts fall on multiples of this, so that threads do not share cache lines of c or split a kernel's panel.
constexpr std::int64_t kPanel = 32;

}  // namespace

// Half of the vectors' width, or less.
bool library_falls_short(const std::string& core, CpuLevel level) {
  return (core.empty() ? CpuLevel::baseline : level_of_core(core)) < std::min(level, CpuLevel::avx512);
}

template <class T>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, T alpha,
          const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T beta, T* c, std::int64_t ldc) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) return scale(m, n, beta, c, ldc);
  const Product<T> product{transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc};
  multiplier_of(product)(product);
}

template <class T>
void share_product(const Product<T>& product, MultiplyProduct<T> multiply) {
  const bool by_rows = product.m >= product.n;
  const std::int64_t length = by_rows ? product.m : product.n;
  const std::int64_t panels = (length + kPanel - 1) / kPanel;
  const std::int64_t per_panel =
      std::max<std::int64_t>(1, kPanel * product.k * (by_rows ? product.n : product.m));
  const std::int64_t most = panels / (kMinProducts / per_panel + 1);
  // Each range packs the other operand anew.
  parallel_ranges(panels, std::min(most, dear_tasks()), [&](std::int64_t first, std::int64_t last) {
    Product<T> part = product;
    const std::int64_t begin = first * kPanel;
    const std::int64_t count = std::min(last * kPanel, length) - begin;
    if (by_rows) {
      part.m = count;
      part.a += begin * (part.transpose_a ? 1 : part.lda);
      part.c += begin * part.ldc;
    } else {
      part.n = count;
      part.b += begin * (part.transpose_b ? part.ldb : 1);
      part.c += begin;
    }
    multiply(part);
  });
}

template <class T>
void parallel_gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                   T alpha, const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T beta, T* c,
                   std::int64_t ldc) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) return scale(m, n, beta, c, ldc);
  const Product<T> product{transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc};
  share_product(product, multiplier_of(product));
}

std::string gemm_library() {
  const std::string library = openblas_multiplies() ? "OpenBLAS " + openblas_core() : "Eigen";
  return packs(kMinPacked, kMinPacked, kMinPacked) ? "packed tiles, small ones " + library : library;
}

template void share_product<float>(const Product<float>&, void (*)(const Product<float>&));
template void share_product<double>(const Product<double>&, void (*)(const Product<double>&));
template void gemm<float>(bool, bool, std::int64_t, std::int64_t, std::int64_t, float, const float*,
                          std::int64_t, const float*, std::int64_t, float, float*, std::int64_t);
template void parallel_gemm<float>(bool, bool, std::int64_t, std::int64_t, std::int64_t, float, const float*,
                                   std::int64_t, const float*, std::int64_t, float, float*, std::int64_t);
template void gemm<double>(bool, bool, std::int64_t, std::int64_t, std::int64_t, double, const double*,
                           std::int64_t, const double*, std::int64_t, double, double*, std::int64_t);
template void parallel_gemm<double>(bool, bool, std::int64_t, std::int64_t, std::int64_t, double,
                                    const double*, std::int64_t, const double*, std::int64_t, double, double*,
                                    std::int64_t);

// NOLINTEND(readability-function-size)

}  // namespace dcl::tensor::cpu
