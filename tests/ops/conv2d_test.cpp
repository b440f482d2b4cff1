// Every path of conv2d: the plain one against seven loops in double, the fast one against the plain one, on
// every instruction set that this processor has.
#include "tensor/ops/conv2d.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/merged_phases.h"
#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

namespace cpu = tensor::cpu;
using tensor::Conv2dParams;
using tensor::DType;

struct Row {
  const char* name;
  Shape x;       // [N,H,W,I]
  Shape weight;  // [O,kH,kW,I/groups]
  Conv2dParams params;
  bool bias = false;
};

const std::vector<Row>& tiny_rows() {
  static const std::vector<Row> rows{
      {"1x1", {2, 3, 4, 5}, {6, 1, 1, 5}, {}, true},
      {"1x1, stride 2", {2, 5, 4, 3}, {4, 1, 1, 3}, {.stride = 2}},
      {"1x1, padding 1", {1, 3, 2, 2}, {3, 1, 1, 2}, {.padding = 1}, true},
      {"3x3", {2, 5, 4, 3}, {4, 3, 3, 3}, {.padding = 1}},
      {"3x3, no padding", {1, 5, 6, 2}, {3, 3, 3, 2}, {}, true},
      {"3x3, stride 2", {2, 7, 6, 3}, {2, 3, 3, 3}, {.stride = 2, .padding = 1}},
      {"3x3, stride 3", {1, 8, 7, 2}, {3, 3, 3, 2}, {.stride = 3, .padding = 1}, true},
      {"3x3, stride above the kernel", {1, 9, 10, 2}, {2, 3, 3, 2}, {.stride = 4, .padding = 1}},
      {"3x3, padding above the kernel", {1, 3, 2, 2}, {2, 2, 2, 2}, {.padding = 3}, true},
      {"3x3, dilation 2", {1, 6, 7, 2}, {3, 3, 3, 2}, {.padding = 2, .dilation = 2}},
      {"3x3, dilation 2, stride 2", {1, 9, 8, 2}, {2, 3, 3, 2}, {.stride = 2, .padding = 2, .dilation = 2}},
      {"3x3, dilation 3, stride 2", {1, 9, 8, 2}, {2, 3, 3, 2}, {.stride = 2, .padding = 3, .dilation = 3}},
      {"3x3, two groups", {2, 4, 5, 4}, {6, 3, 3, 2}, {.padding = 1, .groups = 2}, true},
      {"3x3, two groups of eight", {1, 3, 3, 4}, {16, 3, 3, 2}, {.stride = 2, .padding = 1, .groups = 2}},
      {"3x3, depthwise", {2, 4, 3, 5}, {5, 3, 3, 1}, {.padding = 1, .groups = 5}, true},
      {"3x3, depthwise, two outputs each", {1, 5, 4, 3}, {6, 3, 3, 1}, {.stride = 2, .groups = 3}},
      {"7x7 stem", {1, 9, 11, 3}, {2, 7, 7, 3}, {.stride = 2, .padding = 3}},
      {"kernel of 2x3", {1, 5, 4, 2}, {3, 2, 3, 2}, {.padding = 1}},
      {"kernel of 1x3, stride 2", {1, 5, 7, 2}, {3, 1, 3, 2}, {.stride = 2}},
      {"pictures of one pixel", {3, 1, 1, 4}, {5, 3, 3, 4}, {.padding = 1}, true},
      {"pictures of one pixel, stride 2", {2, 1, 1, 3}, {2, 3, 3, 3}, {.stride = 2, .padding = 1}},
      {"one of everything", {1, 1, 1, 1}, {1, 1, 1, 1}, {}, true},
      {"one row of pixels", {1, 1, 6, 2}, {3, 3, 3, 2}, {.padding = 1}},
  };
  return rows;
}

