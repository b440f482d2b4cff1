// cuDNN makes plans for a GPU that is only described: what it offers an H200 is found out without one.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cuda/conv2d_cudnn.h"

namespace dcl::test {
namespace {

using namespace tensor::cuda;
using tensor::Conv2dParams;
using tensor::Conv2dSizes;
using tensor::DType;

// The fields that cuDNN 9.19 reads.
const std::string kH200 = R"({
  "deviceName": "NVIDIA H200", "cudaDeviceId": 0, "pciDeviceId": 0, "deviceVer": 900, "driverVer": 13000,
  "multiProcessorCount": 132, "warpSize": 32, "maxGridSize": [2147483647, 65535, 65535],
  "maxBlockSize": [1024, 1024, 64], "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "maxCtasPerSM": 32,
  "regsPerBlock": 65536, "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152,
  "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024, "isTccDriver": 0,
  "supportCoopLaunch": 1, "totalGlobalMem": 150754820096, "l2CacheSize": 62914560, "smClockRateKHz": 1980000,
  "memClockRateKHz": 3201000})";

constexpr ConvolutionPass kPasses[] = {ConvolutionPass::forward, ConvolutionPass::backward_input,
                                       ConvolutionPass::backward_weight};

// The convolutions of ResNet-50 on pictures of 224 pixels, the stem's channels filled up to eight.
std::vector<Conv2dSizes> resnet50(std::int64_t batch) {
  std::vector<Conv2dSizes> all;
  const auto add = [&](std::int64_t size, std::int64_t in, std::int64_t out, std::int64_t kernel,
                       std::int64_t stride) {
    all.push_back(tensor::conv2d_sizes({batch, size, size, in}, {out, kernel, kernel, in},
                                       {.stride = stride, .padding = kernel / 2}));
  };
  add(224, 8, 64, 7, 2);
  std::int64_t in = 64;
  std::int64_t size = 56;
  for (const std::int64_t planes : {64, 128, 256, 512})
    for (const bool first : {true, false}) {  // the other blocks of a stage are its second
      const std::int64_t stride = first && planes > 64 ? 2 : 1;
      add(size, in, planes, 1, 1);
      add(size, planes, planes, 3, stride);
      if (first) add(size, in, 4 * planes, 1, stride);
      size /= stride;
      add(size, planes, 4 * planes, 1, 1);
      in = 4 * planes;
    }
  return all;
}

// The fields of a description are those of cuDNN 9.19.
#define DCL_NEEDS_DESCRIPTIONS() \
  if (cudnn_version() < 91900) GTEST_SKIP() << "cuDNN " << cudnn_version() << ", expected 91900 or later"

TEST(DescribedDevice, ResNet50HasPlans) {
  DCL_NEEDS_DESCRIPTIONS();
  const CudnnDevice h200 = CudnnDevice::described(kH200);
  for (const DType type : {DType::bfloat16, DType::float32})
    for (const Conv2dSizes& z : resnet50(256))
      for (const ConvolutionPass pass : kPasses) {
        const auto plan = conv2d_graph(pass, z, type, false).plan(h200, conv2d_rules(type));
        EXPECT_TRUE(plan) << name_of(type) << " " << z.str() << ", pass " << static_cast<int>(pass);
        EXPECT_LE(plan ? plan->workspace_bytes() : 0, std::int64_t{1} << 30) << z.str();
      }
}

TEST(DescribedDevice, OddConvolutionsHavePlans) {
  DCL_NEEDS_DESCRIPTIONS();
  const CudnnDevice h200 = CudnnDevice::described(kH200);
  const std::vector<Conv2dSizes> all{
      tensor::conv2d_sizes({2, 4, 5, 4}, {6, 3, 3, 2}, {.padding = 1, .groups = 2}),
      tensor::conv2d_sizes({2, 4, 3, 5}, {5, 3, 3, 1}, {.padding = 1, .groups = 5}),
      tensor::conv2d_sizes({1, 9, 8, 8}, {2, 3, 3, 8}, {.stride = 2, .padding = 3, .dilation = 3}),
      tensor::conv2d_sizes({1, 3, 2, 8}, {2, 2, 2, 8}, {.padding = 3}),
      tensor::conv2d_sizes({1, 1, 1, 8}, {1, 1, 1, 8}, {})};
  for (const DType type : {DType::bfloat16, DType::float32})
    for (const Conv2dSizes& z : all)
      for (const ConvolutionPass pass : kPasses)
        EXPECT_TRUE(conv2d_graph(pass, z, type, false).plan(h200, conv2d_rules(type)))
            << name_of(type) << " " << z.str() << ", pass " << static_cast<int>(pass);
}

TEST(DescribedDevice, APlanComesBackFromItsText) {
  DCL_NEEDS_DESCRIPTIONS();
  const CudnnDevice h200 = CudnnDevice::described(kH200);
  const Conv2dSizes z = tensor::conv2d_sizes({256, 56, 56, 64}, {64, 3, 3, 64}, {.padding = 1});
  const auto plan = conv2d_graph(ConvolutionPass::forward, z, DType::bfloat16, false).plan(h200, {});
  ASSERT_TRUE(plan);
  const auto text = plan->json();
  ASSERT_TRUE(text);
  const auto again = CudnnPlan::from_json("conv2d", h200, *text);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->workspace_bytes(), plan->workspace_bytes());
  EXPECT_EQ(again->json(), text);
  EXPECT_FALSE(CudnnPlan::from_json("conv2d", h200, "{}"));
  EXPECT_FALSE(CudnnPlan::from_json("conv2d", h200, text->substr(0, text->size() / 2)));
}

TEST(DescribedDevice, ErrorsNameTheOpAndTheStatus) {
  try {
    CudnnGraph graph("some op");
    graph.picture(DType::float32, {1, 1, 1, -1});
    FAIL() << "a tensor of negative size";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("some op: cuDNN: "), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("CUDNN_STATUS_BAD_PARAM"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace dcl::test
