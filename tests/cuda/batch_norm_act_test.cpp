#include "tensor/ops/batch_norm_act.h"

#include <string>
#include <utility>

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::BatchNormGrads;
using tensor::BatchNormParams;
using tensor::BatchNormResult;
using tensor::BatchNormSaved;
using tensor::DType;
using tensor::RunningStats;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  Shape x;
  std::int64_t groups = 1;
};

// Channels that are and are not whole packs, fewer and more than a block's lanes; rows of less than a block
// and of many parts.
const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {{3, 2, 3, 4}},      {{6, 2, 1, 3}, 3}, {{7, 5}},          {{8, 3}, 4},        {{2, 3, 5, 1}},
      {{2, 5, 9}},         {{2, 1, 1, 16}},   {{2, 19, 11, 64}}, {{70, 7, 5, 8}, 2}, {{4, 23, 11, 37}, 2},
      {{2, 5, 9, 300}, 2}, {{9, 264}},        {{4, 3, 2, 2048}}, {{1, 70, 211, 5}},  {{33, 40, 16}, 3}};
  return all;
}

const std::vector<DType> kTypes{DType::float32, DType::float64, DType::bfloat16};

struct Case {
  Tensor x, weight, bias, residual;
  RunningStats stats;
  BatchNormParams params;

  Case(const Row& row, DType type, bool training, bool relu, bool with_residual)
      : params{.training = training, .relu = relu, .groups = row.groups} {
    const DType parameters = tensor::parameter_dtype(type);
    const std::int64_t c = row.x[-1];
    x = random_tensor(row.x, 1, {-1, 2}).to(type);
    weight = random_tensor({c}, 2, {0.5, 1.5}).to(parameters);
    bias = random_tensor({c}, 3).to(parameters);
    if (with_residual) residual = random_tensor(row.x, 4).to(type);
    stats = {random_tensor({c}, 91, {-0.2, 0.2}).to(parameters),
             random_tensor({c}, 92, {0.5, 1.5}).to(parameters)};
  }
  std::int64_t terms() const { return x.numel() / x.size(-1) / (params.training ? params.groups : 1); }
  std::string name() const {
    return x.str() + (params.training ? " training" : " evaluation") + (params.relu ? " relu" : "") +
           (residual.defined() ? " residual" : "");
  }
  Tolerance tolerance(DType type) const { return cuda_tolerance(type, terms()); }
};

template <class F>
void for_cases(F body) {
  for (const DType type : kTypes)
    for (const Row& row : rows())
      for (const bool training : {true, false})
        for (const bool relu : {true, false})
          for (const bool with_residual : {true, false}) {
            if (row.x.numel() > 10000 && !(training && relu)) continue;  // for time's sake
            Case each(row, type, training, relu, with_residual);
            SCOPED_TRACE(each.name());
            body(each);
          }
}

// As training itself has its tensors: with memory of their own.
RunningStats own_on_device(const RunningStats& stats) {
  return {on_device(stats.mean.clone()), on_device(stats.var.clone())};
}
BatchNormResult run_cuda(const Case& each, RunningStats& stats) {
  return cuda::batch_norm_act(on_device(each.x), on_device(each.weight), on_device(each.bias), stats,
                              each.params, on_device(each.residual));
}

TEST(CudaBatchNormAct, ForwardIsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for_cases([](Case& each) {
    RunningStats stats = own_on_device(each.stats);
    const auto actual = run_cuda(each, stats);
    const auto expected =
        cpu::batch_norm_act(each.x, each.weight, each.bias, each.stats, each.params, each.residual);
    const Tolerance of_parameters = each.tolerance(each.weight.dtype());
    expect_close(to_host(actual.y), expected.y, each.tolerance(each.x.dtype()), "y");
    EXPECT_EQ(actual.y.dtype(), each.x.dtype());
    expect_close(to_host(actual.mean), expected.mean, of_parameters, "mean");
    expect_close(to_host(actual.invstd), expected.invstd, of_parameters, "invstd");
    expect_close(to_host(stats.mean), each.stats.mean, of_parameters, "running mean");
    expect_close(to_host(stats.var), each.stats.var, of_parameters, "running variance");
    const BatchNormSaved saved{on_device(each.x), on_device(each.weight), on_device(each.bias),
                               actual.mean,       actual.invstd,          {}};
    if (!each.residual.defined())
      expect_same_bits(to_host(cuda::batch_norm_act_again(saved, each.params)), to_host(actual.y), "y again");
  });
}