// Sizes that cross the edges of the fast path: sums above 384, more than 112 rows, tiles cut in both
// directions, weight gradients summed in parts and shared out by columns.
const std::vector<Row>& larger_rows() {
  static const std::vector<Row> rows{
      {"3x3", {2, 29, 31, 40}, {37, 3, 3, 40}, {.padding = 1}, true},
      {"3x3, stride 2", {3, 17, 15, 48}, {65, 3, 3, 48}, {.stride = 2, .padding = 1}, true},
      {"3x3, few rows", {2, 3, 3, 130}, {96, 3, 3, 130}, {.padding = 1}},
      {"3x3, small pictures", {9, 4, 5, 97}, {100, 3, 3, 97}, {.padding = 1}, true},
      {"3x3, small pictures, whole panels", {33, 2, 2, 128}, {101, 3, 3, 128}, {.padding = 1}, true},
      {"3x3, small pictures, stride 2", {7, 5, 4, 96}, {99, 3, 3, 96}, {.stride = 2, .padding = 1}},
      {"3x3, pixels that read nothing", {5, 3, 2, 96}, {98, 3, 3, 96}, {.stride = 2, .padding = 4}, true},
      {"3x3, taps that read nothing", {5, 1, 2, 96}, {96, 3, 3, 96}, {.padding = 3, .dilation = 3}, true},
      {"1x1", {3, 20, 33, 70}, {64, 1, 1, 70}, {}, true},
      {"1x1, large gradient", {1, 7, 7, 400}, {210, 1, 1, 400}, {}},
      {"1x1, gradient of several groups both ways", {1, 7, 7, 450}, {290, 1, 1, 450}, {}},
      {"1x1, stride 2", {2, 13, 14, 96}, {40, 1, 1, 96}, {.stride = 2}},
      {"7x7 stem", {2, 61, 63, 3}, {64, 7, 7, 3}, {.stride = 2, .padding = 3}, true},
      {"3x3, dilation 2", {1, 23, 19, 24}, {33, 3, 3, 24}, {.padding = 2, .dilation = 2}},
      {"3x3, 4x4 tiles", {2, 12, 8, 64}, {96, 3, 3, 64}, {.padding = 1}, true},
      {"3x3, tiles over the edge", {3, 29, 31, 48}, {80, 3, 3, 48}, {.padding = 1}, true},
      {"3x3, tiles, no padding", {1, 21, 18, 32}, {48, 3, 3, 32}, {}, true},
      {"3x3, tiles, padding 2", {2, 15, 17, 48}, {32, 3, 3, 48}, {.padding = 2}},
      {"3x3, two groups", {1, 23, 22, 48}, {66, 3, 3, 24}, {.padding = 1, .groups = 2}, true},
  };
  return rows;
}

struct Results {
  Tensor y, dx, dweight;
};

// Random inputs of a row; dy is the gradient that arrives at y.
struct Inputs {
  Tensor x, weight, bias, dy;
  explicit Inputs(const Row& row, DType type = DType::float64)
      : x(random_tensor(row.x, 1).to(type)),
        weight(random_tensor(row.weight, 2).to(type)),
        dy(random_tensor(tensor::conv2d_sizes(row.x, row.weight, row.params).out_shape(), 3).to(type)) {
    if (row.bias) bias = random_tensor({row.weight[0]}, 4).to(type);
  }
  Inputs to(DType type) const {
    Inputs copy = *this;
    for (Tensor* t : {&copy.x, &copy.weight, &copy.bias, &copy.dy})
      if (t->defined()) *t = t->to(type);
    return copy;
  }
};

class FastPaths {
 public:
  explicit FastPaths(bool enabled) : before_(cpu::fast_paths()) { cpu::set_fast_paths(enabled); }
  ~FastPaths() { cpu::set_fast_paths(before_); }
  FastPaths(const FastPaths&) = delete;
  FastPaths& operator=(const FastPaths&) = delete;

 private:
  bool before_;
};

Results compute(const Row& row, const Inputs& in, bool fast) {
  const FastPaths paths(fast);
  return {cpu::conv2d(in.x, in.weight, in.bias, row.params),
          cpu::conv2d_backward_input(in.dy, in.weight, row.x, row.params),
          cpu::conv2d_backward_weight(in.dy, in.x, row.weight, row.params)};
}

