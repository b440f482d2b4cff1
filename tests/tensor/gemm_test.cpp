// Matrix products against three loops in double, for every layout; and what the callers rely on at the edges.
#include "tensor/cpu/gemm.h"

#include <array>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/features.h"
#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/products.h"
#include "tensor/cpu/threads.h"
#include "tensor/random.h"
#include "tests/support/vector_targets.h"

namespace dcl::tensor::cpu {
namespace {

template <class T>
std::vector<T> random_matrix(std::int64_t rows, std::int64_t stride, std::uint64_t seed) {
  RandomStream random({.seed = seed, .purpose = Purpose::test});
  std::vector<T> values(static_cast<std::size_t>(rows * stride));
  for (auto& value : values) value = static_cast<T>(random.uniform(-1, 1));
  return values;
}

struct Case {
  bool transpose_a, transpose_b;
  std::int64_t m, n, k;
  double alpha, beta;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> list = [] {
    std::vector<Case> all;
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true})
        for (const auto& [m, n, k] :
             {std::array<std::int64_t, 3>{1, 1, 1}, {7, 5, 3}, {70, 33, 65}, {31, 90, 129}})
          for (const auto& [alpha, beta] : {std::pair{1.0, 0.0}, {-0.5, 1.0}, {2.0, -0.25}})
            all.push_back({transpose_a, transpose_b, m, n, k, alpha, beta});
    return all;
  }();
  return list;
}

// Runs `product` with rows that are 3, 4 and 5 numbers longer than they need to be, and checks each element
// against |error| <= (k + 2) u sum |terms| (Higham 2002, section 3.1), and that what lies between the rows is
// untouched.
template <class T, class Product>
void check_case(const Case& x, Product product) {
  const std::int64_t lda = (x.transpose_a ? x.m : x.k) + 3;
  const std::int64_t ldb = (x.transpose_b ? x.k : x.n) + 4;
  const std::int64_t ldc = x.n + 5;
  const auto a = random_matrix<T>(x.transpose_a ? x.k : x.m, lda, 1);
  const auto b = random_matrix<T>(x.transpose_b ? x.n : x.k, ldb, 2);
  const auto before = random_matrix<T>(x.m, ldc, 3);
  auto c = before;
  product(x.transpose_a, x.transpose_b, x.m, x.n, x.k, static_cast<T>(x.alpha), a.data(), lda, b.data(), ldb,
          static_cast<T>(x.beta), c.data(), ldc);
  const double unit = std::numeric_limits<T>::epsilon() / 2;
  for (std::int64_t i = 0; i < x.m; ++i)
    for (std::int64_t j = 0; j < ldc; ++j) {
      const auto at = static_cast<std::size_t>(i * ldc + j);
      if (j >= x.n) {
        ASSERT_EQ(c[at], before[at]) << "between the rows, " << i << ", " << j;
        continue;
      }
      long double sum = static_cast<long double>(x.beta) * before[at];
      double magnitude = std::abs(x.beta * static_cast<double>(before[at]));
      for (std::int64_t p = 0; p < x.k; ++p) {
        const long double left = a[static_cast<std::size_t>(x.transpose_a ? p * lda + i : i * lda + p)];
        const long double right = b[static_cast<std::size_t>(x.transpose_b ? j * ldb + p : p * ldb + j)];
        sum += x.alpha * left * right;
        magnitude += std::abs(static_cast<double>(x.alpha * left * right));
      }
      ASSERT_LE(std::abs(static_cast<double>(c[at] - sum)),
                static_cast<double>(x.k + 2) * unit * magnitude * 1.01)
          << "m " << x.m << " n " << x.n << " k " << x.k << " at " << i << ", " << j;
    }
}

TEST(Gemm, IsTheTripleLoop) {
  for (const auto& x : cases()) {
    check_case<float>(x, &gemm<float>);
    check_case<double>(x, &gemm<double>);
    check_case<float>(x, &parallel_gemm<float>);
    check_case<double>(x, &parallel_gemm<double>);
  }
}

// The way that gemm takes where OpenBLAS does not know the processor, on every instruction set, also for what
// it would leave to OpenBLAS: operands where they lie and packed ones, sums of several pieces, several groups
// of columns.
TEST(Gemm, PackedProductIsTheTripleLoopOnEveryInstructionSet) {
  const auto packed = []<class T>(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                                  std::int64_t k, T alpha, const T* a, std::int64_t lda, const T* b,
                                  std::int64_t ldb, T beta, T* c, std::int64_t ldc) {
    packed_product(Product<T>{transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc});
  };
  auto all = cases();
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      all.push_back({transpose_a, transpose_b, 43, 410, 639, 0.75, 1});
      all.push_back({transpose_a, transpose_b, 30, 33, 641, 1, 0});
    }
  const auto chosen = [] { return std::string(microkernel<float>().target); };
  const int sets = test::on_every_vector_target(chosen, [&](const std::string& target) {
    SCOPED_TRACE(target);
    for (const auto& x : all) {
      check_case<float>(x, packed);
      check_case<double>(x, packed);
    }
  });
  if (test::avx2_is_allowed()) {
    EXPECT_GE(sets, 2);
  }
}