TEST(CudaBatchNormAct, GradientsAreTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for_cases([](Case& each) {
    const auto out =
        cpu::batch_norm_act(each.x, each.weight, each.bias, each.stats, each.params, each.residual);
    const Tensor y = each.params.relu && each.residual.defined() ? out.y : Tensor();
    const Tensor grad_y = random_tensor(each.x.shape(), 5).to(each.x.dtype());
    const auto expected = cpu::batch_norm_act_backward(
        grad_y, {each.x, each.weight, each.bias, out.mean, out.invstd, y}, each.params);
    const auto actual =
        cuda::batch_norm_act_backward(on_device(grad_y),
                                      {on_device(each.x), on_device(each.weight), on_device(each.bias),
                                       on_device(out.mean), on_device(out.invstd), on_device(y)},
                                      each.params);
    expect_close(to_host(actual.x), expected.x, each.tolerance(each.x.dtype()), "x");
    // The parameters' sums are over all chunks.
    const Tolerance of_parameters = cuda_tolerance(each.weight.dtype(), each.x.numel() / each.x.size(-1));
    expect_close(to_host(actual.weight), expected.weight, of_parameters, "weight");
    expect_close(to_host(actual.bias), expected.bias, of_parameters, "bias");
    expect_same_bits(to_host(actual.residual), expected.residual, "residual");
  });
}

TEST(CudaBatchNormAct, OnlyTheGradientsAskedFor) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  const Case each({{5, 7, 8}}, DType::float32, true, true, true);
  RunningStats none;
  const auto out = run_cuda(each, none);
  const Tensor grad_y = on_device(random_tensor(each.x.shape(), 5).to(DType::float32));
  const BatchNormSaved saved{
      on_device(each.x), on_device(each.weight), on_device(each.bias), out.mean, out.invstd, out.y};
  const auto all = cuda::batch_norm_act_backward(grad_y, saved, each.params);
  const std::vector<Tensor BatchNormGrads::*> members{&BatchNormGrads::x, &BatchNormGrads::weight,
                                                      &BatchNormGrads::bias, &BatchNormGrads::residual};
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto one =
        cuda::batch_norm_act_backward(grad_y, saved, each.params, {i == 0, i == 1, i == 2, i == 3});
    for (std::size_t k = 0; k < members.size(); ++k) {
      EXPECT_EQ((one.*members[k]).defined(), i == k);
      if (i == k) expect_same_bits(to_host(one.*members[k]), to_host(all.*members[k]));
    }
  }
}

TEST(CudaBatchNormAct, WorksInPlaceWhereNobodyElseLooks) {
  DCL_NEEDS_DEVICE();
  for (const DType type : kTypes) {
    const Case each({{6, 31, 16}, 2}, type, true, true, true);
    RunningStats none;
    const auto out = run_cuda(each, none);
    // x and y of their own.
    const auto saved = [&] {
      return BatchNormSaved{on_device(each.x.clone()),
                            on_device(each.weight),
                            on_device(each.bias),
                            out.mean,
                            out.invstd,
                            on_device(to_host(out.y).clone())};
    };
    auto of_forward = saved();
    const Tensor elsewhere = cuda::batch_norm_act_again(of_forward, each.params);
    const void* x_memory = std::as_const(of_forward.x).raw();
    const Tensor y = cuda::batch_norm_act_again(std::move(of_forward), each.params);
    EXPECT_EQ(y.raw(), x_memory);
    expect_same_bits(to_host(y), to_host(elsewhere));

    const Tensor grad_y = random_tensor(each.x.shape(), 5).to(type);
    const auto kept = saved();
    const auto expected = cuda::batch_norm_act_backward(on_device(grad_y), kept, each.params);
    auto given = saved();
    Tensor grad_given = on_device(grad_y.clone());
    x_memory = std::as_const(given.x).raw();
    const void* grad_memory = std::as_const(grad_given).raw();
    const auto grads = cuda::batch_norm_act_backward(std::move(grad_given), std::move(given), each.params);
    EXPECT_EQ(grads.x.raw(), x_memory);
    EXPECT_EQ(grads.residual.raw(), grad_memory);
    expect_same_bits(to_host(grads.x), to_host(expected.x));
    expect_same_bits(to_host(grads.residual), to_host(expected.residual));
    expect_same_bits(to_host(kept.x), each.x);
  }
}

// Whole packs of channels, but an address in the middle of one.
TEST(CudaBatchNormAct, AddressesNeedNotBeMultiplesOfAPack) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : kTypes) {
    const Tensor flat = random_tensor({50 * 16 + 1}, 1).to(type);
    const auto inside = [](const Tensor& of) { return of.rows(1, of.numel()).reshape({50, 16}); };
    const Tensor one = Tensor::full({16}, 1, {tensor::parameter_dtype(type), {}});
    RunningStats none;
    const auto expected = cpu::batch_norm_act(inside(flat), one, one, none, {.relu = true});
    const Tensor x = inside(on_device(flat));
    const auto actual = cuda::batch_norm_act(x, on_device(one), on_device(one), none, {.relu = true});
    expect_close(to_host(actual.y), expected.y, cuda_tolerance(type, 50));
    const auto grads = cuda::batch_norm_act_backward(
        x, {x, on_device(one), on_device(one), actual.mean, actual.invstd, {}}, {.relu = true});
    const auto expected_grads = cpu::batch_norm_act_backward(
        inside(flat), {inside(flat), one, one, expected.mean, expected.invstd, {}}, {.relu = true});
    expect_close(to_host(grads.x), expected_grads.x, cuda_tolerance(type, 50));
  }
}

