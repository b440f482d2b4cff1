// Whole training steps on the GPU against the reference's numbers, as tests/densecl/golden_test.cpp has them
// on the CPU.
#include "tests/cuda/cuda_rows.h"
#include "tests/support/reference_case.h"

namespace dcl::test {
namespace {

using tensor::DType;

#ifdef DCL_WITH_CUDA  // the model's tensors say where they are: not for kernels on the CPU's own

constexpr tensor::Device kCuda{tensor::DeviceType::cuda, 0};

class CudaGoldenCase : public testing::TestWithParam<std::string> {};

void expect_agreement(const std::string& name, DType type) {
  const auto file = golden_case(name);
  const auto worst = compare_case(file, run_case(file.at("case"), {type, kCuda}), type);
  EXPECT_TRUE(worst.ok()) << worst.name << " differs by " << worst.worst << ", allowed " << worst.tolerance;
}

TEST_P(CudaGoldenCase, AgreesInDouble) {
  DCL_NEEDS_DEVICE();
  expect_agreement(GetParam(), DType::float64);
}

TEST_P(CudaGoldenCase, LossesAgreeInFloat) {
  DCL_NEEDS_DEVICE();
  expect_agreement(GetParam(), DType::float32);
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaGoldenCase, testing::ValuesIn(golden_case_names()),
                         [](const auto& tested) { return tested.param; });

#endif

}  // namespace
}  // namespace dcl::test