// The formula of conv2d.h, word for word. The size of y comes from counting where the window still fits.
Results seven_loops(const Row& row, const Inputs& in) {
  const auto& p = row.params;
  const auto count = [&](std::int64_t size, std::int64_t kernel) {
    std::int64_t positions = 0;
    while (positions * p.stride + (kernel - 1) * p.dilation < size + 2 * p.padding) ++positions;
    return positions;
  };
  const auto& xs = row.x;
  const auto& ws = row.weight;
  const std::int64_t out_h = count(xs[1], ws[1]);
  const std::int64_t out_w = count(xs[2], ws[2]);
  Results result{Tensor::zeros({xs[0], out_h, out_w, ws[0]}, {DType::float64, {}}), tensor::zeros_like(in.x),
                 tensor::zeros_like(in.weight)};
  for (std::int64_t n = 0; n < xs[0]; ++n)
    for (std::int64_t i = 0; i < out_h; ++i)
      for (std::int64_t j = 0; j < out_w; ++j)
        for (std::int64_t o = 0; o < ws[0]; ++o) {
          const std::int64_t at_y = ((n * out_h + i) * out_w + j) * ws[0] + o;
          double& y = result.y.data<double>()[at_y];
          if (in.bias.defined()) y = in.bias.data<double>()[o];
          for (std::int64_t r = 0; r < ws[1]; ++r)
            for (std::int64_t s = 0; s < ws[2]; ++s)
              for (std::int64_t c = 0; c < ws[3]; ++c) {
                const std::int64_t h = i * p.stride + r * p.dilation - p.padding;
                const std::int64_t w = j * p.stride + s * p.dilation - p.padding;
                if (h < 0 || h >= xs[1] || w < 0 || w >= xs[2]) continue;
                const std::int64_t channel = o / (ws[0] / p.groups) * ws[3] + c;
                const std::int64_t at_x = ((n * xs[1] + h) * xs[2] + w) * xs[3] + channel;
                const std::int64_t at_weight = ((o * ws[1] + r) * ws[2] + s) * ws[3] + c;
                const double dy = in.dy.data<double>()[at_y];
                y += in.x.data<double>()[at_x] * in.weight.data<double>()[at_weight];
                result.dx.data<double>()[at_x] += dy * in.weight.data<double>()[at_weight];
                result.dweight.data<double>()[at_weight] += dy * in.x.data<double>()[at_x];
              }
        }
  return result;
}

void expect_close(const Row& row, const Results& actual, const Results& expected) {
  // Sums of at most 2,000 products below 1.
  const Tolerance tolerance{1e-12, 1e-12};
  test::expect_close(actual.y, expected.y, tolerance, std::string(row.name) + ": y");
  test::expect_close(actual.dx, expected.dx, tolerance, std::string(row.name) + ": dx");
  test::expect_close(actual.dweight, expected.dweight, tolerance, std::string(row.name) + ": dweight");
}

Tensor absolute(const Tensor& x) {
  Tensor y = x.clone();
  for (std::int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] = std::abs(y.data<double>()[i]);
  return y;
}

