#include "tensor/ops/nearest_rows.h"

#include <cmath>

#include "tests/ops/op_table.h"

namespace dcl::tensor {
namespace {

double cosine(const Tensor& a, std::int64_t i, const Tensor& b, std::int64_t j) {
  const std::int64_t channels = a.size(1);
  double ab = 0, aa = 0, bb = 0;
  for (std::int64_t c = 0; c < channels; ++c) {
    const double x = a.data<double>()[i * channels + c];
    const double y = b.data<double>()[j * channels + c];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / std::sqrt(aa * bb);
}

struct Row {
  std::int64_t entries, rows_a, rows_b, channels;
};

TEST(NearestRows, IsTheArgmaxOfTheCosineWithinTheEntry) {
  for (const auto& r :
       {Row{1, 1, 1, 1}, Row{3, 4, 4, 8}, Row{2, 5, 3, 7}, Row{4, 1, 9, 2}, Row{1, 49, 49, 33}}) {
    const Tensor a = test::random_tensor({r.entries * r.rows_a, r.channels}, 1);
    const Tensor b = test::random_tensor({r.entries * r.rows_b, r.channels}, 2);
    const auto found = cpu::nearest_rows(a, b, r.entries, true);
    double margin = INFINITY;
    for (std::int64_t i = 0; i < a.size(0); ++i) {
      const std::int64_t first = i / r.rows_a * r.rows_b;
      std::int64_t best = first;
      double second = -INFINITY;
      for (std::int64_t j = first; j < first + r.rows_b; ++j)
        if (cosine(a, i, b, j) > cosine(a, i, b, best)) best = j;
      for (std::int64_t j = first; j < first + r.rows_b; ++j)
        if (j != best) second = std::max(second, cosine(a, i, b, j));
      EXPECT_EQ(found.index.data<std::int64_t>()[i], best) << "row " << i;
      margin = std::min(margin, cosine(a, i, b, best) - second);
    }
    if (r.rows_b > 1) {
      EXPECT_NEAR(found.margin.item(), margin, 1e-12);
    }
  }
}

// Products of float32 may prefer a row that is as near but for rounding.
TEST(NearestRows, FloatsFindARowThatIsAsNear) {
  for (const auto& r : {Row{2, 49, 50, 33}, Row{1, 13, 49, 2500}, Row{3, 1, 2, 5000}}) {
    const Tensor a = test::random_tensor({r.entries * r.rows_a, r.channels}, 1);
    const Tensor b = test::random_tensor({r.entries * r.rows_b, r.channels}, 2);
    const auto found = cpu::nearest_rows(a.to(DType::float32), b.to(DType::float32), r.entries, true);
    const auto exact = cpu::nearest_rows(a, b, r.entries, true);
    for (std::int64_t i = 0; i < a.size(0); ++i)
      EXPECT_NEAR(cosine(a, i, b, found.index.data<std::int64_t>()[i]),
                  cosine(a, i, b, exact.index.data<std::int64_t>()[i]), 1e-6)
          << "row " << i << " of " << r.channels << " channels";
    EXPECT_NEAR(found.margin.item(), exact.margin.item(), 1e-6);
  }
}

TEST(NearestRows, TheFirstOfEqualsWinsAndLengthDoesNotCount) {
  const Tensor a = Tensor::from(std::vector<double>{1, 0}, {1, 2});
  const Tensor b = Tensor::from(std::vector<double>{5, 5, 0.5, 0, 2, 0}, {3, 2});
  EXPECT_EQ(cpu::nearest_rows(a, b, 1).index.item(), 1);

  // The same row everywhere, whichever group of rows its products are made in.
  const Tensor row = test::random_tensor({1, 2100}, 1).to(DType::float32);
  Tensor rows = Tensor::empty({8, 2100});
  for (std::int64_t i = 0; i < rows.numel(); ++i) rows.data<float>()[i] = row.data<float>()[i % 2100];
  const auto found = cpu::nearest_rows(rows, rows, 1, true);
  for (std::int64_t i = 0; i < 8; ++i) EXPECT_EQ(found.index.data<std::int64_t>()[i], 0) << i;
  EXPECT_EQ(found.margin.item(), 0);
}

TEST(NearestRows, RefusesWhatDoesNotFit) {
  const Tensor a = Tensor::zeros({4, 3});
  test::expect_error([&] { cpu::nearest_rows(a, Tensor::zeros({4, 2}), 1); },
                     {"nearest_rows", "[4,3]", "[4,2]"});
  test::expect_error([&] { cpu::nearest_rows(a, a, 3); }, {"nearest_rows", "3 entries"});
  test::expect_error([&] { cpu::nearest_rows(a, a.to(DType::float64), 1); }, {"nearest_rows", "float64"});
}

}  // namespace
}  // namespace dcl::tensor