// A mean 4096 times the standard deviation, and a first value, by which sums are shifted, far from the rest.
TEST(CudaBatchNormAct, FloatStatisticsOfUnkindNumbers) {
  DCL_NEEDS_DEVICE();
  const std::int64_t count = 9001;
  Tensor x = random_tensor({count, 2}, 8, {-0.5, 0.5});
  for (std::int64_t r = 0; r < count; ++r) x.data<double>()[2 * r] += 1024;
  x.data<double>()[1] = 1e4;
  x = x.to(DType::float32);
  const Tensor rounded = x.to(DType::float64);
  RunningStats stats{on_device(Tensor::zeros({2})), on_device(Tensor::zeros({2}))};
  cuda::batch_norm_act(on_device(x), on_device(Tensor::full({2}, 1)), on_device(Tensor::zeros({2})), stats,
                       {.momentum = 1});
  const auto mean_of = to_host(stats.mean).to_vector<double>();
  const auto var_of = to_host(stats.var).to_vector<double>();
  for (std::int64_t c = 0; c < 2; ++c) {
    double mean = 0;
    double squares = 0;
    for (std::int64_t r = 0; r < count; ++r) mean += rounded.data<double>()[2 * r + c] / double(count);
    for (std::int64_t r = 0; r < count; ++r) squares += std::pow(rounded.data<double>()[2 * r + c] - mean, 2);
    const double var = squares / double(count - 1);
    EXPECT_NEAR(mean_of[static_cast<std::size_t>(c)], mean, 1e-6 * std::abs(mean));
    EXPECT_NEAR(var_of[static_cast<std::size_t>(c)], var, (c == 0 ? 1e-7 : 1e-6) * var);
  }
}

TEST(CudaBatchNormAct, NanComesThroughTheRelu) {
  DCL_NEEDS_DEVICE();
  for (const DType type : kTypes) {
    Tensor x = random_tensor({4, 40}, 1);
    x.data<double>()[47] = NAN;
    const Tensor one = on_device(Tensor::full({40}, 1, {tensor::parameter_dtype(type), {}}));
    RunningStats none;
    const auto out = cuda::batch_norm_act(on_device(x.to(type)), one, one, none, {.relu = true});
    const auto y = to_host(out.y).to_vector<double>();
    for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i % 40 == 7) << i;
  }
}

TEST(CudaBatchNormAct, EmptyAndOneDimensionalInEvaluation) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const Shape& shape : {Shape{0, 2, 2, 3}, Shape{3}}) {
    Case each({shape}, DType::float32, false, true, false);
    RunningStats stats = own_on_device(each.stats);
    const auto actual = run_cuda(each, stats);
    const auto expected = cpu::batch_norm_act(each.x, each.weight, each.bias, each.stats, each.params);
    expect_close(to_host(actual.y), expected.y, cuda_tolerance(DType::float32));
    expect_close(to_host(actual.invstd), expected.invstd, cuda_tolerance(DType::float32));
    const BatchNormSaved saved{on_device(each.x), on_device(each.weight), on_device(each.bias),
                               actual.mean,       actual.invstd,          {}};
    EXPECT_EQ(cuda::batch_norm_act_again(saved, each.params).shape(), shape);
    const auto grads = cuda::batch_norm_act_backward(on_device(each.x), saved, each.params);
    EXPECT_EQ(grads.x.shape(), shape);
    if (each.x.numel() == 0) expect_same_bits(to_host(grads.weight), Tensor::zeros({3}));
  }
}

TEST(CudaBatchNormAct, ErrorsAreTheCpus) {
  DCL_NEEDS_DEVICE();
  RunningStats none;
  const Tensor w = on_device(random_tensor({4}));
  const auto run = [&](const Shape& x, BatchNormParams params = {}) {
    return [=] {
      RunningStats stats;
      cuda::batch_norm_act(on_device(random_tensor(x)), w, w, stats, params);
    };
  };
  expect_error(run({1, 1, 1, 4}), {"batch_norm_act: one value a channel in training", "[1,1,1,4]"});
  expect_error(run({6, 2, 2, 4}, {.groups = 4}), {"4 groups do not divide a batch of 6"});
  expect_error(run({2, 2, 2, 3}), {"weight", "[4]", "[3]"});
  expect_error(run({2, 4}, {.training = false}), {"evaluation needs running statistics"});
  const Tensor x = on_device(random_tensor({2, 4}));
  const BatchNormSaved saved{x, w, w, w, w, {}};
  expect_error([&] { cuda::batch_norm_act_backward(w, saved, {}); }, {"batch_norm_act", "grad_y", "[2,4]"});
}

}  // namespace
}  // namespace dcl::test