// |float result - exact| <= n u / (1 - n u) * sum |a||b| for a sum of n terms in any order, u = 2^-24
// (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
void expect_within_bound(const Tensor& actual, const Tensor& exact, const Tensor& magnitudes, double terms,
                         const std::string& what) {
  const double nu = terms * std::ldexp(1.0, -24);
  const auto a = actual.to_vector<double>();
  const auto e = exact.to_vector<double>();
  const auto m = magnitudes.to_vector<double>();
  ASSERT_EQ(a.size(), e.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_LE(std::abs(a[i] - e[i]), nu / (1 - nu) * m[i] + 1e-30) << what << ", element " << i;
}

TEST(Conv2d, Gradients) {
  for (const bool fast : {false, true}) {
    const FastPaths paths(fast);
    for (const auto& row : tiny_rows()) {
      const Inputs in(row);
      std::vector<Tensor> inputs{in.x, in.weight};
      if (row.bias) inputs.push_back(in.bias);
      run_gradcheck(
          "conv2d", std::string(row.name) + (fast ? ", fast" : ", plain"),
          [&](const auto& v) {
            return autograd::conv2d(v[0], v[1], v.size() > 2 ? v[2] : Variable(), row.params);
          },
          inputs);
    }
  }
}

TEST(Conv2d, PlainPathIsTheFormula) {
  for (const auto& row : tiny_rows()) {
    const Inputs in(row);
    expect_close(row, compute(row, in, false), seven_loops(row, in));
  }
}

TEST(Conv2d, FastPathsAreThePlainPathOnEveryInstructionSet) {
  const auto chosen = [] { return cpu::microkernel<float>().target; };
  const int sets = test::on_every_vector_target(chosen, [](const std::string& target) {
    EXPECT_EQ(cpu::microkernel<double>().target, target);
    for (const auto* rows : {&tiny_rows(), &larger_rows()})
      for (const auto& row : *rows) {
        const Inputs in(row);
        expect_close(row, compute(row, in, true), compute(row, in, false));
      }
  });
  EXPECT_GE(sets, test::avx2_is_allowed() ? 3 : 1);  // AVX2, SSE4 and plain C++
}

TEST(Conv2d, FloatIsWithinTheBoundOfItsSums) {
  for (const auto* rows : {&tiny_rows(), &larger_rows()})
    for (const auto& row : *rows) {
      const Inputs floats(row, DType::float32);
      const Inputs exact = floats.to(DType::float64);
      Inputs magnitudes = exact;
      for (Tensor* t : {&magnitudes.x, &magnitudes.weight, &magnitudes.bias, &magnitudes.dy})
        if (t->defined()) *t = absolute(*t);
      const Results a = compute(row, floats, true);
      const Results e = compute(row, exact, false);
      const Results m = compute(row, magnitudes, false);
      const auto z = tensor::conv2d_sizes(row.x, row.weight, row.params);
      const auto taps = z.kernel_h * z.kernel_w;
      const std::string name = row.name;
      expect_within_bound(a.y, e.y, m.y, static_cast<double>(taps * z.group_in() + 1), name + ": y");
      expect_within_bound(a.dx, e.dx, m.dx, static_cast<double>(taps * z.group_out()), name + ": dx");
      expect_within_bound(a.dweight, e.dweight, m.dweight, static_cast<double>(z.out_rows()),
                          name + ": dweight");
    }
}

TEST(Conv2d, BitsDoNotDependOnThreads) {
  const int before = cpu::num_threads();
  const auto sum = [](const Row& row, const Inputs& in) {
    return cpu::conv2d_backward_input(in.dy, in.weight, row.x, row.params, in.x.clone());
  };
  for (const auto& row : larger_rows())
    for (const DType type : {DType::float32, DType::bfloat16}) {
      Inputs in(row, type);
      in.weight = in.weight.to(DType::float32);
      if (in.bias.defined()) in.bias = in.bias.to(DType::float32);
      cpu::set_num_threads(1);
      const Results one = compute(row, in, true);
      const Tensor one_sum = sum(row, in);
      for (const int threads : {2, 5}) {
        cpu::set_num_threads(threads);
        const Results many = compute(row, in, true);
        expect_same_bits(many.y, one.y, row.name);
        expect_same_bits(many.dx, one.dx, row.name);
        expect_same_bits(many.dweight, one.dweight, row.name);
        expect_same_bits(sum(row, in), one_sum, row.name);
      }
    }
  cpu::set_num_threads(before);
}

TEST(Conv2d, EmptyBatch) {
  for (const bool fast : {false, true}) {
    const Row row{"empty", {0, 5, 6, 3}, {4, 3, 3, 3}, {.stride = 2, .padding = 1}, true};
    const Results result = compute(row, Inputs(row), fast);
    EXPECT_EQ(result.y.shape(), (Shape{0, 3, 3, 4}));
    EXPECT_EQ(result.dx.shape(), row.x);
    test::expect_close(result.dweight, Tensor::zeros(row.weight, {DType::float64, {}}));
  }
}

// A network's first convolution, whose phases alone would fill a tenth of a tile's columns; not where the
// channels fill them, and not where a phase reads a single tap anyway.
TEST(Conv2d, PhasesAreMergedWhereTheyAreNarrow) {
  const auto merges = [](std::int64_t in, std::int64_t kernel, const Conv2dParams& params) {
    return cpu::merging_pays(
        tensor::conv2d_sizes({1, 32, 32, in}, {8, kernel, kernel, in / params.groups}, params));
  };
  EXPECT_TRUE(merges(3, 7, {.stride = 2, .padding = 3}));
  EXPECT_TRUE(merges(3, 3, {.stride = 2, .padding = 1}));
  EXPECT_TRUE(merges(3, 11, {.stride = 4, .padding = 2}));
  EXPECT_FALSE(merges(64, 3, {.stride = 2, .padding = 1}));
  EXPECT_FALSE(merges(3, 1, {.stride = 2}));
  EXPECT_FALSE(merges(3, 7, {.padding = 3}));
  EXPECT_FALSE(merges(4, 7, {.stride = 2, .padding = 3, .groups = 2}));
}

TEST(Conv2d, Errors) {
  const auto call = [](const Shape& x, const Shape& weight, const Conv2dParams& params) {
    return [=] { cpu::conv2d(Tensor::zeros(x), Tensor::zeros(weight), {}, params); };
  };
  expect_error(call({8, 9, 9, 3}, {64, 7, 7, 64}, {}),
               {"conv2d: weight has 64 input channels, x has 3", "[8,9,9,3]", "[64,7,7,64]"});
  expect_error(call({9, 9, 3}, {64, 7, 7, 3}, {}), {"conv2d: x has 3 dimensions", "[9,9,3]", "[64,7,7,3]"});
  expect_error(call({1, 9, 9, 3}, {64, 3}, {}), {"conv2d: weight has 2 dimensions", "[64,3]"});
  expect_error(call({1, 9, 9, 4}, {6, 3, 3, 2}, {.groups = 4}),
               {"4 groups do not divide 4 input and 6 output"});
  expect_error(call({1, 9, 9, 4}, {6, 3, 3, 4}, {.groups = 2}),
               {"weight has 4 input channels in each of 2 groups"});
  expect_error(call({1, 2, 9, 3}, {6, 3, 3, 3}, {}), {"3x3 kernel", "2x9 picture", "[1,2,9,3]", "[6,3,3,3]"});
  expect_error(call({1, 9, 4, 3}, {6, 3, 3, 3}, {.dilation = 2}), {"dilation 2 does not fit"});
  expect_error(call({1, 9, 9, 3}, {6, 3, 3, 3}, {.stride = 0}), {"stride 0", "at least 1"});
  expect_error(call({1, 9, 9, 3}, {6, 3, 3, 3}, {.padding = -1}), {"padding -1 is negative"});
  const Tensor x = Tensor::zeros({1, 4, 4, 2});
  const Tensor weight = Tensor::zeros({3, 1, 1, 2});
  expect_error([&] { cpu::conv2d(x, weight, Tensor::zeros({4}), {}); }, {"conv2d", "bias", "[4]", "[3]"});
  expect_error([&] { cpu::conv2d(x, weight.to(DType::float64), {}, {}); }, {"conv2d", "weight", "float64"});
  expect_error([&] { cpu::conv2d_backward_input(x, weight, {1, 4, 4, 2}, {}); },
               {"conv2d_backward_input", "dy", "[1,4,4,2]", "[1,4,4,3]"});
  expect_error([&] { cpu::conv2d_backward_weight(x, x, {3, 1, 1, 2}, {}); },
               {"conv2d_backward_weight", "dy", "[1,4,4,2]", "[1,4,4,3]"});
}

}  // namespace
}  // namespace dcl::test