TEST(Gemm, PackedTilesWhereTheLibraryUsesLessThanTheProcessorHas) {
  EXPECT_TRUE(library_falls_short("Haswell", CpuLevel::avx512));
  EXPECT_TRUE(library_falls_short("Haswell", CpuLevel::amx));
  EXPECT_TRUE(library_falls_short("Nehalem", CpuLevel::avx2));
  EXPECT_TRUE(library_falls_short("", CpuLevel::avx2));
  EXPECT_FALSE(library_falls_short("", CpuLevel::baseline));
  EXPECT_FALSE(library_falls_short("Haswell", CpuLevel::avx2));
  EXPECT_FALSE(library_falls_short("Zen", CpuLevel::baseline));
  EXPECT_FALSE(library_falls_short("SkylakeX", CpuLevel::avx512));
  EXPECT_FALSE(library_falls_short("SapphireRapids", CpuLevel::amx));
}

// Also where a thread is left with a few rows or columns, which by themselves would go another way.
TEST(Gemm, PackedBitsDoNotDependOnThreads) {
  const int before = num_threads();
  for (const auto& [m, n] : {std::pair<std::int64_t, std::int64_t>{200, 128}, {40, 33}, {70, 328}}) {
    const std::int64_t k = 700;
    const auto a = random_matrix<float>(m, k, 1);
    const auto b = random_matrix<float>(n, k, 2);
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 5}) {
      set_num_threads(threads);
      auto& c = results.emplace_back(static_cast<std::size_t>(m * n));
      share_product<float>({false, true, m, n, k, 1, a.data(), k, b.data(), k, 0, c.data(), n},
                           packed_product<float>);
      EXPECT_EQ(c, results.front()) << m << " x " << n << ", " << threads << " threads";
    }
    check_case<float>({false, true, m, n, k, 1, 0}, [](bool ta, bool tb, std::int64_t rows, std::int64_t cols,
                                                       std::int64_t terms, float alpha, const float* left,
                                                       std::int64_t lda, const float* right, std::int64_t ldb,
                                                       float beta, float* c, std::int64_t ldc) {
      share_product<float>({ta, tb, rows, cols, terms, alpha, left, lda, right, ldb, beta, c, ldc},
                           packed_product<float>);
    });
  }
  set_num_threads(before);
}

TEST(Gemm, ManyThreads) {
  const int before = num_threads();
  set_num_threads(3);
  check_case<float>({false, true, 300, 40, 50, 1, 0}, &parallel_gemm<float>);
  check_case<double>({true, false, 40, 300, 50, 1, 1}, &parallel_gemm<double>);
  set_num_threads(before);
}

TEST(Gemm, BetaZeroDoesNotReadC) {
  const auto a = random_matrix<float>(20, 30, 1);
  const auto b = random_matrix<float>(30, 40, 2);
  for (const std::int64_t k : {0, 1, 30}) {
    std::vector<float> c(20 * 40, std::numeric_limits<float>::quiet_NaN());
    gemm<float>(false, false, 20, 40, k, 1, a.data(), 30, b.data(), 40, 0, c.data(), 40);
    for (const float value : c) ASSERT_TRUE(std::isfinite(value)) << "k " << k;
  }
}

TEST(Gemm, EmptySumScalesC) {
  std::vector<double> c{1, 2, 3, 4};
  gemm<double>(false, false, 2, 2, 0, 1, nullptr, 0, nullptr, 2, 0.5, c.data(), 2);
  EXPECT_EQ(c, (std::vector<double>{0.5, 1, 1.5, 2}));
  gemm<double>(false, false, 0, 2, 3, 1, nullptr, 3, nullptr, 2, 0, nullptr, 2);  // nothing to write
}

// Loader threads and the trainer may multiply at the same time.
TEST(Gemm, ConcurrentCallersDoNotDisturbEachOther) {
  const std::int64_t m = 64, n = 96, k = 80;
  const auto a = random_matrix<float>(m, k, 1);
  const auto b = random_matrix<float>(k, n, 2);
  const auto product = [&] {
    std::vector<float> c(static_cast<std::size_t>(m * n));
    gemm<float>(false, false, m, n, k, 1, a.data(), k, b.data(), n, 0, c.data(), n);
    return c;
  };
  const auto expected = product();
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> callers;
  for (auto& count : wrong)
    callers.emplace_back([&] {
      for (int i = 0; i < 50; ++i) count += product() == expected ? 0 : 1;
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace dcl::tensor::cpu
